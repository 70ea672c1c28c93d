"""The contact sheet: blended samples at a glance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.blending.generate import Layers, Sample, view_of
from facexray.images import RGB

TILE = 160
"""Height and width of one picture on the sheet, in pixels."""
GAP = 4
COLUMNS = ("background", "foreground", "mask", "sample", "Face X-ray")


def contact_sheet(rows: Iterable[tuple[Sample, Layers]]) -> RGB:
    """A row per sample: background, foreground, mask M, the sample as the network sees it, Face X-ray B.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    pictures = [
        [
            view_of(layers.background, sample.recipe),
            view_of(layers.foreground, sample.recipe),
            as_grey(sample.mask_levels),
            sample.image,
            as_grey(np.rint(sample.xray * 255).astype(np.uint8)),
        ]
        for sample, layers in rows
    ]
    return picture_grid(COLUMNS, pictures)


def picture_grid(header: Sequence[str], rows: Iterable[Sequence[RGB]]) -> RGB:
    """Square pictures (H, W, 3) in rows under a line of captions, as one picture."""
    line = np.full((24, len(header) * (TILE + GAP), 3), 255, np.uint8)
    for column, caption in enumerate(header):
        place = (column * (TILE + GAP) + 4, 17)
        cv2.putText(line, caption, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([line, *map(_row, rows)])


def _row(pictures: Sequence[RGB]) -> RGB:
    tiles = [cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_AREA) for picture in pictures]
    framed = [cv2.copyMakeBorder(tile, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=(255,) * 3) for tile in tiles]
    return np.hstack(framed).astype(np.uint8)


def as_grey(values: NDArray[np.uint8]) -> RGB:
    """A mask (H, W) in steps of 1/255 as a grey picture (H, W, 3)."""
    return np.repeat(values[..., None], 3, axis=2)
