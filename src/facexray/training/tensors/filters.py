"""Filters of batches of images that differ in size and in the filter's numbers, rounded as OpenCV rounds them.

Whatever is separable and linear, as resizing and blurring are, maps an image X to R X Cᵀ: two matrices per image,
which carry its size and its borders, so that one product filters the whole batch. Images stand on a common square
canvas; their *spans* say where: (N, 2, 2) int64, rows then columns, first and length. Beyond them is nothing of use.

A codec that follows makes a whole block of one grey level's difference. Hence OpenCV's own fixed-point numbers: its
weights are whole parts of a power of 2, and the sums are whole numbers, which float32 holds exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Taps = tuple[Tensor, Tensor]
"""Which places each written place reads along an axis, int64, and by which shares: (N, side, taps) each."""

RESIZE_UNIT, BLUR_UNIT = 2048, 256
"""Parts of 1 that OpenCV's weights are rounded to where it resizes and blurs 8-bit images."""


def apply(rows: Tensor, columns: Tensor, images: Tensor) -> Tensor:
    """R X Cᵀ of images (N, channels, h, w), for matrices R (N, H, h) and C (N, W, w): (N, channels, H, W)."""
    return rows[:, None] @ (images @ columns[:, None].mT)


def to_levels(values: Tensor) -> Tensor:
    """Values as OpenCV rounds them to 8 bits: halves to even, within [0, 255]."""
    return values.round().clamp(0, 255)


def resize(images: Tensor, kernel: str, source: Tensor, target: Tensor, side: int) -> Tensor:
    """Resize images as `cv2.resize` does.

    Args:
        images: (N, channels, W, W) levels.
        kernel: One of `degrade.KERNELS`, or `area_up`: what `area` is where it enlarges.
        source: (N, 2, 2) the spans that are read, on the images' device.
        target: (N, 2, 2) the spans that are written.
        side: Of the canvas that is written, in pixels.

    Returns:
        (N, channels, side, side) levels.
    """
    if kernel == "area":
        cells = [_cells(source[:, axis], target[:, axis], (side, images.shape[-1])) for axis in (0, 1)]
        return to_levels(apply(cells[0], cells[1], images))
    rows, columns = (_taps(kernel, source[:, axis], target[:, axis], side) for axis in (0, 1))
    if kernel in ("linear", "area_up"):
        return _resize_linearly(images, rows, columns)
    return to_levels(apply(matrix_of(*rows, images.shape[-2]), matrix_of(*columns, images.shape[-1]), images))


def _resize_linearly(images: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """By two taps; those down a column are cut off each on its own, as OpenCV's are."""
    along = images @ matrix_of(*columns, images.shape[-1])[:, None].mT
    along = (along * (RESIZE_UNIT / 16)).floor().int()
    shape = (-1, along.shape[1], -1, along.shape[3])
    above, below = (
        along.gather(2, places[:, None, :, None].expand(shape)) * (weights * RESIZE_UNIT).int()[:, None, :, None] >> 16
        for places, weights in zip(rows[0].unbind(2), rows[1].unbind(2), strict=True)
    )
    return (above + below + 2 >> 2).float()


def _taps(kernel: str, source: Tensor, target: Tensor, side: int) -> Taps:
    """What is read along one axis, by any kernel but `area`.

    Args:
        kernel: One of `_KERNELS`.
        source: (N, 2) the spans that are read; beyond them, their border pixels go on.
        target: (N, 2) the spans that are written.
        side: Length of the written axis.
    """
    (first, length), (start, wanted) = (spans[:, :, None].unbind(1) for spans in (source, target))
    places = torch.arange(side, device=source.device) - start
    share = wanted.double() / length
    scale = 1 / share
    if kernel == "nearest":
        step = ((length << 16) + wanted // 2) // wanted
        at = (step * places + step // 2 - length % 2 >> 16).double()
    elif kernel == "area_up":  # flat steps with narrow ramps between them
        whole = (places * scale).floor()
        ramp = (places + 1 - (whole + 1) * share).float()
        at = whole + torch.where(ramp <= 0, 0.0, ramp - ramp.floor())
    else:
        at = ((places + 0.5) * scale - 0.5).float().double()
    weigh, reach, unit = _KERNELS[kernel]
    taps = at.floor()[..., None] + torch.arange(1 - reach, 1 + reach, device=source.device)
    weights = weigh(at[..., None] - taps)
    weights = weights / weights.sum(2, keepdim=True)
    if unit:
        weights = (weights * unit).round() / unit
    written = (places >= 0) & (places < wanted)
    return _within(taps.long(), first, length), (weights * written[..., None]).float()


def _within(taps: Tensor, first: Tensor, length: Tensor) -> Tensor:
    """Places (N, side, taps) counted from spans' firsts, on the canvas: those beyond a span are its border's."""
    return taps.clamp(min=0).minimum(length[..., None] - 1) + first[..., None]


def matrix_of(places: Tensor, weights: Tensor, size: int) -> Tensor:
    """What is read along an axis of `size` pixels, as `Taps` has it, as matrices (N, side, size)."""
    matrix = torch.zeros((*places.shape[:2], size), device=places.device)
    return matrix.scatter_add_(2, places, weights)


def mirrored(places: Tensor, length: Tensor) -> Tensor:
    """Places of which those beyond an image's `length` are led back into it, its border pixels standing once."""
    period = (2 * length - 2).clamp(min=1)
    return torch.minimum(places.abs() % period, period - places.abs() % period)


def _cells(source: Tensor, target: Tensor, shape: tuple[int, int]) -> Tensor:
    """The matrices (N, *shape) of `area`, which shrinks: each written place is a mean over its cell of the source."""
    (first, length), (start, wanted) = (spans[:, :, None, None].unbind(1) for spans in (source, target))
    places = torch.arange(shape[0], device=source.device)[:, None] - start
    scale = 1 / (wanted.double() / length)
    low, high = places * scale, torch.minimum((places + 1) * scale, length)
    pixels = torch.arange(shape[1], device=source.device) - first
    overlap = (torch.minimum(high, pixels + 1) - torch.maximum(low, pixels)).clamp(min=0)
    written = (places >= 0) & (places < wanted)
    return torch.where(written, overlap / (high - low), 0.0).float()


def _hat(distance: Tensor) -> Tensor:
    return (1 - distance.abs()).clamp(min=0)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' kernel with a = −0.75."""
    d = distance.abs()
    near, far = (1.25 * d - 2.25) * d * d + 1, ((-0.75 * d + 3.75) * d - 6) * d + 3
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))


def _lanczos(distance: Tensor) -> Tensor:
    return torch.sinc(distance) * torch.sinc(distance / 4)


_KERNELS: dict[str, tuple[Callable[[Tensor], Tensor], int, int]] = {
    "nearest": (_hat, 1, 0),
    "linear": (_hat, 1, RESIZE_UNIT),
    "area_up": (_hat, 1, RESIZE_UNIT),
    "cubic": (_cubic, 2, 0),
    "lanczos": (_lanczos, 4, RESIZE_UNIT),
}
"""Weight by distance in pixels, reach in pixels, and the part of 1 that the weights are rounded to, if they are."""


def blur(images: Tensor, spans: Tensor, sigmas_px: Sequence[float]) -> Tensor:
    """Blur images as `cv2.GaussianBlur` does 8-bit ones, mirrored at their borders.

    Args:
        images: (N, channels, W, W) levels.
        spans: (N, 2, 2) what of them is blurred, on their device.
        sigmas_px: N standard deviations.

    Returns:
        (N, channels, W, W) levels.
    """
    kernels = [_blur_kernel(sigma) for sigma in sigmas_px]
    reach = max(map(len, kernels)) // 2
    weights = np.stack([np.pad(kernel, reach - len(kernel) // 2) for kernel in kernels])
    shares = torch.from_numpy(weights).float().to(images.device)[:, None]
    rows, columns = (_blur_matrix(shares, reach, spans[:, axis], images.shape[-1]) for axis in (0, 1))
    return (apply(rows, columns, images) / BLUR_UNIT**2 + 0.5).floor()


def _blur_kernel(sigma_px: float) -> NDArray[np.float64]:
    """The whole numbers of OpenCV's kernel: from its ends to its middle, each hands its rounding on to the next."""
    reach = round(6 * sigma_px + 1) // 2
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    kernel *= BLUR_UNIT / kernel.sum()
    ends = np.diff(np.rint(np.cumsum(kernel[:reach])), prepend=0)
    return np.concatenate([ends, [BLUR_UNIT - 2 * ends.sum()], ends[::-1]])


def _blur_matrix(weights: Tensor, reach: int, spans: Tensor, size: int) -> Tensor:
    """The matrices (N, size, size) of kernels (N, 1, 2 · reach + 1) on one axis."""
    first, length = spans[:, :, None].unbind(1)
    places = torch.arange(size, device=spans.device) - first
    taps = mirrored(places[..., None] + torch.arange(-reach, reach + 1, device=spans.device), length[..., None])
    blurred = (places >= 0) & (places < length)
    return matrix_of(_within(taps, first, length), weights * blurred[..., None], size)
