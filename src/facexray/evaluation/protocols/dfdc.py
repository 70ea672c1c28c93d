"""The Deepfake Detection Challenge: the full data set, and its earlier preview, which is another one.

```
full:     test/labels.csv, test/aaa.mp4    validation/metadata.json, …    train/dfdc_train_part_0/metadata.json, …
preview:  dataset.json    original_videos/643049/….mp4    method_A/643049/643049_A/….mp4    method_B/…
```
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from facexray.errors import SettingsError
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.protocols.layout import LABELS, SPLITS, Request, absent, natural, place, take
from facexray.images import printable

LISTS = ("labels.csv", "metadata.json")
EXPECTED = "labels.csv (filename,label; 1 is fake) or metadata.json"
FOLDERS = {"test": "test", "validation": "val", "val": "val", "train": "train"}
"""The split that each folder holds, by its name; a training part's name says it, too."""
PART = "dfdc_train_part_"


def read_dfdc(request: Request) -> Manifest:
    """The videos of a split: of its folder, or of its parts; or of the folder itself, if that has the list.

    Raises:
        SettingsError: No list of labels there, one that is damaged, or one of another split.
    """
    manifest = Manifest([])
    for folder in _folders(request):
        key = folder.relative_to(request.data)
        for name, (label, split) in _labels(request, folder).items():
            if split in ("", request.split):
                method, video = ("real", "fake")[label], (key / name).with_suffix("").as_posix()
                take(manifest, Item("DFDC", method, video, label, (place(folder, name),), request.split))
    if not manifest.items and not manifest.missing:
        raise SettingsError(
            f"{request.data}: its lists name no video of the split {request.split}; --split names another"
        )
    return manifest


def read_dfdc_preview(request: Request) -> Manifest:
    """The videos that dataset.json puts into a split.

    Raises:
        SettingsError: No dataset.json there, or one that is damaged.
    """
    path = request.data / "dataset.json"
    expected = 'each video\'s label and set, {"method_A/….mp4": {"label": "fake", "set": "test"}, …}'
    manifest = Manifest([])
    for name, entry in request.json(path, dict, expected).items():
        label = LABELS.get(str(entry.get("label")).lower()) if isinstance(entry, dict) else None
        folder, file = PurePosixPath(name).parts[:1], PurePosixPath(name).parts[1:]
        if label is None or not file or entry.get("set") not in SPLITS:
            raise SettingsError(f"{path}: {name!r} is {entry!r}; expected {expected}")
        if entry["set"] == request.split:
            method, video = folder[0] if label else "real", str(PurePosixPath(name).with_suffix(""))
            files = (place(request.data / folder[0], PurePosixPath(*file)),)
            take(manifest, Item("DFDC-preview", method, video, label, files, request.split))
    return manifest


def _folders(request: Request) -> list[Path]:
    """The folders of a split that have a list."""
    data = request.data
    parts = [*data.glob("train/*"), *data.glob(f"{PART}*"), data / "train"]
    candidates = {"train": parts, "val": [data / "validation", data / "val"], "test": [data / "test"]}[request.split]
    there = [folder for folder in candidates if any(not absent(folder / name) for name in LISTS)] or _at_top(request)
    if not there:
        raise request.lacks(
            candidates[-1] / LISTS[0], "file", f"{EXPECTED} in the folder of the split, or of its parts"
        )
    return sorted(there, key=natural)


def _at_top(request: Request) -> list[Path]:
    """The folder itself, if it has a list, and its name speaks for no other split."""
    data, name = request.data, request.data.resolve().name
    held = "train" if name.startswith(PART) else FOLDERS.get(name)
    if held not in (None, request.split) and any(not absent(data / name) for name in LISTS):
        raise SettingsError(f"{printable(data)}: holds the split {held}, by its name, and not {request.split}; "
                            f"name it: --split {held}")  # fmt: skip
    # Of a folder whose name says nothing, a labels.csv is the test set's.
    lists = LISTS if request.split == (held or "test") else LISTS[1:]
    return [data] if any(not absent(data / name) for name in lists) else []


def _labels(request: Request, folder: Path) -> dict[str, tuple[int, str]]:
    """Label and split of each video that a folder's list names; no split where the list has none."""
    table = folder / LISTS[0]
    if absent(table):
        path = folder / LISTS[1]
        entries = request.json(path, dict, "each video's label")
        return {name: _entry(path, name, entry) for name, entry in entries.items()}
    labels = {}
    for line, row in request.table(table, {"filename", "label"}, EXPECTED):
        label = LABELS.get(row["label"].lower())
        if label is None or not PurePosixPath(row["filename"]).name:
            raise SettingsError(
                f"{printable(table)}: line {line}: {row}; expected a file name and 0 (real) or 1 (fake)"
            )
        labels[row["filename"]] = label, ""
    return labels


def _entry(path: Path, name: str, entry: Any) -> tuple[int, str]:
    """Training parts say `label` REAL or FAKE; the released validation and test sets `is_fake` 0 or 1."""
    fields = entry if isinstance(entry, dict) else {}
    value = fields.get("label", fields.get("is_fake"))
    label = int(value) if isinstance(value, bool) else LABELS.get(str(value).lower())
    if label is None or not PurePosixPath(name).name:
        raise SettingsError(
            f"{printable(path)}: {name!r} is {entry!r}; expected its label (REAL, FAKE) or is_fake (0, 1)"
        )
    split = str(fields.get("split", ""))
    return label, split if split in SPLITS else ""
