"""Shards: tar files of samples, each written whole or not at all, the same bytes each time.

A sample is as many members as it has files, `000007.cls`, `000007.json` and so on: WebDataset's convention.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from facexray.blending.writers.sample import Encoded, name_of, naming

PIECE = "piece"
"""The one file of a sample that goes into a shard."""


def shard_path(folder: Path, number: int, size: int) -> Path:
    """The shard, of those that hold `size` samples each, in which the sample of this number is."""
    return folder / f"blended-{number // size:06d}.tar"


def missing(folder: Path, count: int, size: int) -> list[int]:
    """The numbers below `count` whose shards are still to be made."""
    there = {path.name for path in folder.glob("blended-*.tar")}
    return [number for number in range(count) if shard_path(folder, number, size).name not in there]


def as_piece(number: int, files: dict[str, bytes]) -> Encoded:
    """A sample's files by their suffixes as one piece of a tar file: without times and owners, always the same."""
    blocks = []
    for suffix, data in sorted(files.items()):
        member = tarfile.TarInfo(f"{name_of(number)}.{suffix}")
        member.size = len(data)
        blocks += [member.tobuf(tarfile.USTAR_FORMAT), data, bytes(-len(data) % tarfile.BLOCKSIZE)]
    return Encoded(number, {PIECE: b"".join(blocks)})


def write_shards(folder: Path, made: Iterable[Encoded], size: int) -> Iterator[Path]:
    """Put samples' pieces, which come in order, together to shards; each is yielded when it is whole."""
    for path, samples in groupby(made, lambda sample: shard_path(folder, sample.number, size)):
        temporary = path.with_name(f".{path.name}.part")
        try:
            with temporary.open("wb") as file:
                file.writelines(sample.files[PIECE] for sample in samples)
                file.write(bytes(2 * tarfile.BLOCKSIZE))  # which ends a tar file
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        yield path


def read_shard(path: Path, numbers: Iterable[int], suffixes: set[str]) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Read these files of a shard's samples of these numbers, which rise.

    Raises:
        StoreError: The shard is missing, cut off or damaged, or lacks one of the files.
    """
    with naming(path), tarfile.open(path, "r:") as tar:
        members = iter(tar)
        for number in numbers:
            yield number, _read_sample(tar, members, name_of(number), suffixes)


def _read_sample(
    tar: tarfile.TarFile, members: Iterator[tarfile.TarInfo], name: str, suffixes: set[str]
) -> dict[str, bytes]:
    """The files of a sample, which stands somewhere after the one that was read last."""
    files: dict[str, bytes] = {}
    for member in members:
        key, _, suffix = member.name.partition(".")
        if key == name and suffix in suffixes:
            content = tar.extractfile(member)
            files[suffix] = content.read() if content else b""
            if len(files) == len(suffixes):
                return files
    raise ValueError(f"sample {name} lacks {', '.join(sorted(suffixes - files.keys()))}")
