"""DeepfakeBench's rearranged JSON, and so DF40: lists of frames, already cropped to the face.

```
{"FF-DF": {"FF-real": {"test": {"c23": {"000": {"label": "FF-real", "frames": ["FaceForensics++/…/000.png", …]}}}},
           "FF-DF":   {"test": {"c23": {"000_003": {"label": "FF-DF", "frames": […], "masks": […]}}}}}}
```
Sets of one compression have no such level.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from facexray.errors import SettingsError
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.protocols.layout import COMPRESSIONS, Request, is_folder, natural
from facexray.images import printable

EXPECTED = "data set → label → split (→ compression) → video → label and frames, as rearrange.py writes them"
METHODS = {
    "FF-DF": "Deepfakes",
    "FF-F2F": "Face2Face",
    "FF-FS": "FaceSwap",
    "FF-NT": "NeuralTextures",
    "FF-FH": "FaceShifter",
    "DFD_fake": "DeepFakeDetection",
}
LEVELS_UP = 4
"""How many folders above the JSON file the frames are looked for."""
KEPT_PARTS = 4
"""Last parts of a folder's path, such as `Deepfakes/c23/frames/000_003`, that must be found as they are; those before
may be another machine's. Fewer, and one method's frames could be taken for another's."""


def read_deepfakebench(request: Request) -> Manifest:
    """The videos of a split in one JSON file, each with its frames in order.

    The file's paths are looked for below its folder, below datasets/rgb and datasets there, and in the folders above;
    without their first parts, if need be, which are another machine's.

    Raises:
        SettingsError: It is a folder, is no such JSON, has no such split, or several compressions, none chosen.
    """
    if is_folder(request.data):
        places = (
            place for pattern in ("*.json", "preprocessing/dataset_json/*.json") for place in request.data.glob(pattern)
        )
        names = ", ".join(printable(path) for path in sorted(places, key=natural)[:5]) or "none lie there"
        raise SettingsError(f"{request.data}: is a folder; name one of DeepfakeBench's JSON files ({names})")
    manifest, frames = Manifest([]), _Frames(request.data)
    for dataset, group, name, video, compression in _videos(request, request.json(request.data, dict, EXPECTED)):
        label = _label(request, video["label"])
        listed = sorted(map(_posix, video["frames"]), key=natural)
        files = tuple(path for path in map(frames.find, listed) if path)
        if not listed:
            manifest.missing.append((f"{dataset}/{group}/{name}", "has no frames"))
        elif len(files) < len(listed):
            why = f"{len(listed) - len(files)} of {len(listed)} frames are not there: {listed[0]}"
            manifest.missing.append((f"{dataset}/{group}/{name}", why))
        if files:
            method = (METHODS.get(group) or _without_suffix(group)) if label else "real"
            masks = _masks(frames, video.get("masks") or [], files) if label else ()
            item = Item(dataset, method, f"{group}/{name}", label, files, request.split, compression, masks)
            manifest.items.append(item)
    return manifest


def _masks(frames: _Frames, listed: list[Any], files: tuple[Path, ...]) -> tuple[Path, ...]:
    """The mask of each frame, by its name; none where one lacks its mask."""
    named = {path.name: path for path in map(frames.find, map(_posix, listed)) if path}
    return tuple(named[path.name] for path in files) if {path.name for path in files} <= named.keys() else ()


def _videos(request: Request, content: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any], str]]:
    """(data set, label, name, what is said of it, compression) of each video of the split."""
    for dataset, groups in content.items():
        for group, splits in _dict(request, groups, dataset).items():
            at = f"{dataset} → {group}"
            videos = _dict(request, splits, at).get(request.split)
            if videos is None:
                has = ", ".join(splits) or "none"
                raise SettingsError(f"{request.data}: {at} has no split {request.split}, but {has}; name one: --split")
            compression = _compression(request, _dict(request, videos, at), at)
            if compression:
                videos = _dict(request, videos[compression], f"{at} → {request.split} → {compression}")
            for name, video in videos.items():
                fields = video if isinstance(video, dict) else {}
                if not isinstance(fields.get("label"), str) or not isinstance(fields.get("frames"), list):
                    raise SettingsError(
                        f"{request.data}: {at} → {request.split} → {name} is no video; expected {EXPECTED}"
                    )
                yield dataset, group, name, fields, compression


def _dict(request: Request, value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{request.data}: {at} holds {type(value).__name__}; expected {EXPECTED}")
    return value


def _compression(request: Request, videos: dict[str, Any], at: str) -> str:
    there = [name for name in COMPRESSIONS if name in videos]
    if request.compression and request.compression not in there:
        has = ", ".join(there) or "no compressions"
        raise SettingsError(f"{request.data}: {at} has {has}, not {request.compression}; leave out --compression")
    if not request.compression and len(there) > 1:
        raise SettingsError(f"{request.data}: {at} holds {', '.join(there)}; name one: --compression {there[0]}")
    return request.compression or next(iter(there), "")


def _label(request: Request, text: str) -> int:
    """Real labels end with `real`; fakes say `fake`, or name a method of FaceForensics++."""
    lower = text.lower()
    if lower.endswith("real"):
        return 0
    if "fake" in lower or lower.startswith("ff-"):
        return 1
    raise SettingsError(
        f"{request.data}: the label {text!r} says neither real nor fake; expected such as FF-real, UADFV_Fake"
    )


def _without_suffix(group: str) -> str:
    return group[: -len("_fake")] if group.lower().endswith("_fake") else group


def _posix(path: Any) -> PurePosixPath:
    """A listed path: those written on Windows have backslashes."""
    return PurePosixPath(str(path).replace("\\", "/"))


class _Frames:
    """Finds listed frames on this machine, a folder at a time."""

    def __init__(self, listing: Path) -> None:
        above = listing.absolute().parents[: 1 + LEVELS_UP]
        self._bases = [base / below for base in above for below in ("", "datasets/rgb", "datasets")]
        self._there = cache(self._list)

    def find(self, frame: PurePosixPath) -> Path | None:
        """Where a frame is; None where it is not."""
        folder, names = self._there(frame.parent)
        return folder / frame.name if frame.name in names else None

    def _list(self, folder: PurePosixPath) -> tuple[Path, frozenset[str]]:
        """The folder on this machine that has most of a listed folder's parts, and the names in it."""
        parts = folder.parts
        for dropped in range(max(1, len(parts) - KEPT_PARTS + 1)):
            for base in self._bases:
                path = base.joinpath(*parts[dropped:])
                if is_folder(path):
                    with suppress(OSError):
                        return path, frozenset(file.name for file in path.iterdir())
        return Path(), frozenset()
