"""Deforming, growing and softening a mask (paper, section 3.2, step 2)."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.blending.hull import Mask

SPLINES = ("linear", "smooth")
"""How displacements go on between a grid's nodes: `linear` with kinks at them, `smooth` as a cubic B-spline."""
TAIL = 3.0
"""A Gaussian is cut off at this many sigmas."""


def grid_field(
    displacements: NDArray[np.float32], spline: str, size: int, box: tuple[int, int, int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The displacements of every pixel of a box, from those at a coarse grid's nodes.

    Args:
        displacements: (rows, columns, 2) x, y in pixels, at nodes spread evenly over the frame, corner to corner.
        spline: One of `SPLINES`.
        size: Height and width of the frame in pixels.
        box: Part of the frame, xyxy in pixels; beyond the frame its border's displacements go on.

    Returns:
        x and y displacements, (H, W) each, of the box's pixels.
    """
    x0, y0, x1, y1 = box
    inside = np.arange(-size, 2 * size).clip(0, size - 1)
    rows = node_shares(spline, displacements.shape[0], size)[inside[y0 + size : y1 + size]]
    columns = node_shares(spline, displacements.shape[1], size)[inside[x0 + size : x1 + size]].T
    return rows @ displacements[..., 0] @ columns, rows @ displacements[..., 1] @ columns


@cache
def node_shares(spline: str, nodes: int, size: int) -> NDArray[np.float32]:
    """(size, nodes) each node's share in each pixel; a pixel's shares sum to 1."""
    places = np.linspace(0, nodes - 1, size)[:, None]
    if spline == "linear":
        return np.asarray(np.maximum(0, 1 - np.abs(places - np.arange(nodes))), np.float32)
    # The cubic B-spline reaches over two nodes; those beyond the grid repeat its border.
    shares = np.zeros((size, nodes))
    for node in range(-2, nodes + 2):
        distance = np.abs(places[:, 0] - node)
        near, far = 2 / 3 - distance**2 * (1 - distance / 2), np.maximum(0, 2 - distance) ** 3 / 6
        shares[:, min(max(node, 0), nodes - 1)] += np.where(distance < 1, near, far)
    return shares.astype(np.float32)


def warp(
    mask: Mask, corner: tuple[int, int], field: tuple[NDArray[np.float32], NDArray[np.float32]], box: tuple[int, ...]
) -> Mask:
    """Move a mask by a field of displacements.

    Args:
        mask: (h, w) whose upper left pixel stands at `corner`; around it M = 0.
        corner: x, y in pixels of the frame.
        field: x and y displacements, (H, W) each, of the pixels of `box`.
        box: xyxy in pixels of the frame.

    Returns:
        (H, W): at a pixel p of the box, the mask at p + field(p), interpolated linearly.
    """
    x = field[0] + np.arange(box[0] - corner[0], box[2] - corner[0], dtype=np.float32)
    y = field[1] + np.arange(box[1] - corner[1], box[3] - corner[1], dtype=np.float32)[:, None]
    return np.asarray(cv2.remap(mask, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.uint8)


def grow(mask: Mask, pixels: float) -> Mask:
    """Dilate a mask (H, W) by a disc of `pixels` radius; erode it where `pixels` is negative.

    Half-covered pixels (M > ½) count as inside; the new edge is antialiased.
    """
    if pixels > 0:
        return 255 - _ramp(_depth(mask <= 127) - np.float32(pixels))
    return _ramp(_depth(mask > 127) + np.float32(pixels)) if pixels < 0 else mask


def feather(mask: Mask, pixels: float) -> Mask:
    """Let a mask (H, W) rise linearly over `pixels` from its own edge, concave or not, inwards."""
    return _ramp(_depth(mask > 127) / np.float32(pixels))


def blur(mask: Mask, sigma_px: float) -> Mask:
    """Blur a mask (H, W) by a Gaussian of `sigma_px`; outside the frame it counts as 0."""
    side = 2 * int(TAIL * sigma_px + 1) + 1
    # In float32 OpenCV's filter is up to five times as fast as in uint8, and rounds once.
    soft = cv2.GaussianBlur(mask.astype(np.float32), (side, side), sigma_px, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(cv2.convertScaleAbs(soft), np.uint8)


def _depth(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance in pixels of each pixel to the nearest one outside; 0 outside; where all is inside, at most H + W."""
    distance = cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.minimum(np.asarray(distance, np.float32), np.float32(sum(inside.shape)))


def _ramp(values: NDArray[np.float32]) -> Mask:
    """Values in [0, 1], and what lies beyond them cut off, as M."""
    return np.asarray(cv2.convertScaleAbs(np.clip(values, 0, 1), alpha=255), np.uint8)
