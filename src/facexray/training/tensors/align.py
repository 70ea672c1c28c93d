"""Reading images between their pixels, in batches, as OpenCV does: at 32 places per pixel and axis."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

MODES = {"linear": "bilinear", "cubic": "bicubic"}
"""Interpolations that run on tensors: names in `blending.align.INTERPOLATIONS` → names in torch."""
PLACES = 32
"""Places per pixel and axis that OpenCV tells apart."""
FINER = 32
"""It adds up a place's way along the row and down the column in so many parts of that."""


def place(
    images: Tensor, matrices: NDArray[np.float64], origins: NDArray[np.int64], side: int, interpolation: str
) -> Tensor:
    """Map images as `blending.align.place` does, which is `cv2.warpAffine`; beyond them, their border pixels go on.

    Args:
        images: (N, 3, s, s) levels.
        matrices: (N, 2, 3) from pixels of an image to pixels of its canvas.
        origins: (N, 2) x, y of the canvas' pixel from which OpenCV counts: a box's upper left.
        side: Of the canvases, in pixels.
        interpolation: One of `MODES`.

    Returns:
        (N, 3, side, side) levels.
    """
    moved = matrices.copy()
    moved[:, :, 2] -= origins
    back = np.linalg.inv(np.concatenate([moved, np.tile([[[0.0, 0.0, 1.0]]], (len(moved), 1, 1))], axis=1))[:, :2]
    pixels = np.arange(side) - origins[:, :, None]
    along = np.rint(back[:, :, :1] * pixels[:, None, 0] * PLACES * FINER)
    down = np.rint((back[:, :, 1:2] * pixels[:, None, 1] + back[:, :, 2:]) * PLACES * FINER) + FINER // 2
    columns, rows = torch.from_numpy(np.stack([along, down]).astype(np.int64)).to(images.device)
    points = (columns[:, :, None, :] + rows[:, :, :, None]).div(FINER, rounding_mode="floor") / PLACES
    grid = ((2 * points.permute(0, 2, 3, 1) + 1) / images.shape[-1] - 1).float()
    read = functional.grid_sample(images.float(), grid, MODES[interpolation], "border", align_corners=False)
    # OpenCV rounds halves up; the sum of what it reads linearly is a whole number of 1/1024.
    return (read + (0.5 + 1 / 2048)).floor().clamp(0, 255)
