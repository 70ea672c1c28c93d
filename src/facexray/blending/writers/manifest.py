"""A set's `manifest.json`: how it was made, whether it is whole, and who may write it."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from facexray.blending.config import BlendConfig
from facexray.blending.writers.formats import FORMATS
from facexray.errors import SettingsError, StoreError
from facexray.images import sha256_of, write_bytes
from facexray.locks import hold
from facexray.provenance import plain, provenance

NAME = "manifest.json"
LOCK = ".lock"


def describe(store: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a set that is about to be made of a store's faces."""
    return {
        **provenance("blend", {"store": store.absolute(), **settings}),
        "numpy_version": np.__version__,
        "opencv_version": cv2.__version__,
        "store_sha256": sha256_of(store / "faces.parquet"),
        "complete": False,
    }


def check_store(store: Path, about: Mapping[str, Any]) -> None:
    """Refuse a set whose store grew while it was made: its samples are drawn from two crowds.

    Raises:
        StoreError: The store is no longer that of the manifest.
    """
    if sha256_of(store / "faces.parquet") != about["store_sha256"]:
        raise StoreError(f"{store}: was changed while the set was made of it; make it anew, in a new folder")


def undated(about: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest without what differs between two runs of the same command."""
    return {name: value for name, value in about.items() if name not in ("date", "machine", "commit")}


def write(folder: Path, about: Mapping[str, Any]) -> None:
    """Write the manifest, whole."""
    write_bytes(folder / NAME, json.dumps(about, indent=1).encode())


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a set, whole or not.

    Raises:
        StoreError: Missing, or none that blend wrote.
    """
    path = folder / NAME
    try:
        return parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: not the manifest of a blended set ({error}); make the set anew elsewhere") from error


def parse(text: str | bytes) -> dict[str, Any]:
    """A manifest from its JSON.

    Raises:
        ValueError: Not a manifest that blend wrote.
    """
    about: dict[str, Any] = json.loads(text)
    try:
        settings = about["settings"]
        sound = about["made_by"] == "facexray blend" and settings["format"] in FORMATS and settings["count"] >= 1
        kinds = {"count": int, "seed": int, "store": str, "blending": dict}
        sound &= all(isinstance(settings[name], kind) for name, kind in kinds.items())
        sound &= isinstance(about["complete"], bool)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not what facexray blend writes: {error}") from error
    if not sound:
        raise ValueError("not what facexray blend writes")
    return about


def command_of(about: Mapping[str, Any], folder: Path) -> str:
    """The command line that makes the set, or goes on with it."""
    settings, defaults = about["settings"], plain(BlendConfig())
    words = ["facexray", "blend", settings["store"], "--out", str(folder)]
    for name in ("count", "format", "seed"):
        words += [f"--{name}", str(settings[name])]
    for name, value in settings["blending"].items():
        if value != defaults.get(name):
            words += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    return shlex.join(words)


@contextmanager
def claimed(out: Path, about: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Hold a folder for one writer, and clear what a kill left in it: a new folder, or one with the same set.

    Yields:
        The manifest: this one, or that of the run which began the set.

    Raises:
        SettingsError: The folder cannot be written, or holds something else.
        StoreError: Another process is writing it.
    """
    _check_not_foreign(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / LOCK).open("wb")
    except OSError as error:
        raise SettingsError(f"{out}: cannot be written ({error.strerror}); name another folder") from error
    with lock:
        _hold(lock, out)
        for leftover in (*out.glob(".*.part"), *out.glob("*/.*.part")):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        if _samples_in(out):
            recorded = read(out)
            _check_same(out, recorded, about)
            yield recorded
        else:
            write(out, about)
            yield about


def _check_not_foreign(out: Path) -> None:
    """Refuse a folder that holds anything, and no manifest of ours."""
    try:
        if not out.exists() or (out.is_dir() and all(map(_is_ours, out.iterdir()))):
            return
        if out.is_dir() and (out / NAME).exists():
            read(out)
            return
    except (OSError, StoreError) as error:
        raise SettingsError(f"{out}: is in the way ({error}); name a new folder, or remove it first") from error
    raise SettingsError(f"{out}: is there already and not empty; name a new folder, or remove it first")


def _is_ours(path: Path) -> bool:
    """Whether a file is one that a run which made no sample may have left."""
    return path.name == LOCK or (path.name.startswith(".manifest") and path.name.endswith(".part"))


def _samples_in(out: Path) -> bool:
    return any(path.is_file() and path.name not in (NAME, LOCK) for path in out.rglob("*"))


def _hold(lock: IO[bytes], out: Path) -> None:
    if not hold(lock):
        raise StoreError(f"{out}: another facexray blend is writing this set; wait for it to end")


def _check_same(out: Path, recorded: dict[str, Any], about: dict[str, Any]) -> None:
    there, wanted = identity(recorded), identity(about)
    other = [
        f"{name} {there.get(name)!r}, now {wanted.get(name)!r}"
        for name in sorted(there.keys() | wanted.keys())
        if there.get(name) != wanted.get(name)
    ]
    if other:
        raise SettingsError(
            f"{out}: holds a set that was begun otherwise ({'; '.join(other)}); name a new folder, or go on with:\n"
            f"{command_of(recorded, out)}"
        )


def identity(about: Mapping[str, Any]) -> dict[str, Any]:
    """What two sets must share to hold the same bytes: the place of the store is not among it."""
    names = ("facexray_version", "numpy_version", "opencv_version", "store_sha256")
    settings = json.loads(json.dumps(about["settings"]))  # tuples become lists, as they did in the manifest's file
    blending = settings.pop("blending")
    del settings["store"]
    return {**{name: about.get(name) for name in names}, **settings, **blending}
