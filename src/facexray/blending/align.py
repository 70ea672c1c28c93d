"""Laying the foreground on the background, by their landmarks: one resampling, whatever moves it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.faces.landmarks import Landmarks
from facexray.images import RGB

Affine = NDArray[np.float64]
"""(2, 3): p → A[:, :2] · p + A[:, 2], points x, y in pixels."""

INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}


def as_it_lies(source: Landmarks, target: Landmarks) -> Affine:
    """No change: both faces are crops of the same convention (the authors' generator)."""
    return np.eye(2, 3)


def similarity(source: Landmarks, target: Landmarks) -> Affine:
    """The rotation, scaling and shift that lays source landmarks on target ones by least squares."""
    centre_s, centre_t = source.mean(axis=0, dtype=np.float64), target.mean(axis=0, dtype=np.float64)
    s, t = source - centre_s, target - centre_t
    # In the complex plane the best factor is <s, t> / <s, s>.
    norm = float((s * s).sum()) or 1.0
    a = float((s * t).sum()) / norm
    b = float((s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum()) / norm
    turn = np.array([[a, -b], [b, a]])
    return np.column_stack([turn, centre_t - turn @ centre_s])


def affine(source: Landmarks, target: Landmarks) -> Affine:
    """The affine map that lays source landmarks on target ones by least squares."""
    points = np.column_stack([source, np.ones(len(source))]).astype(np.float64)
    return np.asarray(np.linalg.lstsq(points, target.astype(np.float64), rcond=None)[0].T, np.float64)


ALIGNMENTS: dict[str, Callable[[Landmarks, Landmarks], Affine]] = {
    "none": as_it_lies,
    "similarity": similarity,
    "affine": affine,
}
"""Every alignment by its name: source and target landmarks (68, 2) → the map from one to the other."""


def then(first: Affine, second: Affine) -> Affine:
    """The map that does one map, then another."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def place(image: RGB, matrix: Affine, box: tuple[int, int, int, int], interpolation: str) -> RGB:
    """The part of a mapped image that falls into a box.

    Args:
        image: (h, w, 3); beyond its border, its border pixels go on.
        matrix: From pixels of the image to pixels of the frame.
        box: xyxy in pixels of the frame.
        interpolation: One of `INTERPOLATIONS`.

    Returns:
        (H, W, 3) of the box; where the map is the identity, the very pixels.
    """
    x0, y0, x1, y1 = box
    within = min(x0, y0) >= 0 and x1 <= image.shape[1] and y1 <= image.shape[0]
    if within and np.array_equal(matrix, np.eye(2, 3)):
        return image[y0:y1, x0:x1]
    moved = matrix - np.array([[0, 0, x0], [0, 0, y0]])
    flags, size = INTERPOLATIONS[interpolation], (x1 - x0, y1 - y0)
    return np.asarray(cv2.warpAffine(image, moved, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)
