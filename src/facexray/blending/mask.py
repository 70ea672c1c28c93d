"""The mask M of a recipe: hull → deformation → erosion or dilation → softening (paper, section 3.2, step 2)."""

from __future__ import annotations

import math

import cv2
import numpy as np

from facexray.blending.deform import TAIL, blur, feather, grid_field, grow, warp
from facexray.blending.hull import HULLS, Mask, Parts, fill
from facexray.blending.recipe import Recipe
from facexray.faces.crop import CROP_SIZE
from facexray.faces.landmarks import Landmarks

Box = tuple[int, int, int, int]
"""xyxy in whole pixels; the lower right is beyond the box."""


def make_mask(recipe: Recipe, landmarks: Landmarks, region: Box) -> tuple[Mask, Box]:
    """The mask of a recipe, in the background's coordinates, where it is not 0.

    Work is done only where the mask can reach; what stands outside the region is cut off at the end, so that
    the region's border makes no edge of its own.

    Args:
        recipe: What was drawn.
        landmarks: The background's (68, 2) x, y in crop pixels.
        region: The part of the crop that is wanted.

    Returns:
        M (H, W), and its box within the region; both empty where the mask misses the region.
    """
    parts = HULLS[recipe.hull](landmarks)
    hull_box = _clip(_around(parts, 1), (-CROP_SIZE, -CROP_SIZE, 2 * CROP_SIZE, 2 * CROP_SIZE))
    blurred = recipe.soften == "gaussian"
    softened = math.ceil(TAIL * recipe.soften_px) + 1 if blurred else math.ceil(recipe.soften_px) + 1
    grown = math.ceil(abs(recipe.grow_px)) + 1
    grid = np.array(recipe.grid_px, np.float32) if recipe.grid_px else np.zeros((2, 2, 2), np.float32)
    stray = math.ceil(float(np.abs(grid).max()))

    # Where the deformed hull may lie, and what of it can be seen in the region.
    box = _clip(_expand(hull_box, stray), _expand(region, grown + softened))
    if box[0] >= box[2] or box[1] >= box[3] or hull_box[0] >= hull_box[2] or hull_box[1] >= hull_box[3]:
        return np.zeros((0, 0), np.uint8), (region[0], region[1], region[0], region[1])
    # The hull is filled whole: OpenCV draws a polygon that is cut a little differently.
    hull = fill(_moved(parts, hull_box), hull_box[2] - hull_box[0], hull_box[3] - hull_box[1])
    mask = warp(hull, hull_box[:2], grid_field(grid, recipe.grid_spline, CROP_SIZE, box), box)
    mask, box = _trim(mask, box, box)
    if not mask.size:
        return mask, (region[0], region[1], region[0], region[1])
    mask, box = _pad(mask, box, grown, _expand(region, softened))
    mask = grow(mask, recipe.grow_px)
    if blurred:
        mask, box = _pad(mask, box, softened, region)
    return _trim((blur if blurred else feather)(mask, recipe.soften_px), box, region)


def _pad(mask: Mask, box: Box, pixels: int, region: Box) -> tuple[Mask, Box]:
    """A mask with `pixels` zeros around it, but none beyond the region."""
    left, top = (max(0, min(pixels, box[axis] - region[axis])) for axis in (0, 1))
    right, bottom = (max(0, min(pixels, region[axis] - box[axis])) for axis in (2, 3))
    padded = cv2.copyMakeBorder(mask, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(padded, np.uint8), (box[0] - left, box[1] - top, box[2] + right, box[3] + bottom)


def _trim(mask: Mask, box: Box, region: Box) -> tuple[Mask, Box]:
    """The part of a mask that is above 0 and within the region."""
    x0, y0, x1, y1 = _clip(box, region)
    mask = mask[max(0, y0 - box[1]) : max(0, y1 - box[1]), max(0, x0 - box[0]) : max(0, x1 - box[0])]
    left, top, width, height = cv2.boundingRect(mask) if mask.size else (0, 0, 0, 0)
    return mask[top : top + height, left : left + width], (x0 + left, y0 + top, x0 + left + width, y0 + top + height)


def _around(parts: Parts, margin: int) -> Box:
    points = np.concatenate(parts)
    (x0, y0), (x1, y1) = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0)) + 1
    return int(x0) - margin, int(y0) - margin, int(x1) + margin, int(y1) + margin


def _moved(parts: Parts, box: Box) -> Parts:
    return [points - np.array(box[:2], np.float32) for points in parts]


def _expand(box: Box, pixels: int) -> Box:
    return box[0] - pixels, box[1] - pixels, box[2] + pixels, box[3] + pixels


def _clip(box: Box, limits: Box) -> Box:
    return max(box[0], limits[0]), max(box[1], limits[1]), min(box[2], limits[2]), min(box[3], limits[3])
