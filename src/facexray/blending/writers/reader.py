"""Reading blended sets, of whatever format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py

from facexray.blending.writers import manifest
from facexray.blending.writers.formats import FORMATS
from facexray.blending.writers.hdf5 import FILE_NAME
from facexray.blending.writers.sample import UNREADABLE, LabelledView
from facexray.errors import StoreError


def is_blended_set(path: Path) -> bool:
    """Whether a path is a blended set: a folder with manifest.json or blended.h5, or such a file itself."""
    return _file_of(path) is not None


def _file_of(path: Path) -> Path | None:
    candidates = [path / manifest.NAME, path / FILE_NAME] if path.is_dir() else [path]
    names = (manifest.NAME, ".h5", ".hdf5")
    return next((file for file in candidates if file.is_file() and file.name.endswith(names)), None)


def about_set(path: Path) -> tuple[Path, dict[str, Any]]:
    """Where a whole blended set lies, and how it was made.

    Args:
        path: The set's folder, its manifest.json, or a blended.h5 that may stand alone.

    Returns:
        The folder, or the HDF5 file that stands alone; and what its manifest says.

    Raises:
        StoreError: No blended set there, it was not finished, or its manifest is damaged.
    """
    path = Path(path)
    file = _file_of(path)
    if file is None:
        raise StoreError(f"{path}: no blended set here; make one with: facexray blend STORE --count 100 --out {path}")
    if file.name != manifest.NAME:
        try:
            with h5py.File(file, "r") as opened:
                return file, manifest.parse(opened.attrs["about"])
        except UNREADABLE as error:
            raise StoreError(f"{file}: not a blended set ({error}); get it again, or make it anew") from error
    about = manifest.read(file.parent)
    if not about["complete"]:
        command = manifest.command_of(about, file.parent)
        raise StoreError(f"{file.parent}: a blended set that was not finished; to go on with it, run:\n{command}")
    return file.parent, about


def read_blended(path: Path, numbers: Iterable[int] | None = None) -> Iterator[LabelledView]:
    """Read a blended set of any format, one sample at a time, in the order of their numbers.

    Args:
        path: The set's folder, its manifest.json, or a blended.h5 that may stand alone.
        numbers: Of the samples to read, rising; all if not said.

    Raises:
        StoreError: No blended set there, it was not finished, or it is damaged.
    """
    place, about = about_set(path)
    settings = about["settings"]
    wanted = range(settings["count"]) if numbers is None else numbers
    try:
        yield from FORMATS[settings["format"]].read(place, wanted)
    except StoreError as error:
        folder = place if place.is_dir() else place.with_suffix("")
        raise StoreError(f"{error}:\n{manifest.command_of(about, folder)}") from error
