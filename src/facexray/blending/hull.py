"""Hulls: the regions that initial masks fill, from the background's 68 landmarks (paper, section 3.2, step 2).

A hull is a list of convex parts, each the points of which the convex hull is filled; their union is the mask.
"""

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

Mask = NDArray[np.uint8]
"""(H, W) uint8: M in steps of 1/255, so that 255 is M = 1 and an 8-bit picture holds it exactly."""

Parts = list[Landmarks]
"""Convex parts of a hull: point sets (K, 2) x, y in pixels."""

SHIFT = 4
"""Fractional bits of the polygons' corners: 1/16 pixel."""


def whole(landmarks: Landmarks) -> Parts:
    """The convex hull of all 68 points: chin to brows."""
    return [landmarks]


def without_forehead(landmarks: Landmarks) -> Parts:
    """Three parts: jaw with mouth, nose, and brows with eyes down to the jaw's ends and the nose's base."""
    jaw = np.concatenate([landmarks[JAW], landmarks[OUTER_MOUTH]])
    nose = np.concatenate([landmarks[NOSE_BRIDGE], landmarks[NOSE_BASE]])
    brows = np.concatenate([landmarks[RIGHT_BROW], landmarks[LEFT_BROW]])
    return [jaw, nose, np.concatenate([brows, landmarks[[0, 16, 33]]])]


def components(landmarks: Landmarks) -> Parts:
    """Eight parts that share points, so that their union has no gaps: cheeks, jaw, brows, nose, base, mouth."""
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


def extended(landmarks: Landmarks) -> Parts:
    """The components with the brows raised by half their distance from the eyes."""
    return components(_raise_brows(landmarks, 0.5))


def forehead(landmarks: Landmarks) -> Parts:
    """The whole hull with the brows raised towards the hairline, by one and a half times their distance."""
    return [np.concatenate([landmarks, _raise_brows(landmarks, 1.5)])]


def inner(landmarks: Landmarks) -> Parts:
    """The inner face: brows, eyes, nose and mouth, without jaw and cheeks."""
    return [landmarks[JAW.stop :]]


def inner_without_brows(landmarks: Landmarks) -> Parts:
    """The inner face without brows: eyes, nose and mouth."""
    return [landmarks[LEFT_BROW.stop :]]


def mouth(landmarks: Landmarks) -> Parts:
    """The lower face: from the nose's base over the mouth to the chin, as lip-synced videos replace it."""
    return [np.concatenate([landmarks[3:14], landmarks[NOSE_BASE], landmarks[OUTER_MOUTH]])]


def _raise_brows(landmarks: Landmarks, share: float) -> Landmarks:
    """The landmarks with each brow moved away from its eye by a share of their distance."""
    raised = landmarks.copy()
    for brow, eye in ((RIGHT_BROW, RIGHT_EYE), (LEFT_BROW, LEFT_EYE)):
        raised[brow] += share * (landmarks[brow].mean(axis=0) - landmarks[eye].mean(axis=0))
    return raised


HULLS: dict[str, Callable[[Landmarks], Parts]] = {
    "whole": whole,
    "without_forehead": without_forehead,
    "components": components,
    "extended": extended,
    "forehead": forehead,
    "inner": inner,
    "inner_without_brows": inner_without_brows,
    "mouth": mouth,
}
"""Every hull by its name: landmarks (68, 2) → convex parts. The first four are the authors' generator's kinds."""


def fill(parts: Parts, width: int, height: int) -> Mask:
    """Fill the union of convex parts, antialiased: (height, width)."""
    mask = np.zeros((height, width), np.uint8)
    for points in parts:
        corners = np.rint(cv2.convexHull(points.astype(np.float32)) * (1 << SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(mask, corners, 255, cv2.LINE_AA, SHIFT)
    return mask
