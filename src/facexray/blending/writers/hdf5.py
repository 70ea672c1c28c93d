"""The format `hdf5`: one file to train on, `blended.h5`.

    images        (N, 256, 256, 3) uint8 RGB
    masks         (N, 256, 256) uint8, 255 · M, gzip
    labels        (N,) uint8, 0 real, 1 fake
    backgrounds   (N,) strings, the id of the face that was kept
    recipes       (N,) strings, JSON, everything random about the sample

A process that is killed while HDF5 writes leaves a file that nobody can read. So the samples go into parts first,
each whole or absent, and from there into the file, which gets its name when all are in it. A run that goes on begins
the file again, from the parts that are there.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from facexray.blending.writers import shards
from facexray.blending.writers.sample import (
    IMAGE_BYTES,
    REST_BYTES,
    Encoded,
    LabelledView,
    Source,
    name_of,
    naming,
    recipe_bytes,
)
from facexray.blending.writers.shards import as_piece, read_shard, shard_path, write_shards
from facexray.faces.crop import VIEW_SIZE

FILE_NAME = "blended.h5"
"""The file's name in the set's folder."""
PARTS = "parts"
PART_SAMPLES = 100
"""Samples of a part: few, so that the workers go on making others while it is copied."""
ROWS = 256
"""Labels, ids and recipes that are written at once."""


def space(missing: int, count: int) -> int:
    """Bytes that so many missing samples of so many take, at most, in their parts and in the file."""
    return (missing + count) * (IMAGE_BYTES + REST_BYTES)


def make(source: Source, number: int) -> Encoded:
    """Draw a sample; its files are its rows as HDF5 stores them, so that joining need not compress."""
    sample = source.sample(number)
    files = {
        "cls": str(sample.label).encode(),
        "json": recipe_bytes(sample),
        "image": sample.image.tobytes(),
        "mask": zlib.compress(sample.mask_levels.tobytes(), 1),
    }
    return as_piece(number, files)


def missing(folder: Path, count: int) -> list[int]:
    """The numbers below `count` that are still to be made."""
    return [] if (folder / FILE_NAME).exists() else shards.missing(folder / PARTS, count, PART_SAMPLES)


def labels(folder: Path, count: int) -> list[int]:
    """The label of every sample of a whole set."""
    with naming(folder / FILE_NAME), h5py.File(folder / FILE_NAME, "r") as file:
        found: list[int] = file["labels"][:count].tolist()
        return found


def write(folder: Path, about: dict[str, Any], made: Iterable[Encoded]) -> None:
    """Write samples into parts, and all parts into the file."""
    (folder / PARTS).mkdir(exist_ok=True)
    if not (folder / FILE_NAME).exists():
        temporary = folder / f".{FILE_NAME}.part"
        count = about["settings"]["count"]
        try:
            with h5py.File(temporary, "w") as file:
                file.attrs["about"] = json.dumps({**about, "complete": True})
                file.attrs["xrays"] = "4 * M * (1 - M) of M = masks / 255"
                _copy(_through_parts(folder / PARTS, count, made), file, count)
            temporary.replace(folder / FILE_NAME)
        except RuntimeError as error:  # what HDF5 makes of a full disk
            raise OSError(f"{FILE_NAME}: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)
    shutil.rmtree(folder / PARTS)


def _through_parts(parts: Path, count: int, made: Iterable[Encoded]) -> Iterator[tuple[int, dict[str, bytes]]]:
    """The files of every sample, from the parts that are there and from those that are made on the way."""
    new = write_shards(parts, made, PART_SAMPLES)
    for start in range(0, count, PART_SAMPLES):
        part = shard_path(parts, start, PART_SAMPLES)
        if not part.exists():
            next(new)
        yield from read_shard(part, range(start, min(start + PART_SAMPLES, count)), {"cls", "json", "image", "mask"})


def _copy(samples: Iterable[tuple[int, dict[str, bytes]]], file: h5py.File, count: int) -> None:
    view = (VIEW_SIZE, VIEW_SIZE)
    images = file.create_dataset("images", (count, *view, 3), "uint8", chunks=(1, *view, 3))
    masks = file.create_dataset("masks", (count, *view), "uint8", chunks=(1, *view), compression="gzip")
    labels = file.create_dataset("labels", (count,), "uint8")
    backgrounds = file.create_dataset("backgrounds", (count,), h5py.string_dtype())
    recipes = file.create_dataset("recipes", (count,), h5py.string_dtype())
    rows: list[tuple[int, str, bytes]] = []
    for number, files in samples:
        images.id.write_direct_chunk((number, 0, 0, 0), files["image"])
        masks.id.write_direct_chunk((number, 0, 0), files["mask"])
        rows.append((int(files["cls"]), json.loads(files["json"])["background"], files["json"]))
        if len(rows) == ROWS or number == count - 1:
            here = slice(number + 1 - len(rows), number + 1)
            labels[here], backgrounds[here], recipes[here] = zip(*rows, strict=True)
            rows.clear()


def read(place: Path, numbers: Iterable[int]) -> Iterator[LabelledView]:
    """Read the samples of these numbers, of a set's folder or of its file alone."""
    path = place / FILE_NAME if place.is_dir() else place
    with naming(path), h5py.File(path, "r") as file:
        images, masks, labels, recipes = (file[name] for name in ("images", "masks", "labels", "recipes"))
        for number in numbers:
            mask, recipe = np.asarray(masks[number]), json.loads(recipes[number])
            yield LabelledView(name_of(number), np.asarray(images[number]), mask, int(labels[number]), recipe)
