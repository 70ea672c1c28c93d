"""Given fakes beside blended images: the training that the paper calls "FF++ & BI" (section 4).

A data set's own fakes, each with its mask, go the way of blended images: the same window, degradations, flips and view,
from the same distributions. Their Face X-ray is that of the data set's mask, softened as masks are before a blend.
"""

from __future__ import annotations

from dataclasses import replace

from facexray.blending.config import BlendConfig
from facexray.blending.generate import Sample, first_usable, render
from facexray.blending.recipe import Recipe, draw_given_recipe
from facexray.errors import StoreError
from facexray.faces.store import FaceStore


def draw_given(config: BlendConfig, fakes: FaceStore, seed: int, epoch: int, index: int) -> Sample:
    """Draw a given fake as the sample (seed, epoch, index); one whose mask misses the window is drawn again.

    Args:
        config: The distributions of windows, flips and degradations, as for blended images, and of the Gaussian that
            softens the mask, `blur_range_px`.
        fakes: A store with masks, made by `facexray prepare FAKES --masks MASKS`.
        seed: Of the run.
        epoch: Of the run.
        index: Of the sample.

    Returns:
        The sample: its label is fake, the background of its recipe the fake's id.

    Raises:
        StoreError: The store is empty or has no masks.
        BlendError: No recipe could be made in `generate.ATTEMPTS` attempts.
    """
    check_given(fakes)
    return first_usable(lambda rng: render(draw_given_recipe(config, fakes, rng), fakes), seed, epoch, index)


def check_given(fakes: FaceStore) -> None:
    """See to it that a store has fakes to draw.

    Raises:
        StoreError: It is empty.
    """
    if not len(fakes):
        raise StoreError(f"{fakes.path}: holds no fakes; its errors.jsonl says why they were left out")


def real_like(recipe: Recipe, background: str) -> Recipe:
    """The recipe of a real face that goes the way of another recipe's: its window, degradations and flips.

    Args:
        recipe: Of a given fake, or of any other sample.
        background: Id of the real face, in a store of its own.

    Returns:
        A recipe of mode `real`, for `render` with the real face's store.
    """
    return replace(recipe.as_real(), background=background)
