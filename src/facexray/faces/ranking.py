"""The distance of two faces' landmarks, computed in one way, and the order of faces by it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Keys = NDArray[np.uint64]
"""Distances and indices as one number each, which sort by (distance, index)."""

PAIRS = 1024
"""Distances that are computed at once, for the cache's sake."""


def planes(landmarks: Floats) -> Floats:
    """Landmarks (N, 68, 2) as (2, N, 68): all x, then all y."""
    return np.ascontiguousarray(landmarks.transpose(2, 0, 1))


def distances(a: Floats, b: Floats) -> Floats:
    """The sums over the 68 points of the Euclidean distance.

    Args:
        a: (2, N, 68) all x, then all y; overwritten.
        b: (2, N, 68).

    Returns:
        (N,) in pixels. Each root is rounded to float32, their sum is taken in float64 and rounded once: the same
        bits wherever a pair stands and whichever of the two is `a`.
    """
    np.subtract(a, b, out=a)
    np.multiply(a, a, out=a)
    squares = np.add(a[0], a[1], out=a[0])
    roots = np.sqrt(squares, out=squares)
    sums: Floats = cv2.reduce(roots, 1, cv2.REDUCE_SUM, dtype=cv2.CV_64F)[:, 0].astype(np.float32)
    return sums


def pair_distances(landmarks: Floats, a: Indices, b: Indices) -> Floats:
    """(P,) distances of the pairs of landmarks (N, 68, 2) at `a` and `b`, (P,) indices each."""
    found: Floats = np.empty(len(a), np.float32)
    for start in range(0, len(a), PAIRS):
        part = slice(start, start + PAIRS)
        found[part] = distances(planes(landmarks[a[part]]), planes(landmarks[b[part]]))
    return found


def pack(distances: Floats, faces: Indices) -> Keys:
    """Keys of distances (at least 0: their bits sort as they do) and indices (below 2³²), of any shape."""
    return distances.view(np.uint32).astype(np.uint64) << np.uint64(32) | faces.astype(np.uint32)


def unpack(keys: Keys) -> tuple[Floats, NDArray[np.int32]]:
    """The distances and indices of keys."""
    return (keys >> np.uint64(32)).astype(np.uint32).view(np.float32), keys.astype(np.uint32).view(np.int32)


NOBODY = pack(np.array([np.inf], np.float32), np.array([-1]))[0]
"""The key that sorts behind all: at an infinite distance, index -1."""
