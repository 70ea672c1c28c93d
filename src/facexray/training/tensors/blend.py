"""The blends on tensors, in batches, as `blending/blend.py` has them.

Each takes foregrounds and backgrounds, (N, 3, W, W) in [0, 255], the factors on the foregrounds, (N, 1, W, W) in
[0, 1], and the sides (N,) int64 of the windows within; it returns blended images (N, 3, W, W), in levels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from facexray.blending.blend import LEVELS
from facexray.training.tensors.filters import apply, matrix_of, mirrored, to_levels


def blend_alpha(foreground: Tensor, background: Tensor, alpha: Tensor, sides: Tensor) -> Tensor:
    """The blended image by equation 1, rounded once."""
    return to_levels(background + (foreground - background) * alpha)


def blend_multiband(foreground: Tensor, background: Tensor, alpha: Tensor, sides: Tensor) -> Tensor:
    """Blend each octave of detail over its own width."""
    return to_levels(background + _bands(foreground - background, alpha, sides))


def _bands(change: Tensor, alpha: Tensor, sides: Tensor, level: int = 0) -> Tensor:
    """Sum over the bands of a difference, each times its own level of the mask's Gaussian pyramid."""
    if level == LEVELS:
        return change * alpha
    small = (sides + 1) // 2
    down, up = _down(sides, change.shape[-1]), _up(small, change.shape[-1])
    coarse = apply(down, down, change)
    rest = _bands(coarse, apply(down, down, alpha), small, level + 1)
    return (change - apply(up, up, coarse)) * alpha + apply(up, up, rest)


def _down(sides: Tensor, size: int) -> Tensor:
    """The matrices by which `cv2.pyrDown` halves `size` pixels, `sides` of them of an image: (N, ⌈size / 2⌉, size)."""
    places = 2 * torch.arange((size + 1) // 2, device=sides.device)[:, None]
    taps = places + torch.arange(-2, 3, device=sides.device)
    weights = torch.tensor([1, 4, 6, 4, 1], device=sides.device) / 16 * (places < sides[:, None, None])
    return matrix_of(mirrored(taps, sides[:, None, None]), weights, size)


def _up(sides: Tensor, size: int) -> Tensor:
    """The matrices by which `cv2.pyrUp` makes `size` pixels of half as many: (N, size, ⌈size / 2⌉)."""
    places = torch.arange(size, device=sides.device)[:, None]
    taps = (places // 2 + torch.arange(-1, 2, device=sides.device)).abs().minimum(sides[:, None, None] - 1)
    between, upon = torch.tensor([[0, 4, 4], [1, 6, 1]], device=sides.device) / 8
    return matrix_of(taps, torch.where(places % 2 == 1, between, upon).expand(taps.shape), (size + 1) // 2)


BLENDS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "alpha": blend_alpha,
    "multiband": blend_multiband,
}
"""Every blend that runs on tensors, by its name in `blending.blend.BLENDS`."""
