"""The format `webdataset`: tar shards to stream from, readable with the package webdataset and with any tar.

blended-000000.tar            samples 0 … 999
    000000.cls                0 real, 1 fake
    000000.json               everything random about the sample, and the background's video
    000000.mask.png           M, white is 1; black where real
    000000.png                the sample
blended-000001.tar            samples 1000 … 1999, and so on
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from facexray.blending.generate import Sample
from facexray.blending.writers.parts import FOLDER, Files, await_part, part_path, parts_of, read_tar, write_part
from facexray.blending.writers.sample import (
    IMAGE_BYTES,
    REST_BYTES,
    LabelledView,
    Source,
    decode_mask,
    name_of,
    naming,
)
from facexray.images import decode_image, encode_image

SHARD_SAMPLES = 1000
"""Samples of a shard."""


def space(missing: int, count: int) -> int:
    """Bytes that so many missing samples of so many take, at most, with the parts of one shard."""
    return (missing + min(count, SHARD_SAMPLES)) * (IMAGE_BYTES + REST_BYTES)


def missing(folder: Path, count: int) -> list[Sequence[int]]:
    """The parts that are still to be made, of the shards that are still to be put together."""
    shards = [range(start, min(start + SHARD_SAMPLES, count)) for start in range(0, count, SHARD_SAMPLES)]
    parts = [part for shard in shards if not _shard_path(folder, shard[0]).exists() for part in parts_of(shard)]
    return [part for part in parts if not part_path(folder, part).exists()]


def make(source: Source, folder: Path, part: Sequence[int]) -> None:
    """Draw samples and write them as a part."""
    write_part(folder, part, (_encode(source, source.sample(number)) for number in part))


def _encode(source: Source, sample: Sample) -> Files:
    return {
        "cls": str(sample.label).encode(),
        "json": source.record(sample),
        "mask.png": encode_image(sample.mask_levels, ".png"),
        "png": encode_image(sample.image, ".png"),
    }


def write(folder: Path, about: dict[str, Any], made: Iterator[object]) -> None:
    """Put parts together to shards as they are made."""
    count = about["settings"]["count"]
    (folder / FOLDER).mkdir(exist_ok=True)
    for start in range(0, count, SHARD_SAMPLES):
        shard = _shard_path(folder, start)
        if not shard.exists():
            parts = parts_of(range(start, min(start + SHARD_SAMPLES, count)))
            _join(shard, [await_part(folder, part, made) for part in parts])
    shutil.rmtree(folder / FOLDER)


def _join(shard: Path, parts: list[Path]) -> None:
    temporary = shard.with_name(f".{shard.name}.part")
    try:
        with temporary.open("wb") as file:
            for part in parts:
                file.write(part.read_bytes())
            file.write(bytes(2 * tarfile.BLOCKSIZE))  # which ends a tar file
        temporary.replace(shard)
    finally:
        temporary.unlink(missing_ok=True)
    for part in parts:
        part.unlink()


def labels(folder: Path, count: int) -> list[int]:
    """The label of every sample of a whole set."""
    return [int(files["cls"]) for _, files in _read(folder, range(count), {"cls"})]


def read(folder: Path, numbers: Iterable[int]) -> Iterator[LabelledView]:
    """Read the samples of these numbers, which rise."""
    for number, files in _read(folder, numbers, {"cls", "json", "mask.png", "png"}):
        with naming(_shard_path(folder, number)):
            image, mask = decode_image(files["png"], "the image"), decode_mask(files["mask.png"])
            view = LabelledView(name_of(number), image, mask, int(files["cls"]), json.loads(files["json"]))
        yield view


def _read(folder: Path, numbers: Iterable[int], suffixes: set[str]) -> Iterator[tuple[int, dict[str, bytes]]]:
    for path, wanted in groupby(numbers, lambda number: _shard_path(folder, number)):
        yield from read_tar(path, wanted, suffixes)


def _shard_path(folder: Path, number: int) -> Path:
    """The shard that holds the sample of this number."""
    return folder / f"blended-{number // SHARD_SAMPLES:06d}.tar"
