"""The format `hdf5`: one file to train on, `blended.h5`.

    images        (N, 256, 256, 3) uint8 RGB
    masks         (N, 256, 256) uint8, 255 · M, gzip
    labels        (N,) uint8, 0 real, 1 fake
    backgrounds   (N,) strings, the id of the face that was kept
    recipes       (N,) strings, JSON, everything random about the sample, and the background's video

A process that is killed while HDF5 writes leaves a file that nobody can read. So the samples go into parts first,
each whole or absent, and from there into the file, which gets its name when all are in it. A run that goes on begins
the file again, from the parts that are there.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from facexray.blending.generate import Sample
from facexray.blending.writers.parts import FOLDER, Files, await_part, part_path, parts_of, read_tar, write_part
from facexray.blending.writers.sample import (
    IMAGE_BYTES,
    REST_BYTES,
    LabelledView,
    Source,
    name_of,
    naming,
)
from facexray.faces.crop import VIEW_SIZE

FILE_NAME = "blended.h5"
"""The file's name in the set's folder."""


def space(missing: int, count: int) -> int:
    """Bytes that so many missing samples of so many take, at most, in their parts and in the file."""
    return (missing + count) * (IMAGE_BYTES + REST_BYTES)


def missing(folder: Path, count: int) -> list[Sequence[int]]:
    """The parts that are still to be made."""
    if (folder / FILE_NAME).exists():
        return []
    return [part for part in parts_of(range(count)) if not part_path(folder, part).exists()]


def make(source: Source, folder: Path, part: Sequence[int]) -> None:
    """Draw samples and write them as a part, compressed as HDF5 stores them."""
    write_part(folder, part, (_encode(source, source.sample(number)) for number in part))


def _encode(source: Source, sample: Sample) -> Files:
    return {
        "cls": str(sample.label).encode(),
        "json": source.record(sample),
        "image": sample.image.tobytes(),
        "mask": zlib.compress(sample.mask_levels.tobytes(), 1),
    }


def write(folder: Path, about: dict[str, Any], made: Iterator[object]) -> None:
    """Copy the parts into the file as they are made."""
    (folder / FOLDER).mkdir(exist_ok=True)
    if not (folder / FILE_NAME).exists():
        temporary = folder / f".{FILE_NAME}.part"
        count = about["settings"]["count"]
        try:
            with h5py.File(temporary, "w") as file:
                file.attrs["about"] = json.dumps({**about, "complete": True})
                file.attrs["xrays"] = "4 * M * (1 - M) of M = masks / 255"
                _create_datasets(file, count)
                for part in parts_of(range(count)):
                    _copy(await_part(folder, part, made), part, file)
            temporary.replace(folder / FILE_NAME)
        except RuntimeError as error:  # what HDF5 makes of a full disk
            raise OSError(f"{FILE_NAME}: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)
    shutil.rmtree(folder / FOLDER)


def _create_datasets(file: h5py.File, count: int) -> None:
    view = (VIEW_SIZE, VIEW_SIZE)
    file.create_dataset("images", (count, *view, 3), "uint8", chunks=(1, *view, 3))
    file.create_dataset("masks", (count, *view), "uint8", chunks=(1, *view), compression="gzip")
    file.create_dataset("labels", (count,), "uint8")
    file.create_dataset("backgrounds", (count,), h5py.string_dtype())
    file.create_dataset("recipes", (count,), h5py.string_dtype())


def _copy(path: Path, part: Sequence[int], file: h5py.File) -> None:
    images, masks, rows = file["images"].id, file["masks"].id, []
    for number, files in read_tar(path, part, {"cls", "json", "image", "mask"}):
        images.write_direct_chunk((number, 0, 0, 0), files["image"])
        masks.write_direct_chunk((number, 0, 0), files["mask"])
        rows.append((int(files["cls"]), json.loads(files["json"])["background"], files["json"]))
    here = slice(part[0], part[-1] + 1)
    file["labels"][here], file["backgrounds"][here], file["recipes"][here] = zip(*rows, strict=True)


def labels(folder: Path, count: int) -> list[int]:
    """The label of every sample of a whole set."""
    with naming(folder / FILE_NAME), h5py.File(folder / FILE_NAME, "r") as file:
        found: list[int] = file["labels"][:count].tolist()
        return found


def read(place: Path, numbers: Iterable[int]) -> Iterator[LabelledView]:
    """Read the samples of these numbers, of a set's folder or of its file alone."""
    path = place / FILE_NAME if place.is_dir() else place
    with naming(path), h5py.File(path, "r") as file:
        images, masks, labels, recipes = (file[name] for name in ("images", "masks", "labels", "recipes"))
        for number in numbers:
            mask, record = np.asarray(masks[number]), json.loads(recipes[number])
            yield LabelledView(name_of(number), np.asarray(images[number]), mask, int(labels[number]), record)
