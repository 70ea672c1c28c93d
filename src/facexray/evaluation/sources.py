"""What is scored, one source at a time: its frames, their faces; and the samples of a blended set.

Where a true mask is known, it comes with the face, cut by the same square.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from facexray.blending.config import BlendConfig
from facexray.blending.generate import soften_given
from facexray.blending.writers import LABELS, LabelledView, read_blended
from facexray.blending.writers.reader import about_set
from facexray.errors import MediaError
from facexray.evaluation.cache import Cache, Found
from facexray.evaluation.clock import Clock
from facexray.evaluation.manifest import Item
from facexray.evaluation.robustness import Patch
from facexray.faces.crop import VIEW_OFFSET, VIEW_SIZE
from facexray.faces.masks import Mask
from facexray.images import printable

SOFTEN_PX = math.sqrt(math.prod(BlendConfig().blur_range_px))
"""Sigma in crop pixels of the Gaussian that softens a given mask, which is black and white: the middle of those that
training draws from."""
VIEW = (VIEW_OFFSET, VIEW_OFFSET, VIEW_OFFSET + VIEW_SIZE, VIEW_OFFSET + VIEW_SIZE)
"""The view in the crop, as xyxy in crop pixels."""


@dataclass(frozen=True)
class View:
    """One face of a frame."""

    face: int
    """Number in its frame, the largest first, from 0."""
    patch: Patch
    mask: Mask | None = None
    """(256, 256) uint8, M in steps of 1/255: of a fake whose mask is known and has a boundary in view."""
    overlap: float | None = None
    """Share of its box that the true mask covers; of a blended set's fake, of the view."""


@dataclass(frozen=True)
class Look:
    """One frame that was looked at, and its faces."""

    index: int
    views: list[View] = field(default_factory=list)
    empty: str | None = None
    """Why no face of it is judged."""
    fault: str | None = None
    """What went wrong with it."""
    read: bool = True
    """Whether it could be read at all."""
    passing: bool = False
    """Whether what went wrong may not go wrong the next time."""


@dataclass(frozen=True)
class Source:
    """One item, before or after it was scored."""

    item: Item
    identity: Any
    """What its scores depend on, but for the model, as plain data: the key of the cache."""
    looks: Callable[[], Iterator[Look]]
    """Reads it; raises a MediaError where that fails, be it after some frames."""
    known: Found | None = None
    """What the cache holds of it."""
    about: dict[str, Any] = field(default_factory=dict)


def usable(crop_mask: Mask) -> Mask | None:
    """The softened mask (256, 256) of a view, of its crop's black and white one (317, 317); None without a boundary."""
    mask = soften_given(crop_mask, SOFTEN_PX, VIEW)
    return mask if mask.max() > 127 and mask.min() <= 127 else None


def without_path(error: Exception, *paths: Path) -> str:
    """An error's text without the path that it begins with: the same file elsewhere fails for the same reason."""
    text = str(error)
    for path in paths:
        text = text.removeprefix(f"{path}: ")
    return printable(text)


def is_passing(error: BaseException) -> bool:
    """Whether the same file may do without it the next time: all but a MediaError that is about its content.

    That memory ran out, or that a drive could not be read, reaches us as a MediaError's cause.
    """
    cause = error.__cause__
    number = getattr(cause, "errno", None)  # FFmpeg's and Pillow's errors are OSErrors, but their numbers no system's
    of_system = number in errno.errorcode and number != errno.EINVAL
    return not isinstance(error, MediaError) or isinstance(cause, MemoryError) or of_system


def blended_sources(data: Path, cache: Cache, clock: Clock, steps: list[str]) -> Iterator[Source]:
    """Every sample of a blended set: its video is its background's, its method its label's name.

    Raises:
        StoreError: A set that is damaged or was never finished.
    """
    place, about = about_set(data)
    made = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    dataset = printable(place.resolve().stem if place.is_file() else place.resolve().name)
    identities = [{"set": made, "sample": number} for number in range(about["settings"]["count"])]
    known = [cache.get(identity, steps) for identity in identities]
    missing = read_blended(data, [number for number, found in enumerate(known) if found is None])
    for number, found in enumerate(known):
        held: list[LabelledView] = []
        if found is None:
            with clock.measure("decode"):
                held.append(next(missing))
            facts: dict[str, Any] = {name: getattr(held[0], name) for name in ("label", "video", "name")}
        else:
            facts = found.about
        item = Item(dataset, LABELS[facts["label"]], facts["video"], facts["label"], (Path(facts["name"]),))
        yield Source(item, identities[number], partial(_look_at, data, number, held), found, facts)


def _look_at(data: Path, number: int, held: list[LabelledView]) -> Iterator[Look]:
    """The look at a sample; the sample in hand is given away, and read again should it be asked for once more."""
    sample = held.pop() if held else next(read_blended(data, [number]))
    mask = sample.mask_levels if sample.label else None
    overlap = None if mask is None else float((mask > 127).mean())
    yield Look(number, [View(0, Patch(sample.image), mask, overlap)])
