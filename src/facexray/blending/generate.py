"""Recipe + faces → sample. Pure: the same recipe gives the same bytes in any process, in any order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.blending.blend import blend, face_xray
from facexray.blending.colour import COLOURS
from facexray.blending.deform import grow, soften, warp_on_grid
from facexray.blending.degrade import degrade
from facexray.blending.hull import HULLS, Mask
from facexray.blending.recipe import BlendConfig, Recipe, SourceChange, draw_recipe
from facexray.errors import BlendError
from facexray.faces.crop import CROP_SIZE, VIEW_SIZE
from facexray.faces.landmarks import Landmarks
from facexray.faces.neighbours import FacePool
from facexray.images import RGB

CropT = TypeVar("CropT", RGB, Mask)

MIN_MASK = 0.01
"""Least share of the crop that a mask must cover (M > ½) to be worth blending."""
ATTEMPTS = 20
"""Recipes drawn for one sample before giving up; each attempt has its own generator."""


class Faces(Protocol):
    """Where crops and landmarks come from: a `FaceStore`, or a few faces in memory."""

    @property
    def index_of(self) -> dict[str, int]:
        """Position of each face by its id."""

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """(N, 68, 2) x, y in crop pixels."""

    def crop(self, index: int) -> RGB:
        """The crop (317, 317, 3) uint8 RGB of a face."""


@dataclass(frozen=True)
class Sample:
    """One image of a blended set."""

    image: RGB
    """(256, 256, 3) uint8 RGB."""
    mask: Mask
    """(256, 256) M in [0, 1]; all 0 where real."""
    xray: NDArray[np.float32]
    """(256, 256) the Face X-ray B = 4·M·(1−M)."""
    recipe: Recipe

    @property
    def label(self) -> int:
        """0 for real, 1 for fake."""
        return self.recipe.label


@dataclass(frozen=True)
class Layers:
    """The crops of which a sample is made, before degradation and window; each (317, 317, …)."""

    background: RGB
    foreground: RGB
    """Aligned and colour-transferred; the background itself where real."""
    mask: Mask
    blended: RGB


def render(recipe: Recipe, faces: Faces) -> Sample:
    """Make the sample of a recipe.

    Raises:
        BlendError: The recipe's mask is empty, or covers the whole crop.
    """
    layers = render_layers(recipe, faces)
    mask = view_of(layers.mask, recipe)
    image = view_of(degrade(layers.blended, recipe.degradations), recipe)
    return Sample(image, mask, face_xray(mask), recipe)


def render_layers(recipe: Recipe, faces: Faces) -> Layers:
    """The background, foreground, mask and blended image of a recipe, in crop pixels.

    Raises:
        BlendError: The recipe's mask is empty, or covers the whole crop.
    """
    background = faces.crop(faces.index_of[recipe.background])
    if recipe.foreground is None:
        return Layers(background, background, np.zeros((CROP_SIZE, CROP_SIZE), np.float32), background)
    landmarks = faces.landmarks[faces.index_of[recipe.background]]
    mask = _mask(recipe, landmarks)
    pixels = background.astype(np.float32)
    if recipe.mode == "sbi":
        foreground = change_source(background, recipe.source).astype(np.float32)
    else:
        index = faces.index_of[recipe.foreground]
        crop = faces.crop(index)
        if recipe.align == "similarity":
            crop = _warp(crop, similarity(faces.landmarks[index], landmarks))
        foreground = crop.astype(np.float32)
    foreground = COLOURS[recipe.colour](foreground, pixels, mask)
    blended = blend(foreground, pixels, mask * np.float32(recipe.ratio))
    return Layers(background, np.clip(np.rint(foreground), 0, 255).astype(np.uint8), mask, blended)


def _mask(recipe: Recipe, landmarks: Landmarks) -> Mask:
    """Hull → deformation → erosion or dilation → softening, in the background's coordinates."""
    mask = HULLS[recipe.hull](landmarks, CROP_SIZE)
    if recipe.grid_px:
        mask = warp_on_grid(mask, np.array(recipe.grid_px, np.float32))
    mask = soften(grow(mask, recipe.grow_px), recipe.blur_px)
    covered = float((mask > 0.5).mean())
    if not MIN_MASK <= covered < 1:
        raise BlendError(f"the mask of {recipe.background} covers {covered:.1%} of the crop: nothing to blend")
    return mask


def similarity(source: Landmarks, target: Landmarks) -> NDArray[np.float32]:
    """The 2 × 3 rotation, scaling and shift that lays source landmarks on target ones by least squares."""
    centre_s, centre_t = source.mean(axis=0), target.mean(axis=0)
    s, t = (source - centre_s).astype(np.float64), (target - centre_t).astype(np.float64)
    # In the complex plane the best factor is <s, t> / <s, s>.
    norm = float((s * s).sum())
    a = float((s * t).sum()) / norm
    b = float((s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum()) / norm
    turn = np.array([[a, -b], [b, a]])
    return np.column_stack([turn, centre_t - turn @ centre_s]).astype(np.float32)


def _warp(image: RGB, matrix: NDArray[np.float32]) -> RGB:
    size = (image.shape[1], image.shape[0])
    warped = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def change_source(image: RGB, change: SourceChange) -> RGB:
    """Apply the colour, sharpness and place changes of a self-blended foreground to a crop (317, 317, 3)."""
    pixels = image.astype(np.float32)
    detail = pixels - np.asarray(cv2.GaussianBlur(pixels, (0, 0), 1.5), np.float32)
    gain, offset = np.array(change.gain, np.float32), np.array(change.offset, np.float32)
    changed = (pixels + np.float32(change.sharpness) * detail) * gain + offset
    centre = (CROP_SIZE - 1) / 2
    shift = centre * (1 - change.scale) + np.array(change.shift_px)
    matrix = np.array([[change.scale, 0, shift[0]], [0, change.scale, shift[1]]], np.float32)
    return _warp(np.clip(np.rint(changed), 0, 255).astype(np.uint8), matrix)


def view_of(crop: CropT, recipe: Recipe) -> CropT:
    """Cut a recipe's window out of a crop (317, 317, …), resize it to the view (256, 256, …), mirror it."""
    left, top, side = recipe.window
    window = crop[top : top + side, left : left + side]
    if side != VIEW_SIZE:
        how = cv2.INTER_AREA if side > VIEW_SIZE else cv2.INTER_LINEAR
        window = np.asarray(cv2.resize(window, (VIEW_SIZE, VIEW_SIZE), interpolation=how), crop.dtype)
    return np.ascontiguousarray(window[:, ::-1] if recipe.flip else window)


def sample_rng(seed: int, epoch: int, index: int, attempt: int = 0) -> np.random.Generator:
    """The dice of one sample, the same on every machine and in every process."""
    return np.random.default_rng([seed, epoch, index, attempt])


def draw_sample(config: BlendConfig, pool: FacePool, faces: Faces, seed: int, epoch: int, index: int) -> Sample:
    """Draw and make the sample (seed, epoch, index); a recipe without a usable mask is drawn again.

    Raises:
        BlendError: No recipe could be made in `ATTEMPTS` attempts.
    """
    for attempt in range(ATTEMPTS):
        try:
            return render(draw_recipe(config, pool, sample_rng(seed, epoch, index, attempt)), faces)
        except BlendError as error:
            last = error
    raise BlendError(f"no sample after {ATTEMPTS} attempts, the last: {last}; are the erosions too large?")
