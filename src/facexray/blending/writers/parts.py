"""Parts: tar files of a few samples, each written by a worker, whole or not at all, the same bytes each time.

The formats of few large files put these together from parts. A sample is as many members as it has files,
`000007.cls`, `000007.json` and so on: WebDataset's convention.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from facexray.blending.writers.sample import name_of, naming
from facexray.images import write_bytes

FOLDER = "parts"
"""Of a set that is being made."""
PART_SAMPLES = 10
"""Samples that are made at once; a kill costs at most these, of every worker."""

Files = Mapping[str, bytes]
"""A sample's files by their suffixes."""


def parts_of(numbers: Sequence[int]) -> list[Sequence[int]]:
    """Numbers as those of one part after the other."""
    return [numbers[start : start + PART_SAMPLES] for start in range(0, len(numbers), PART_SAMPLES)]


def part_path(folder: Path, part: Sequence[int]) -> Path:
    """Where a part of a set lies, by the numbers in it."""
    return folder / FOLDER / f"{name_of(part[0])}.tar"


def write_part(folder: Path, part: Sequence[int], samples: Iterable[Files]) -> None:
    """Write a part: a tar file but for its end, so that parts after each other are one again."""
    blocks = []
    for number, files in zip(part, samples, strict=True):
        for suffix, data in sorted(files.items()):
            member = tarfile.TarInfo(f"{name_of(number)}.{suffix}")  # no time, no owner
            member.size = len(data)
            blocks += [member.tobuf(tarfile.USTAR_FORMAT), data, bytes(-len(data) % tarfile.BLOCKSIZE)]
    write_bytes(part_path(folder, part), b"".join(blocks))


def await_part(folder: Path, part: Sequence[int], made: Iterator[object]) -> Path:
    """Have `made` go on until this part is there, and say where.

    Raises:
        FileNotFoundError: It was removed.
    """
    path = part_path(folder, part)
    if not (path.exists() or any(path.exists() for _ in made)):
        raise FileNotFoundError(path)
    return path


def read_tar(path: Path, numbers: Iterable[int], suffixes: set[str]) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Read these files of a tar file's samples of these numbers, which rise.

    Raises:
        StoreError: The tar file is missing, cut off or damaged, or lacks one of the files.
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
