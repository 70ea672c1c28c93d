"""Transfer of the foregrounds' colour on tensors, in batches, as `blending/colour.py` has it.

Each function takes foregrounds and backgrounds, (N, 3, H, W) levels, and the pixels that count, (N, 1, H, W) bool,
at least one of each image; it returns the changed foregrounds, (N, 3, H, W) float32 in [0, 255].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facexray.blending.colour import LEAST_STD, LOCAL_PX

WHITE = (0.950456, 1.0, 1.088754)
"""X, Y, Z of D65, as OpenCV has it."""
TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
"""From linear sRGB, as OpenCV has it."""
CUBE_ABOVE = 7.787 * 0.008856 + 16 / 116
"""Where the cubic part of the curve of L*a*b* begins."""
LAB_PARTS = (16384 / 100, 16384 / 256, 16384 / 256)
"""Parts of a unit of L*, a* and b* that OpenCV tells apart."""


def keep(foreground: Tensor, background: Tensor, inside: Tensor) -> Tensor:
    """The foregrounds as they are."""
    return foreground


def match_mean(foreground: Tensor, background: Tensor, inside: Tensor) -> Tensor:
    """Shift the foregrounds to the backgrounds' means."""
    return (foreground + _mean(background, inside) - _mean(foreground, inside)).clamp(0, 255)


def match_rgb(foreground: Tensor, background: Tensor, inside: Tensor) -> Tensor:
    """Give the foregrounds the backgrounds' means and standard deviations."""
    return _match(foreground, background, inside).clamp(0, 255)


def match_lab(foreground: Tensor, background: Tensor, inside: Tensor) -> Tensor:
    """The same in CIE L*a*b*."""
    return (_to_rgb(_match(_to_lab(foreground), _to_lab(background), inside)) * 255).clamp(0, 255)


def match_covariance(foreground: Tensor, background: Tensor, inside: Tensor) -> Tensor:
    """Give the foregrounds the backgrounds' means and full RGB covariances, by the least change that does it."""
    (mean_f, cov_f), (mean_b, cov_b) = (_mean_and_covariance(image, inside) for image in (foreground, background))
    # In its own axes the foregrounds' covariance is diagonal; those in which they hardly vary are left as they are.
    values, axes = torch.linalg.eigh(cov_f)
    varied = (values > LEAST_STD**2).double()
    roots = values.clamp(min=LEAST_STD**2).sqrt()
    roots = roots[:, :, None] * roots[:, None]
    values, vectors = torch.linalg.eigh(axes.mT @ cov_b @ axes * roots * varied[:, :, None] * varied[:, None])
    gain = vectors * values.clamp(min=0).sqrt()[:, None] @ vectors.mT / roots
    change = torch.eye(3, device=axes.device) + axes @ (gain - varied.diag_embed()) @ axes.mT
    return _transform(change.float(), foreground - mean_f).add(mean_b).clamp(0, 255)


def match_histogram(foreground: Tensor, background: Tensor, inside: Tensor) -> Tensor:
    """Give the foregrounds the backgrounds' histograms."""
    counts = _counts(background, inside)
    above, ranks = counts.cumsum(2), _counts(foreground, inside).cumsum(2).clamp(min=1)
    # A level goes between the two levels of the background whose ranks enclose its own.
    upper = torch.searchsorted(above, ranks)
    levels = torch.arange(256, device=counts.device).expand(counts.shape)
    lower = torch.where(counts > 0, levels, -1).cummax(2).values.roll(1, 2).gather(2, upper)
    lower = torch.where((upper == 0) | (lower < 0), upper, lower)
    low, high = above.gather(2, lower), above.gather(2, upper)
    table = lower + (upper - lower) * (ranks - low) / (high - low).clamp(min=1)
    return table.gather(2, foreground.long().flatten(2)).view_as(foreground).float()


def _counts(image: Tensor, inside: Tensor) -> Tensor:
    """How many of the pixels that count have each grey level: (N, 3, 256)."""
    levels = torch.where(inside, image.long(), 256).flatten(2)
    counts = torch.zeros((*levels.shape[:2], 257), dtype=torch.int64, device=image.device)
    return counts.scatter_add_(2, levels, torch.ones_like(levels))[..., :256]


def _mean(image: Tensor, inside: Tensor) -> Tensor:
    """(N, 3, 1, 1)."""
    return (image * inside).sum((2, 3), keepdim=True) / inside.sum((2, 3), keepdim=True)


def _match(foreground: Tensor, background: Tensor, inside: Tensor) -> Tensor:
    """Give each channel the background's mean and standard deviation."""
    mean_f, mean_b = _mean(foreground, inside), _mean(background, inside)
    std_f, std_b = (
        _mean((image - mean) ** 2, inside).sqrt() for image, mean in ((foreground, mean_f), (background, mean_b))
    )
    gain = torch.where(std_f > LEAST_STD, std_b / std_f.clamp(min=LEAST_STD), 1.0)
    return (foreground - mean_f) * gain + mean_b


def _mean_and_covariance(image: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 3, 1, 1) and (N, 3, 3) float64."""
    mean = _mean(image, inside)
    pixels = ((image - mean) * inside).flatten(2)
    return mean, (pixels @ pixels.mT).double() / inside.sum((2, 3))[..., None]


def _transform(matrix: Tensor, image: Tensor) -> Tensor:
    """Every pixel's channels times a matrix (3, 3) or (N, 3, 3)."""
    return (matrix @ image.flatten(2)).view_as(image)


def _to_lab(levels: Tensor) -> Tensor:
    """SRGB → L*a*b*, as OpenCV finds it: between the nodes of a table, in 512 steps and whole parts of its units."""
    steps = ((levels / 255 * 16384).round() / 32).floor()
    nodes = _lab_nodes().to(levels.device).expand(len(levels), -1, -1, -1, -1)
    points = (steps / 256 - 1).permute(0, 2, 3, 1)[:, None]
    lab = functional.grid_sample(nodes, points, "bilinear", "border", align_corners=True)[:, :, 0]
    parts = torch.tensor(LAB_PARTS, device=levels.device)[:, None, None]
    return (lab * parts + 0.5).floor() / parts


@cache
def _lab_nodes() -> Tensor:
    """(1, 3, 33, 33, 33) L*a*b* at every 32nd of blue, green and red."""
    shares = np.linspace(0, 1, 33, dtype=np.float32)
    blue, green, red = np.meshgrid(shares, shares, shares, indexing="ij")
    lab = cv2.cvtColor(np.stack([red, green, blue], -1).reshape(33, -1, 3), cv2.COLOR_RGB2LAB)
    return torch.from_numpy(lab.reshape(1, 33, 33, 33, 3)).permute(0, 4, 1, 2, 3)


def _to_rgb(lab: Tensor) -> Tensor:
    """L*a*b* → sRGB, its linear light cut off beyond [0, 1]."""
    y = (lab[:, 0] + 16) / 116
    roots = torch.stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200], 1)
    xyz = torch.where(roots > CUBE_ABOVE, roots**3, (roots - 16 / 116) / 7.787)
    back = np.linalg.inv(np.array(TO_XYZ) / np.array(WHITE)[:, None])
    linear = _transform(torch.from_numpy(back).to(lab), xyz).clamp(0, 1)
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def match_local(foreground: Tensor, background: Tensor, inside: Tensor) -> Tensor:
    """Give the foregrounds the backgrounds' means over each pixel's neighbourhood."""
    apart, counted = torch.where(inside, background - foreground, 0.0), inside.to(foreground)
    sums, counts = (
        functional.avg_pool2d(values, LOCAL_PX, 1, LOCAL_PX // 2) * LOCAL_PX**2 for values in (apart, counted)
    )
    return (foreground + sums / counts.clamp(min=1)).clamp(0, 255)


COLOURS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "none": keep,
    "mean": match_mean,
    "rgb": match_rgb,
    "lab": match_lab,
    "covariance": match_covariance,
    "histogram": match_histogram,
    "local": match_local,
}
"""Every colour method that runs on tensors, by its name in `blending.colour.COLOURS`."""
