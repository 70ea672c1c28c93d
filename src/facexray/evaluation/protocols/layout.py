"""What the readers share: what is asked of them, and how they look for files without opening any video."""

from __future__ import annotations

import csv
import io
import json
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from facexray.errors import SettingsError
from facexray.evaluation.manifest import Item, Manifest
from facexray.images import printable
from facexray.media import find_sources, is_video

SPLITS = ("train", "val", "test")
COMPRESSIONS = ("raw", "c23", "c40")
COMPRESSION_NAMES = {"c0": "raw"}
"""Other names of these."""

LABELS = {"0": 0, "real": 0, "1": 1, "fake": 1}
"""How lists write a label: 0 and real, 1 and fake, in any case. Celeb-DF turns the digits round."""


@dataclass(frozen=True)
class Request:
    """What is asked of a reader."""

    data: Path
    """The data set's folder, or file, as the user named it."""
    split: str
    """`train`, `val` or `test`."""
    compression: str | None
    """`raw`, `c23` or `c40`; None asks for the only one there is."""
    where: str
    """Where the data set is had; errors say it."""

    def lacks(self, path: Path, what: str, expected: str) -> SettingsError:
        """The error that a file or folder of the layout is not there: what was expected in it, and where to get it."""
        return SettingsError(f"{printable(path)}: no such {what}; expected {expected}. To be had from {self.where}")

    def folder(self, *parts: str, expected: str) -> Path:
        """A folder of the layout.

        Raises:
            SettingsError: It is not there.
        """
        path = self.data.joinpath(*parts)
        if not is_folder(path):
            raise self.lacks(path, "folder", expected)
        return path

    def text(self, path: Path, expected: str) -> str:
        """What a list of the layout says.

        Raises:
            SettingsError: It is not there, cannot be read, or is no text.
        """
        reason = absent(path)
        if reason == NOT_THERE:
            raise self.lacks(path, "file", expected)
        try:
            if not reason:
                return path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = str(error)
        raise SettingsError(f"{printable(path)}: is no readable text ({reason}); expected {expected}. "
                            f"To be had from {self.where}")  # fmt: skip

    def json(self, path: Path, kind: type, expected: str) -> Any:
        """What a JSON list of the layout holds: a filled `dict` or `list`, by `kind`.

        Raises:
            SettingsError: It is not there, is no JSON, or holds something else or nothing.
        """
        try:
            content = json.loads(self.text(path, expected))
        except (json.JSONDecodeError, RecursionError) as error:
            raise SettingsError(f"{printable(path)}: is no JSON ({error}); expected {expected}. "
                                f"To be had from {self.where}") from error  # fmt: skip
        if not isinstance(content, kind) or not content:
            got = type(content).__name__ if content else "nothing"
            raise SettingsError(f"{printable(path)}: holds {got}; expected {expected}. To be had from {self.where}")
        return content

    def table(self, path: Path, columns: set[str], expected: str) -> list[tuple[int, dict[str, str]]]:
        """(line, cells by column) of each row of a CSV file; columns in any case, cells without outer blanks.

        Raises:
            SettingsError: It is not there, cannot be read, lacks a column, or has no row.
        """
        reader = csv.reader(io.StringIO(self.text(path, expected)))
        try:
            header = [cell.strip().lower() for cell in next(reader, [])]
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
        except csv.Error as error:
            raise SettingsError(f"{printable(path)}: line {reader.line_num}: {error}; expected {expected}") from error
        if not columns <= set(header) or not rows:
            got = f"has the columns {', '.join(header) or 'none'}" if rows else "has no row"
            raise SettingsError(f"{printable(path)}: {got}; expected {expected}")
        return [(line, {**dict.fromkeys(header, ""), **dict(zip(header, row, strict=False))}) for line, row in rows]


NOT_THERE = "not there"


def absent(path: Path) -> str | None:
    """Why a file cannot be had; None where it is there."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return NOT_THERE
    except OSError as error:
        return f"cannot be reached ({error.strerror})"
    except ValueError:  # a name with a null character in a list
        return "no possible name"
    return None if stat.S_ISREG(mode) else "is no file"


def is_folder(path: Path) -> bool:
    """Whether a folder is there; one that may not be looked at is not."""
    try:
        return path.is_dir()
    except OSError:
        return False


def place(folder: Path, name: PurePath | str) -> Path:
    """Where a listed file is: in its folder, as authors distribute it, or in videos/ there, as other tools want it."""
    official, moved = folder / name, folder / "videos" / name
    return moved if absent(official) and not absent(moved) else official


def take(manifest: Manifest, item: Item) -> None:
    """Put a listed video into a manifest: among its items if the file is there, else among the missing, with why."""
    reason = absent(item.files[0])
    if reason:
        manifest.missing.append((str(item.files[0]), reason))
    else:
        manifest.items.append(item)


def media_below(folder: Path, manifest: Manifest) -> list[Path]:
    """The photographs and videos of a folder, of any depth, in natural order; what cannot be read goes to `missing`.

    Links to folders that have another name here, under which they are taken, go there too.
    """
    found = find_sources([folder])
    manifest.missing.extend((str(path), reason) for path, reason in found.unreadable)
    manifest.missing.extend((str(path), f"same folder as another (taken as {one})") for path, one in found.repeated)
    return sorted(found.files, key=natural)


def videos_below(folder: Path, manifest: Manifest) -> list[Path]:
    """As `media_below`, of videos alone."""
    return [path for path in media_below(folder, manifest) if is_video(path)]


def natural(path: PurePath | str) -> tuple[tuple[tuple[str | int, ...], str], ...]:
    """A key that sorts paths as people count: `frame_9.png` before `frame_10.png`, folder by folder."""
    parts = [re.split(r"(\d+)", part) for part in PurePath(path).parts]
    return tuple((tuple(int(x) if i % 2 else x for i, x in enumerate(part)), "".join(part)) for part in parts)
