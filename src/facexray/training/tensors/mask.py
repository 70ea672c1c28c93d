"""Masks on tensors, in batches: hull → deformation → erosion or dilation → softening, as `blending/mask.py` has them.

Every mask of a batch stands on a square frame: its recipe's window, with as much around it as can reach into it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from facexray.blending.deform import TAIL, node_shares
from facexray.blending.hull import HULLS, Mask, fill
from facexray.blending.recipe import Recipe
from facexray.faces.crop import CROP_SIZE
from facexray.faces.landmarks import Landmarks
from facexray.training.tensors.align import sample
from facexray.training.tensors.filters import apply, to_levels

DIAGONAL, KNIGHT = 1.4, 2.1969
"""Lengths of steps by (1, 1) and by (2, 1) pixels in OpenCV's 5 × 5 distances; a step along an axis is 1 long."""


@dataclass(frozen=True)
class MaskPlan:
    """What the host prepares of the masks of F fakes."""

    hulls: Tensor
    """(F, s, s) uint8: the filled hulls; s is a power of 2, so that float32 names their pixels exactly."""
    origins: Tensor
    """(F, 2) x, y of the frames' upper left pixels in the pixels of the hulls."""
    nodes: Tensor
    """(F, K, L, 2) displacements x, y in pixels at the grids' K × L nodes; 0 beyond a smaller grid."""
    row_shares: Tensor
    """(F, P, K) each node row's share in each row of the frame."""
    column_shares: Tensor
    """(F, P, L) each node column's share in each column of the frame."""
    margin: int
    """Pixels of the frame on each side of the widest window, which is P − 2 · margin wide."""


def plan_masks(recipes: Sequence[Recipe], landmarks: Sequence[Landmarks], widest: int) -> MaskPlan:
    """Fill the hulls and gather what the device needs to deform them.

    Args:
        recipes: F fakes, at least one.
        landmarks: Their backgrounds' (68, 2) x, y in crop pixels.
        widest: Side in pixels of the widest window of the batch.
    """
    margin = max(map(_reach, recipes))
    frame = widest + 2 * margin
    hulls, corners = zip(*map(_draw_hull, recipes, landmarks), strict=True)
    side = 1 << (max(max(hull.shape) for hull in hulls) - 1).bit_length()
    nodes = [np.array(recipe.grid_px or [[(0.0, 0.0)]]) for recipe in recipes]
    row_shares, column_shares = (
        [
            node_shares(recipe.grid_spline, grid.shape[axis], CROP_SIZE)[
                _pixels(recipe.window[1 - axis], margin, frame)
            ]
            for recipe, grid in zip(recipes, nodes, strict=True)
        ]
        for axis in (0, 1)
    )
    origins = np.array([recipe.window[:2] for recipe in recipes]) - margin - np.array(corners)
    return MaskPlan(
        _stack(hulls, side),
        torch.from_numpy(origins),
        _stack(nodes),
        _stack(row_shares),
        _stack(column_shares),
        margin,
    )


def _pixels(first: int, margin: int, count: int) -> NDArray[np.int64]:
    """A frame's pixels along one axis of the crop; beyond the crop, its border's go on."""
    return np.arange(first - margin, first - margin + count).clip(0, CROP_SIZE - 1)


def _reach(recipe: Recipe) -> int:
    """From how many pixels beyond the window something may reach into it."""
    softened = TAIL * recipe.soften_px if recipe.soften == "gaussian" else recipe.soften_px
    return math.ceil(abs(recipe.grow_px)) + math.ceil(softened) + 2


def _draw_hull(recipe: Recipe, landmarks: Landmarks) -> tuple[Mask, NDArray[np.int64]]:
    """The filled hull, and the x, y in crop pixels of its upper left pixel."""
    parts = HULLS[recipe.hull](landmarks)
    points = np.concatenate(parts)
    low = np.floor(points.min(axis=0)).clip(-CROP_SIZE, 2 * CROP_SIZE).astype(np.int64) - 1
    high = np.ceil(points.max(axis=0)).clip(-CROP_SIZE, 2 * CROP_SIZE).astype(np.int64) + 2
    width, height = high - low
    return fill([part - low.astype(np.float32) for part in parts], int(width), int(height)), low


def _stack(arrays: Sequence[NDArray[np.generic]], least: int = 0) -> Tensor:
    """Arrays of unlike shapes in one tensor, each at its upper left, and 0 beyond; its sides are `least` or longer."""
    shape = np.max([array.shape for array in arrays], axis=0).clip(least)
    stacked = np.zeros((len(arrays), *shape), arrays[0].dtype)
    for place, array in zip(stacked, arrays, strict=True):
        place[tuple(map(slice, array.shape))] = array
    return torch.from_numpy(stacked)


def make_masks(recipes: Sequence[Recipe], plan: MaskPlan, device: torch.device) -> Tensor:
    """The masks of recipes in their windows: (F, W, W) levels M · 255 for the widest window; 0 beyond narrower ones."""
    levels = _grow(_deform(plan, device), [recipe.grow_px for recipe in recipes])
    feathered = [row for row, recipe in enumerate(recipes) if recipe.soften == "feather"]
    if feathered:
        levels[feathered] = _feather(levels[feathered], [recipes[row].soften_px for row in feathered])
    # A feathered mask is not blurred: of its kernel only the middle is left.
    radii = [int(TAIL * recipe.soften_px + 1) if recipe.soften == "gaussian" else 0 for recipe in recipes]
    soft = _blur(levels, [recipe.soften_px for recipe in recipes], radii, plan.margin)
    sides = torch.tensor([recipe.window[2] for recipe in recipes])[:, None]
    inside = (torch.arange(soft.shape[1]) < sides).to(device)
    return soft * inside[:, None] * inside[:, :, None]


def _deform(plan: MaskPlan, device: torch.device) -> Tensor:
    """The hulls, moved by their grids, on their frames: (F, P, P) levels."""
    rows, columns = plan.row_shares.to(device), plan.column_shares.to(device)
    nodes = plan.nodes.to(device, rows.dtype).permute(3, 0, 1, 2)
    places = torch.arange(rows.shape[1], device=device, dtype=rows.dtype)
    x, y = rows @ nodes @ columns.mT  # (F, P, P) each
    x_first, y_first = plan.origins.to(device, rows.dtype).T[..., None, None]
    x, y = x + (places + x_first), y + (places[:, None] + y_first)
    return sample(plan.hulls.to(device)[:, None], torch.stack([x, y], -1), "bilinear", "zeros")[:, 0]


def _grow(levels: Tensor, pixels: Sequence[float]) -> Tensor:
    """Dilate masks (F, P, P) by discs of F radii; erode them where the radius is negative."""
    radii = torch.tensor(pixels)[:, None, None]
    reach = math.ceil(float(radii.abs().max())) + 1
    radii = radii.to(levels.device)
    inside = levels > 127
    edge = _ramp(distance(torch.where(radii > 0, inside, ~inside), reach) - radii.abs())
    return torch.where(radii > 0, 255 - edge, torch.where(radii < 0, edge, levels))


def _feather(levels: Tensor, widths_px: Sequence[float]) -> Tensor:
    """Let masks (F, P, P) rise linearly over F widths from their edges inwards."""
    widths = torch.tensor(widths_px, device=levels.device)[:, None, None]
    return _ramp(distance(levels <= 127, math.ceil(max(widths_px))) / widths)


def _blur(levels: Tensor, sigmas_px: Sequence[float], radii: Sequence[int], margin: int) -> Tensor:
    """Blur masks (F, P, P), 0 outside, by Gaussians that are cut off beyond F radii, and leave the margin out."""
    side = levels.shape[1] - 2 * margin
    offsets = torch.arange(-margin, side + margin) - torch.arange(side)[:, None]
    offsets = offsets.to(levels.device)
    sigma, radius = (torch.tensor(numbers, device=levels.device)[:, None, None] for numbers in (sigmas_px, radii))
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2) * (offsets.abs() <= radius)
    weights /= weights[:, :1].sum(2, keepdim=True)
    return to_levels(apply(weights, weights, levels[:, None]))[:, 0]


def _ramp(values: Tensor) -> Tensor:
    """Values in [0, 1], and what lies beyond them cut off, as levels."""
    return (values.clamp(0, 1) * 255).round()


def distance(target: Tensor, reach: int) -> Tensor:
    """OpenCV's 5 × 5 distance from each pixel to the nearest one of a target, in pixels.

    It is the norm by which a straight way is made of steps along axes, diagonals and knight's moves. A norm grows
    with each coordinate, so that of a row's target pixels only the nearest one counts, row by row.

    Args:
        target: (N, H, W) bool.
        reach: Beyond this many pixels, any value above it may come instead.

    Returns:
        (N, H, W) float32.
    """
    along = _along_rows(target, reach + 1)
    height = along.shape[1]
    rows = functional.pad(along, (0, 0, reach, reach), value=reach + 1)
    columns = torch.arange(reach + 2, device=target.device)
    nearest = along.float()
    for row in range(1, reach + 1):
        long, short = columns.clamp(min=row), columns.clamp(max=row)
        lengths = torch.maximum(
            long + (KNIGHT - 2) * short, (KNIGHT - DIAGONAL) * long + (2 * DIAGONAL - KNIGHT) * short
        )
        above, below = rows[:, reach - row :][:, :height], rows[:, reach + row :][:, :height]
        closer = torch.minimum(above, below)
        nearest = torch.minimum(nearest, lengths.index_select(0, closer.flatten()).view_as(closer))
    return nearest


def _along_rows(target: Tensor, most: int) -> Tensor:
    """Whole pixels from each pixel to the nearest one of a target (N, H, W) in its own row, at most `most`."""
    places = torch.arange(target.shape[2], dtype=torch.int32, device=target.device).expand(target.shape)
    left = places - torch.where(target, places, -most).cummax(2).values
    right = torch.where(target, places, target.shape[2] + most).flip(2).cummin(2).values.flip(2) - places
    return torch.minimum(left, right).clamp(max=most)
