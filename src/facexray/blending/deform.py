"""Deforming and softening a mask (paper, section 3.2, step 2)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.blending.hull import Mask


def warp_on_grid(mask: Mask, displacements: NDArray[np.float32]) -> Mask:
    """Move a mask by displacements given on a coarse grid, interpolated linearly between its nodes.

    Args:
        mask: (H, W) in [0, 1].
        displacements: (rows, columns, 2) x, y in pixels, at nodes spread evenly from corner to corner.

    Returns:
        (H, W) in [0, 1]; what comes from outside is 0.
    """
    height, width = mask.shape
    rows, columns = (_hats(size, nodes) for size, nodes in zip(mask.shape, displacements.shape, strict=False))
    # cv2.remap would round places on the grid to 1/32 of a cell, which shows as steps in the mask's edge.
    field = np.einsum("ya,xb,abc->cyx", rows, columns, displacements.astype(np.float32), optimize=True)
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    warped = cv2.remap(mask, x + field[0], y + field[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(warped, np.float32)


def _hats(size: int, nodes: int) -> NDArray[np.float32]:
    """(size, nodes) share of each node in each pixel: 1 at the node, falling linearly to 0 at its neighbours."""
    places = np.linspace(0, nodes - 1, size, dtype=np.float32)
    distance = np.abs(places[:, None] - np.arange(nodes, dtype=np.float32))
    return np.asarray(np.maximum(0, 1 - distance), np.float32)


def grow(mask: Mask, pixels: int) -> Mask:
    """Dilate a mask (H, W) by a disc of `pixels` radius; erode it where `pixels` is negative."""
    if pixels == 0:
        return mask
    diameter = 2 * abs(pixels) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    operation = cv2.dilate if pixels > 0 else cv2.erode
    return np.asarray(operation(mask, disc), np.float32)


def soften(mask: Mask, sigma_px: float) -> Mask:
    """Blur a mask (H, W) by a Gaussian of `sigma_px`; outside the frame it counts as 0."""
    blurred = cv2.GaussianBlur(mask, (0, 0), sigma_px, borderType=cv2.BORDER_CONSTANT)
    return np.clip(np.asarray(blurred, np.float32), 0, 1)
