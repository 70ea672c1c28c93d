"""Hulls: initial masks from the background's 68 landmarks (paper, section 3.2, step 2)."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.faces.landmarks import (
    INNER_MOUTH,
    JAW,
    LEFT_BROW,
    LEFT_EYE,
    NOSE_BASE,
    NOSE_BRIDGE,
    OUTER_MOUTH,
    RIGHT_BROW,
    RIGHT_EYE,
    Landmarks,
)

Mask = NDArray[np.float32]
"""(H, W) float32 in [0, 1]."""

_SHIFT = 4
"""Fractional bits of the polygons' corners: 1/16 pixel."""


def _fill(size: int, polygons: list[Landmarks]) -> Mask:
    """Fill the convex hull of each point set, antialiased, and unite them: (size, size) in [0, 1]."""
    mask = np.zeros((size, size), np.uint8)
    for points in polygons:
        corners = np.rint(cv2.convexHull(points.astype(np.float32)) * (1 << _SHIFT)).astype(np.int32)
        one = np.zeros_like(mask)
        cv2.fillConvexPoly(one, corners, 255, cv2.LINE_AA, _SHIFT)
        np.maximum(mask, one, out=mask)
    return mask.astype(np.float32) / np.float32(255)


def whole(landmarks: Landmarks, size: int) -> Mask:
    """The convex hull of all 68 points: chin to brows."""
    return _fill(size, [landmarks])


def components(landmarks: Landmarks, size: int) -> Mask:
    """Eight convex parts: two cheeks, the jaw, two brow-and-eye regions, nose ridge, nose base, mouth."""
    return _fill(size, _parts(landmarks))


def extended(landmarks: Landmarks, size: int) -> Mask:
    """The components with the brows raised by half their distance from the eyes."""
    raised = landmarks.copy()
    for brow, eye in ((RIGHT_BROW, RIGHT_EYE), (LEFT_BROW, LEFT_EYE)):
        raised[brow] += 0.5 * (landmarks[brow].mean(axis=0) - landmarks[eye].mean(axis=0))
    return _fill(size, _parts(raised))


def without_forehead(landmarks: Landmarks, size: int) -> Mask:
    """Three convex parts: jaw with mouth, nose, and the band of brows and eyes."""
    jaw = np.concatenate([landmarks[JAW], landmarks[OUTER_MOUTH]])
    nose = np.concatenate([landmarks[NOSE_BRIDGE], landmarks[NOSE_BASE]])
    band = np.concatenate([landmarks[RIGHT_BROW], landmarks[LEFT_BROW], landmarks[RIGHT_EYE], landmarks[LEFT_EYE]])
    return _fill(size, [jaw, nose, band])


def _parts(landmarks: Landmarks) -> list[Landmarks]:
    """The eight convex parts of the face; neighbours share points, so that their union has no gaps."""
    jaw, nose, mouth = landmarks[JAW], landmarks[NOSE_BRIDGE], landmarks[OUTER_MOUTH]
    base = landmarks[NOSE_BASE]
    return [
        np.concatenate([jaw[:6], landmarks[36:37], landmarks[41:42], base[:1], mouth[:1]]),
        np.concatenate([jaw[11:], landmarks[45:46], landmarks[46:47], base[4:], mouth[6:7]]),
        np.concatenate([jaw[5:12], mouth]),
        np.concatenate([landmarks[RIGHT_BROW], landmarks[RIGHT_EYE], nose[:2], jaw[:1]]),
        np.concatenate([landmarks[LEFT_BROW], landmarks[LEFT_EYE], nose[:2], jaw[16:]]),
        np.concatenate([landmarks[21:23], nose, landmarks[39:40], landmarks[42:43], base]),
        np.concatenate([landmarks[40:42], landmarks[46:48], nose[3:], base, mouth[1:6]]),
        np.concatenate([mouth, landmarks[INNER_MOUTH], base]),
    ]


HULLS: dict[str, Callable[[Landmarks, int], Mask]] = {
    "whole": whole,
    "without_forehead": without_forehead,
    "components": components,
    "extended": extended,
}
"""Every hull kind by its name: landmarks (68, 2) in crop pixels, size in pixels → mask (size, size)."""
