"""The formats of blended sets, by their names."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from facexray.blending.writers import hdf5, tree, webdataset
from facexray.blending.writers.sample import Encoded, LabelledView, Source
from facexray.errors import StoreError


class Format(Protocol):
    """What a module must have to be a format."""

    def space(self, missing: int, count: int) -> int:
        """Bytes that so many missing samples of so many take on disk, at most."""

    def make(self, source: Source, number: int) -> Encoded:
        """Draw and encode a sample; runs in the workers."""

    def missing(self, folder: Path, count: int) -> list[int]:
        """The numbers below `count` that are still to be made."""

    def write(self, folder: Path, about: dict[str, Any], made: Iterable[Encoded]) -> None:
        """Write the missing samples, which come in order; a kill at any moment leaves whole ones."""

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
