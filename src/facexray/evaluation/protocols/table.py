"""A CSV file of your own: a row per video, per photograph, or per frame.

```
file,label,dataset,method,video,split,compression,mask
clips/a.mp4,fake,web,lipsync,,test,,
frames/b/9.png,real,web,,b,test,,
frames/b/10.png,real,web,,b,test,,
```
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import PurePath

from facexray.errors import SettingsError
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.protocols.layout import COMPRESSION_NAMES, COMPRESSIONS, LABELS, SPLITS, Request, absent
from facexray.images import printable
from facexray.media import is_video

EXPECTED = "columns file and label (real, fake; or 0, 1), and any of dataset, method, video, split, compression, mask"

Rows = list[tuple[int, Item]]


def read_csv(request: Request) -> Manifest:
    """The rows of a split, or all where there is no column `split`; of one compression, and those that name none.

    Rows of one (dataset, method, video) are the frames of one video, in the rows' order; without the column `video`,
    each file is a video of its own. Paths are relative to the CSV file's folder. A real's method is `real`.

    Raises:
        SettingsError: It cannot be read, lacks a column, or has rows that say too little or contradict each other.
    """
    videos: dict[tuple[tuple[str, str, str], str], Rows] = defaultdict(list)
    lines: dict[PurePath, int] = {}
    for line, cells in request.table(request.data, {"file", "label"}, EXPECTED):
        item = _item(request, line, cells)
        if lines.setdefault(item.files[0], line) != line:
            raise _wrong(request, line, f"names the file of line {lines[item.files[0]]} again")
        videos[item.key, item.compression].append((line, item))
    compression = _compression(request, sorted({compression for _, compression in videos} - {""}))
    manifest = Manifest([])
    for (_, of_rows), rows in videos.items():
        _check(request, rows)
        if of_rows in ("", compression) and rows[0][1].split in ("", request.split):
            _take(manifest, [item for _, item in rows])
    return manifest


def _compression(request: Request, there: list[str]) -> str:
    """The compression that is asked for, or the only one there is; nothing where the rows name none."""
    if request.compression and request.compression not in there:
        has = ", ".join(there) or "nothing"
        raise SettingsError(f"{request.data}: its column compression names {has}, not {request.compression}; "
                            "leave out --compression, or name the compression in the rows")  # fmt: skip
    if not request.compression and len(there) > 1:
        raise SettingsError(f"{request.data}: holds {', '.join(there)} as compressions; "
                            f"name one: --compression {there[0]}")  # fmt: skip
    return request.compression or next(iter(there), "")


def _item(request: Request, line: int, cells: dict[str, str]) -> Item:
    """What one row says."""
    label = LABELS.get(cells["label"].lower())
    if label is None or not cells["file"]:
        raise _wrong(
            request, line, f"says {cells['label']!r} of {cells['file']!r}: a file, and real or fake, are needed"
        )
    compression = COMPRESSION_NAMES.get(cells.get("compression", ""), cells.get("compression", ""))
    cells = cells | {"compression": compression}
    for column, known in (("split", SPLITS), ("compression", COMPRESSIONS)):
        value = cells.get(column, "")
        if value not in known and (value or (column in cells and column == "split")):
            raise _wrong(request, line, f"has the {column} {value!r}; known are {', '.join(known)}")
    method = (cells.get("method") or "fake") if label else "real"
    if label and method == "real":
        raise _wrong(request, line, "is a fake of a method called real; name it otherwise")
    mask = (request.data.parent / cells["mask"],) if label and cells.get("mask") else ()
    return Item(
        cells.get("dataset") or request.data.stem,
        method,
        cells.get("video") or cells["file"],
        label,
        (request.data.parent / cells["file"],),
        cells.get("split", ""),
        compression,
        mask,
    )


def _check(request: Request, rows: Rows) -> None:
    """Refuse rows that contradict the first one of their video."""
    first, item = rows[0]
    for line, other in rows[1:]:
        if (other.split, bool(other.masks)) != (item.split, bool(item.masks)):
            raise _wrong(
                request, line, f"is a frame of the video of line {first}, but of another split, or one has no mask"
            )
        if is_video(other.files[0]) or is_video(item.files[0]):
            raise _wrong(request, line, f"makes, with line {first}, one video of files that are videos; name two")


def _take(manifest: Manifest, frames: list[Item]) -> None:
    """Put a video into the manifest, of its frames that are there; its masks count only if all of these have theirs."""
    reasons = {path: absent(path) for frame in frames for path in (*frame.files, *frame.masks)}
    manifest.missing.extend((str(path), reason) for path, reason in reasons.items() if reason)
    there = [frame for frame in frames if not reasons[frame.files[0]]]
    masks = tuple(mask for frame in there for mask in frame.masks if not reasons[mask])
    if there:
        files = tuple(frame.files[0] for frame in there)
        manifest.items.append(replace(there[0], files=files, masks=masks if len(masks) == len(files) else ()))


def _wrong(request: Request, line: int, what: str) -> SettingsError:
    return SettingsError(f"{printable(request.data)}: line {line} {what}")
