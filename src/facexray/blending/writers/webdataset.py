"""The format `webdataset`: tar shards to stream from, readable with the package webdataset and with any tar.

blended-000000.tar            samples 0 … 999
    000000.cls                0 real, 1 fake
    000000.json               everything random about the sample
    000000.mask.png           M, white is 1; black where real
    000000.png                the sample
blended-000001.tar            samples 1000 … 1999, and so on
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from facexray.blending.writers import shards
from facexray.blending.writers.sample import (
    IMAGE_BYTES,
    REST_BYTES,
    Encoded,
    LabelledView,
    Source,
    decode_mask,
    name_of,
    naming,
    recipe_bytes,
)
from facexray.blending.writers.shards import as_piece, read_shard, shard_path, write_shards
from facexray.images import decode_image, encode_image

SHARD_SAMPLES = 1000
"""Samples of a shard; a kill costs at most the shard in hand."""


def space(missing: int, count: int) -> int:
    """Bytes that so many missing samples of so many take, at most."""
    return missing * (IMAGE_BYTES + REST_BYTES)


def make(source: Source, number: int) -> Encoded:
    """Draw a sample, as files by their suffixes."""
    sample = source.sample(number)
    files = {
        "cls": str(sample.label).encode(),
        "json": recipe_bytes(sample),
        "mask.png": encode_image(sample.mask_levels, ".png"),
        "png": encode_image(sample.image, ".png"),
    }
    return as_piece(number, files)


def missing(folder: Path, count: int) -> list[int]:
    """The numbers below `count` that are still to be made."""
    return shards.missing(folder, count, SHARD_SAMPLES)


def write(folder: Path, about: dict[str, Any], made: Iterable[Encoded]) -> None:
    """Write samples into their shards."""
    for _ in write_shards(folder, made, SHARD_SAMPLES):
        pass


def labels(folder: Path, count: int) -> list[int]:
    """The label of every sample of a whole set."""
    return [int(files["cls"]) for _, files in _read(folder, range(count), {"cls"})]


def read(folder: Path, numbers: Iterable[int]) -> Iterator[LabelledView]:
    """Read the samples of these numbers, which rise."""
    for number, files in _read(folder, numbers, {"cls", "json", "mask.png", "png"}):
        with naming(shard_path(folder, number, SHARD_SAMPLES)):
            image, mask = decode_image(files["png"], "the image"), decode_mask(files["mask.png"])
            view = LabelledView(name_of(number), image, mask, int(files["cls"]), json.loads(files["json"]))
        yield view


def _read(folder: Path, numbers: Iterable[int], suffixes: set[str]) -> Iterator[tuple[int, dict[str, bytes]]]:
    for path, wanted in groupby(numbers, lambda number: shard_path(folder, number, SHARD_SAMPLES)):
        yield from read_shard(path, wanted, suffixes)
