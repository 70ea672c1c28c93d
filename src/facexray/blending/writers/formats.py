"""The formats of blended sets, by their names."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from facexray.blending.writers import hdf5, tree, webdataset
from facexray.blending.writers.sample import LabelledView, Source
from facexray.errors import StoreError


class Format(Protocol):
    """What a module must have to be a format."""

    def space(self, missing: int, count: int) -> int:
        """Bytes that so many missing samples of so many take on disk, at most."""

    def missing(self, folder: Path, count: int) -> list[Sequence[int]]:
        """The samples below `count` that are still to be made, as the numbers of one part after the other."""

    def make(self, source: Source, folder: Path, part: Sequence[int]) -> None:
        """Draw the samples of a part and write them, whole or not at all; runs in the workers."""

    def write(self, folder: Path, about: dict[str, Any], made: Iterator[object]) -> None:
        """Put the set together; `made` makes the missing parts in order, one each time it goes on."""

    def labels(self, folder: Path, count: int) -> list[int]:
        """The label of every sample of a whole set."""

    def read(self, folder: Path, numbers: Iterable[int]) -> Iterator[LabelledView]:
        """Read the samples of these numbers, which rise."""


FORMATS: dict[str, Format] = {"tree": tree, "hdf5": hdf5, "webdataset": webdataset}
"""Every format by its name, that of the option --format."""


def check_space(out: Path, samples: int, need: int) -> None:
    """Refuse a set that the disk has no room for.

    Args:
        out: The set's folder.
        samples: How many are to be made.
        need: Bytes that they take, at most.

    Raises:
        StoreError: Too little space; says how much is needed.
    """
    free = shutil.disk_usage(out).free
    if free < need:
        raise StoreError(
            f"{out}: {samples} samples need up to {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; "
            "free space, or make fewer"
        )
