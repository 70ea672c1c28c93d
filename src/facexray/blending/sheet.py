"""The contact sheet: blended samples at a glance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.blending.generate import Layers, Sample, view_of
from facexray.blending.recipe import Recipe
from facexray.images import RGB

TILE = 160
"""Height and width of one picture on the sheet, in pixels."""
GAP = 4
LINE = 24
"""Height of a line of text, in pixels."""
COLUMNS = ("background", "foreground", "mask", "sample", "Face X-ray")


def contact_sheet(rows: Iterable[tuple[Sample, Layers]]) -> RGB:
    """A row per sample: background, foreground, mask M, the sample as the network sees it, Face X-ray B.

    Under each row stands how it was blended.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    pictures = [
        (
            [
                view_of(layers.background, sample.recipe),
                view_of(layers.foreground, sample.recipe),
                as_grey(sample.mask_levels),
                sample.image,
                as_grey(np.rint(sample.xray * 255).astype(np.uint8)),
            ],
            how_blended(sample.recipe),
        )
        for sample, layers in rows
    ]
    return picture_grid(COLUMNS, pictures)


def how_blended(recipe: Recipe) -> str:
    """The choices of a recipe that a person can see, in a line."""
    chosen = {"hull": recipe.hull, "colour": recipe.colour, "blend": recipe.blend}
    softened = f"{recipe.soften} {recipe.soften_px:.1f} px"
    return ", ".join([recipe.mode, *(f"{name} {choice}" for name, choice in chosen.items()), softened])


def picture_grid(header: Sequence[str], rows: Iterable[tuple[Sequence[RGB], str]]) -> RGB:
    """Square pictures (H, W, 3) in rows under a line of captions, as one picture; each row with a line beneath it."""
    width = len(header) * (TILE + GAP)
    line = np.full((LINE, width, 3), 255, np.uint8)
    for column, caption in enumerate(header):
        _write(line, caption, column * (TILE + GAP) + 4)
    return np.vstack([line, *(_row(pictures, note) for pictures, note in rows)])


def _row(pictures: Sequence[RGB], note: str) -> RGB:
    tiles = [cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_AREA) for picture in pictures]
    row = np.hstack([cv2.copyMakeBorder(tile, 0, 0, 0, GAP, cv2.BORDER_CONSTANT, value=(255,) * 3) for tile in tiles])
    line = np.full((LINE if note else GAP, row.shape[1], 3), 255, np.uint8)
    _write(line, note, 4)
    return np.vstack([row, line]).astype(np.uint8)


def _write(line: RGB, text: str, x: int) -> None:
    cv2.putText(line, text, (x, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)


def as_grey(values: NDArray[np.uint8]) -> RGB:
    """A mask (H, W) in steps of 1/255 as a grey picture (H, W, 3)."""
    return np.repeat(values[..., None], 3, axis=2)
