"""Faces of videos and photographs, cut by the one crop convention.

Of a video N frames are looked at, spread evenly over the whole of it, or each k-th.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facexray.errors import MediaError
from facexray.evaluation.cache import Cache
from facexray.evaluation.clock import Clock
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.robustness import Patch
from facexray.evaluation.sources import Look, Source, View, is_passing, usable, without_path
from facexray.faces.crop import Square, cut_crop
from facexray.faces.detector import FaceDetector
from facexray.faces.masks import MIN_COVER, Mask, SourceMasks, open_masks
from facexray.images import Frame, evenly, printable, read_image, read_video
from facexray.media import is_video


@dataclass
class Reader:
    """Reads items from their files."""

    cache: Cache
    clock: Clock
    frames: int
    stride: int | None
    min_face: int

    def __post_init__(self) -> None:
        self._detector = FaceDetector()

    def sources(self, manifest: Manifest, steps: list[str]) -> Iterator[Source | tuple[Item, str]]:
        """Every item's source; or the item and the reason why its files cannot be read."""
        for item in manifest.items:
            try:
                hashes = [[self.cache.sha256(path) for path in paths] for paths in (item.files, item.masks)]
            except MediaError as error:
                yield item, without_path(error, *item.files, *item.masks)
                continue
            identity = {
                "files": hashes[0],
                "masks": hashes[1],
                "frames": self.frames,
                "stride": self.stride,
                "min_face": self.min_face,
            }
            yield Source(item, identity, lambda item=item: self._looks(item), self.cache.get(identity, steps))  # type: ignore[misc]

    def _looks(self, item: Item) -> Iterator[Look]:
        masks: SourceMasks | None = None
        for frame in self.clock.each("decode", self._frames(item)):
            if isinstance(frame, Look):
                yield frame
                continue
            if item.masks and (masks is None or len(item.masks) > 1):
                masks = open_masks(item.masks[min(frame.index, len(item.masks) - 1)], None)
            with self.clock.measure("faces"):
                yield self._look(frame, masks, len(item.files) > 1)

    def _frames(self, item: Item) -> Iterator[Frame | Look]:
        """The frames of a video or photograph; or those of its pictures that are due, by their positions."""
        if len(item.files) == 1:
            path = item.files[0]
            yield from read_video(path, self.frames, self.stride) if is_video(path) else [Frame(read_image(path), 0, 0)]
            return
        for index in evenly(len(item.files), self.frames, self.stride):
            try:
                yield Frame(read_image(item.files[index]), index, 0)
            except MediaError as error:
                fault = without_path(error, item.files[index])
                yield Look(index, fault=fault, read=False, passing=is_passing(error))

    def _look(self, frame: Frame, masks: SourceMasks | None, pictures: bool) -> Look:
        found = self._detector.detect(frame.image)
        large = [face for face in found if (face.box[2:] - face.box[:2]).max() >= self.min_face]
        empty = None if large else f"every face smaller than {self.min_face} px" if found else "no face found"
        fault, passing = None, False
        whole: Mask | None = None
        if masks and large:
            try:
                whole = masks.of(replace(frame, index=0) if pictures else frame)
            except MediaError as error:
                fault, passing = f"scored without its mask: {printable(error)}", is_passing(error)
        views = []
        for number, face in enumerate(large):
            square = Square.around(face.box)
            mask, overlap = (None, None) if whole is None else _masked(whole, face.box, square)
            views.append(View(number, Patch.around(frame.image, square), mask, overlap))
        return Look(frame.index, views, empty, fault, passing=passing)


def _masked(whole: Mask, box: NDArray[np.float32], square: Square) -> tuple[Mask | None, float]:
    """The mask of a face's view, if it has a boundary there, and the share of its box that it covers."""
    x0, y0, x1, y1 = (max(0, round(float(value))) for value in box)
    within = whole[y0 : y1 + 1, x0 : x1 + 1]
    overlap = float(np.count_nonzero(within > 127) / max(1, within.size))
    return (usable(cut_crop(whole, square)) if overlap > MIN_COVER else None), overlap
