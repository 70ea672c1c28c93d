"""What an evaluation has scored already, so that a killed run goes on and other metrics take seconds.

`cache.jsonl` in the folder of the results has two kinds of lines, appended as they come: the SHA-256 of a file, so that
it is read once as long as its size and time of change stay; and the faces that were found in a source, by the model, by
facexray's version, and by all that decides what they score. A line that a kill tore is ignored, and its source scored
again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from io import FileIO
from pathlib import Path
from typing import IO, Any

from facexray.errors import MediaError, SettingsError, StoreError
from facexray.images import printable, sha256_of
from facexray.locks import hold

NAME = "cache.jsonl"
LOCK = ".lock"
SCORING_VERSION = 1
"""Of the code that turns a file into scores: raise it whenever the same file may come out otherwise."""


@dataclass
class FoundFace:
    """A face of a frame, as it was scored."""

    frame: int
    face: int
    overlap: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    """By the names of `SCORES`."""
    localisation: dict[str, float] = field(default_factory=dict)
    degraded: dict[str, float] = field(default_factory=dict)
    """The class head's score under each degradation of the robustness sweep, by its name."""


@dataclass
class Found:
    """What a source gave."""

    frames: int = 0
    """That were looked at."""
    faces: list[FoundFace] = field(default_factory=list)
    reason: str | None = None
    """Why nothing, or not all of it, was judged."""
    about: dict[str, Any] = field(default_factory=dict)
    """What a blended set says of its sample, so that it need not be read again."""


class Cache:
    """The scores that a folder holds of one model. Use as a context manager: it holds the folder for one run."""

    def __init__(self, out: Path, model_sha256: str) -> None:
        """Open the folder's cache, or begin one.

        Raises:
            SettingsError: The folder cannot be written.
            StoreError: Another evaluation is writing it.
        """
        self._out, self._model = out, model_sha256
        self._code = [version("facexray"), SCORING_VERSION]
        self._hashes: dict[str, tuple[int, int, str]] = {}
        self._found: dict[str, dict[str, Any]] = {}
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(out)
            self._file = self._open(out / NAME)
        except OSError as error:
            raise SettingsError(f"{out}: cannot be written ({error.strerror}); name another folder") from error

    def _open(self, path: Path) -> FileIO:
        """Read what is there, and open the file for more; what is no whole line of ours is ignored."""
        last = b"\n"
        if path.exists():
            with path.open("rb") as known:
                for last in known:
                    self._take(last)
        file = path.open("ab", buffering=0)
        if not last.endswith(b"\n"):
            file.write(b"\n")
        return file

    def _take(self, text: bytes) -> None:
        try:
            line = json.loads(text)
            if "sha256" in line:
                self._hashes[line["file"]] = (line["size"], line["mtime_ns"], line["sha256"])
            elif line["model"] == self._model:
                self._found[line["key"]] = line["found"]
        except (ValueError, LookupError, TypeError):
            return

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._lock.close()

    def sha256(self, path: Path) -> str:
        """The SHA-256 of a file, computed once as long as its size and time of change stay.

        Raises:
            MediaError: Missing, or unreadable.
        """
        try:
            about = path.stat()
        except OSError as error:
            raise MediaError(f"{path}: cannot be read ({error.strerror})") from error
        name = printable(path.absolute())
        size, mtime_ns, sha256 = self._hashes.get(name, (-1, -1, ""))
        if (size, mtime_ns) != (about.st_size, about.st_mtime_ns):
            sha256 = sha256_of(path)
            self._hashes[name] = (about.st_size, about.st_mtime_ns, sha256)
            self._append({"file": name, "size": about.st_size, "mtime_ns": about.st_mtime_ns, "sha256": sha256})
        return sha256

    def get(self, identity: Any, steps: list[str]) -> Found | None:
        """What a source gave, if it was scored, and under all these degradations.

        Args:
            identity: All that decides what it scores, as plain data: its bytes, the settings, never its name.
            steps: Names of degradations.
        """
        found = self._found.get(self._key(identity))
        try:
            if found is None or any(step not in face["degraded"] for face in found["faces"] for step in steps):
                return None
            return Found(**{**found, "faces": [FoundFace(**face) for face in found["faces"]]})
        except (TypeError, LookupError):  # written by another version
            return None

    def put(self, identity: Any, found: Found) -> None:
        """Keep what a source gave.

        Raises:
            StoreError: The disk refuses.
        """
        key = self._key(identity)
        self._found[key] = asdict(found)
        self._append({"model": self._model, "key": key, "found": self._found[key]})

    def _key(self, identity: Any) -> str:
        """The key of a source, as this code scores it."""
        return hashlib.sha256(json.dumps([self._code, identity], sort_keys=True).encode()).hexdigest()[:32]

    def _append(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            if self._file.write(text) != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise StoreError(
                f"{self._out}: cannot be written ({error.strerror}); free space and run the same command again: it "
                "goes on where it stopped"
            ) from error


def _lock(out: Path) -> IO[bytes]:
    """Hold a folder for one run."""
    file = (out / LOCK).open("wb")
    if not hold(file):
        file.close()
        raise StoreError(f"{out}: another facexray evaluate is writing here; wait for it to end")
    return file
