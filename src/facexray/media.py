"""Which files are photographs and videos, and where they are in the user's folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"})
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts", ".mts", ".ogv"}
    | {".3g2", ".m2ts", ".mxf", ".vob"}
)


@dataclass(frozen=True)
class Sources:
    """What a walk over the user's paths found."""

    files: list[Path] = field(default_factory=list)
    """Photographs and videos, in sorted order, each once."""
    unreadable: list[tuple[Path, str]] = field(default_factory=list)
    """Paths that could not be walked, each with its reason."""
    others: list[Path] = field(default_factory=list)
    """Files in the folders that are neither photographs nor videos by their names."""
    repeated: list[tuple[Path, Path]] = field(default_factory=list)
    """Links to folders that were walked under another name, with that name."""


def find_sources(paths: Sequence[str | Path] | str | Path) -> Sources:
    """Walk files and folders (recursively) for photographs and videos; one path may stand alone.

    A file that is named outright is taken whatever its suffix; in a folder, only known suffixes are. Links to folders
    are followed; a folder to which several ways lead is walked once.
    """
    found: dict[Path, None] = {}
    unreadable: list[tuple[Path, str]] = []
    others: list[Path] = []
    repeated: list[tuple[Path, Path]] = []

    def note(error: OSError) -> None:
        unreadable.append((Path(error.filename), f"folder cannot be read ({error.strerror})"))

    for path in [Path(paths)] if isinstance(paths, str | Path) else map(Path, paths):
        if not os.path.isdir(path):  # noqa: PTH112  # that of pathlib raises where a parent is forbidden
            found[path] = None
            continue
        walked = {os.path.realpath(path): path}
        for folder, subfolders, names in os.walk(path, onerror=note, followlinks=True):
            ways = [Path(folder, name) for name in sorted(subfolders)]
            ways.sort(key=os.path.islink)  # that of pathlib raises here, too
            first = {way: walked.setdefault(os.path.realpath(way), way) for way in ways}
            subfolders[:] = [way.name for way in ways if first[way] is way]
            repeated += [(way, one) for way, one in first.items() if one is not way]
            inside = [Path(folder, name) for name in sorted(names)]
            found |= {file: None for file in inside if file.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES}
            others += [file for file in inside if file not in found]
    return Sources(list(found), unreadable, others, repeated)


def is_video(path: Path) -> bool:
    """Whether a file's name says video; every other file is taken for a photograph."""
    return path.suffix.lower() in VIDEO_SUFFIXES
