"""Recipe + faces → sample. Pure: the same recipe gives the same bytes in any process, in any order."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.blending.align import ALIGNMENTS, Affine, place, then
from facexray.blending.blend import BLENDS, as_float, face_xray
from facexray.blending.colour import COLOURS, Pixels
from facexray.blending.config import BlendConfig
from facexray.blending.deform import TAIL, blur
from facexray.blending.degrade import Degradation, degrade
from facexray.blending.hull import Mask
from facexray.blending.mask import Box, make_mask
from facexray.blending.recipe import Jitter, Recipe, SourceChange, draw_recipe
from facexray.errors import BlendError
from facexray.faces.crop import CROP_SIZE, VIEW_SIZE
from facexray.faces.neighbours import FacePool
from facexray.images import RGB

MadeT = TypeVar("MadeT")

MIN_MASK = 0.01
"""Least share of the window that a mask must cover (M > ½) to be worth blending."""
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

    def mask(self, index: int) -> Mask:
        """The mask (317, 317) uint8 that came with a given fake; no other recipe asks for one."""


@dataclass(frozen=True)
class Sample:
    """One image of a blended set."""

    image: RGB
    """(256, 256, 3) uint8 RGB."""
    mask_levels: Mask
    """(256, 256) uint8: M in steps of 1/255; all 0 where real."""
    recipe: Recipe

    @property
    def mask(self) -> NDArray[np.float32]:
        """(256, 256) M in [0, 1]."""
        return as_float(self.mask_levels)

    @cached_property
    def xray(self) -> NDArray[np.float32]:
        """(256, 256) the Face X-ray B = 4·M·(1−M)."""
        return face_xray(self.mask_levels)

    @property
    def label(self) -> int:
        """0 for real, 1 for fake."""
        return self.recipe.label


@dataclass(frozen=True)
class Layers:
    """What a sample is made of, before degradation and resizing: the window's part of the crops, (S, S, …)."""

    background: RGB
    foreground: RGB
    """Aligned and colour-transferred; the background itself where real, or where a fake is given whole."""
    mask: Mask
    blended: RGB


def render(recipe: Recipe, faces: Faces) -> Sample:
    """Make the sample of a recipe.

    Raises:
        BlendError: The recipe's mask is empty, or covers the whole window.
    """
    return _Rendering(recipe, faces).sample


def render_both(recipe: Recipe, faces: Faces) -> tuple[Sample, Layers]:
    """Make the sample of a recipe, and the layers that it is made of, to look at.

    Raises:
        BlendError: The recipe's mask is empty, or covers the whole window.
    """
    rendering = _Rendering(recipe, faces)
    return rendering.sample, rendering.layers


class _Rendering:
    """The steps from a recipe to its sample, all within the window, the blend within the mask's box."""

    def __init__(self, recipe: Recipe, faces: Faces) -> None:
        self._recipe, self._faces = recipe, faces
        left, top, side = recipe.window
        self._region: Box = (left, top, left + side, top + side)
        self._index = faces.index_of[recipe.background]
        crop = faces.crop(self._index)
        self._background = crop[top : top + side, left : left + side]
        self._mask = np.zeros((side, side), np.uint8)
        self._blended = self._background
        if recipe.mode == "given":
            self._mask = self._usable(soften_given(faces.mask(self._index), recipe.soften_px, self._region))
        elif recipe.label:
            self._blend(crop if recipe.foreground == recipe.background else None)

    @property
    def sample(self) -> Sample:
        recipe = self._recipe
        image = view_of(degrade(self._blended, recipe.degradations), recipe)
        return Sample(image, view_of(self._mask, recipe), recipe)

    @property
    def layers(self) -> Layers:
        foreground = self._background
        if self._recipe.foreground is not None:
            # Resampling and JPEG depend on where the box begins: what was blended is laid over what is seen around it.
            pixels = self._foreground(self._region, self._background, self._mask)
            foreground = np.asarray(cv2.convertScaleAbs(pixels), np.uint8)
            self._part(foreground, self._box)[:] = cv2.convertScaleAbs(self._laid)
        return Layers(self._background, foreground, self._mask, self._blended)

    def _blend(self, crop: RGB | None) -> None:
        recipe = self._recipe
        mask, box = make_mask(recipe, self._faces.landmarks[self._index], self._region)
        self._part(self._mask, box)[:] = self._usable(mask)
        self._crop = crop
        if recipe.blend == "multiband":  # which reaches beyond the mask
            mask, box = self._mask, self._region
        background = self._part(self._background, box)
        self._laid, self._box = self._foreground(box, background, mask), box
        self._blended = self._background.copy()
        self._part(self._blended, box)[:] = BLENDS[recipe.blend](self._laid, background, mask, recipe.ratio)
        if recipe.leak_px:
            leak = Degradation("resample", recipe.leak_px / CROP_SIZE, "area-linear")
            self._blended = degrade(self._blended, (leak,))

    def _usable(self, mask: Mask) -> Mask:
        """A mask of the window, or of the part of it that it reaches.

        Raises:
            BlendError: It covers too little of the window, or all of it.
        """
        covered = cv2.countNonZero((mask > 127).view(np.uint8)) / self._mask.size
        if not MIN_MASK <= covered < 1:
            background = self._recipe.background
            raise BlendError(f"the mask of {background} covers {covered:.1%} of the window: nothing to blend")
        return mask

    def _part(self, image: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
        left, top = self._region[:2]
        return image[box[1] - top : box[3] - top, box[0] - left : box[2] - left]

    def _foreground(self, box: Box, background: RGB, mask: Mask) -> Pixels:
        """The foreground in a box: placed once, changed where self-blended, in the background's colours."""
        recipe, faces = self._recipe, self._faces
        assert recipe.foreground is not None
        index = faces.index_of[recipe.foreground]
        crop = faces.crop(index) if self._crop is None else self._crop
        matrix = ALIGNMENTS[recipe.align](faces.landmarks[index], faces.landmarks[self._index])
        placed = place(crop, then(matrix, jitter_matrix(recipe.jitter)), box, recipe.interpolation)
        changed = change_source(placed, recipe.source)
        return COLOURS[recipe.colour](changed, background, (mask > 127).view(np.uint8))


def soften_given(mask: Mask, sigma_px: float, region: Box) -> Mask:
    """Soften the mask (317, 317) that came with a fake, by a Gaussian, and cut out a region: (H, W).

    Beyond the crop the mask goes on as its border pixels do: where the crop ends, nothing was blended.
    """
    reach = math.ceil(TAIL * sigma_px) + 1
    x0, y0, x1, y1 = region
    around = place(mask, np.eye(2, 3), (x0 - reach, y0 - reach, x1 + reach, y1 + reach), "linear")
    return blur(around, sigma_px)[reach:-reach, reach:-reach]


def jitter_matrix(jitter: Jitter) -> Affine:
    """The map of a jitter, in crop pixels: enlarge and turn about the crop's centre, then move."""
    centre = (CROP_SIZE - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), jitter.angle_deg, jitter.scale)
    return np.asarray(matrix + np.array([[0, 0, jitter.shift_px[0]], [0, 0, jitter.shift_px[1]]]), np.float64)


def change_source(image: RGB, change: SourceChange) -> RGB:
    """Apply the changes of a self-blended foreground to its part of the crop (H, W, 3)."""
    if change == SourceChange():
        return image
    table = np.arange(256)[:, None] * np.array(change.gain) + np.array(change.offset)
    coloured = cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8)[None])
    return degrade(np.asarray(coloured, np.uint8), change.steps)


def view_of(window: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.uint8]:
    """Resize a recipe's window (S, S, …) to the view (256, 256, …) and mirror it as the recipe says.

    One that a degradation left smaller than it was comes up as the crop of a small face does.
    """
    if window.shape[0] != VIEW_SIZE:
        how = cv2.INTER_LINEAR if window.shape[0] == recipe.window[2] else cv2.INTER_CUBIC
        window = np.asarray(cv2.resize(window, (VIEW_SIZE, VIEW_SIZE), interpolation=how), np.uint8)
    if recipe.flip or recipe.flip_vertical:
        axes = -1 if recipe.flip and recipe.flip_vertical else int(recipe.flip)  # both; 1 left to right, 0 upside down
        window = np.asarray(cv2.flip(window, axes), np.uint8)
    return window if window.flags.c_contiguous else window.copy()


def sample_rng(seed: int, epoch: int, index: int, attempt: int = 0) -> np.random.Generator:
    """The dice of one sample, the same on every machine and in every process."""
    return np.random.default_rng([seed, epoch, index, attempt])


def draw_sample(config: BlendConfig, pool: FacePool, faces: Faces, seed: int, epoch: int, index: int) -> Sample:
    """Draw and make the sample (seed, epoch, index); a recipe without a usable mask is drawn again.

    Raises:
        BlendError: No recipe could be made in `ATTEMPTS` attempts.
    """
    return first_usable(lambda rng: render(draw_recipe(config, pool, rng), faces), seed, epoch, index)


def draw_both(
    config: BlendConfig, pool: FacePool, faces: Faces, seed: int, epoch: int, index: int
) -> tuple[Sample, Layers]:
    """Draw and make the same sample as `draw_sample`, and the layers that it is made of, to look at.

    Raises:
        BlendError: No recipe could be made in `ATTEMPTS` attempts.
    """
    return first_usable(lambda rng: render_both(draw_recipe(config, pool, rng), faces), seed, epoch, index)


def first_usable(make: Callable[[np.random.Generator], MadeT], seed: int, epoch: int, index: int) -> MadeT:
    """What `make` makes with the dice of the sample (seed, epoch, index), drawn again where it has no usable mask.

    Raises:
        BlendError: It has none in `ATTEMPTS` attempts.
    """
    for attempt in range(ATTEMPTS):
        try:
            return make(sample_rng(seed, epoch, index, attempt))
        except BlendError as error:
            last = error
    raise BlendError(
        f"no sample after {ATTEMPTS} attempts, the last: {last}; are the masks too small, or the erosions too large?"
    )
