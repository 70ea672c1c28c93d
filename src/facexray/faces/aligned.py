"""The aligned crops of the authors' public generator, beside their landmarks.json: read and written."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from facexray.errors import MediaError, SettingsError
from facexray.faces.crop import CROP_SIZE, Square, cut_crop
from facexray.faces.landmarks import read_landmarks_json, write_landmarks_json
from facexray.faces.masks import Mask
from facexray.faces.store import Face, FaceStore
from facexray.images import RGB, read_image, write_bytes, write_image
from facexray.provenance import provenance

Found = tuple[Face, RGB, Mask | None]
"""A face, its crop (317, 317, 3), and the mask (317, 317) of a given fake."""
Reader = Callable[[Path, str, str | None], Iterator[Found | str]]
"""Reads a source (path, sha256, identity): yields its faces, and the reasons of what it skipped."""


def aligned_reader(landmarks_json: Path, files: Iterable[Path]) -> Reader:
    """The reader for the aligned crops of the authors' public generator, named `{video}_{frame}.png`.

    Args:
        landmarks_json: Names crops without their folders. Of several of one name, it means the one beside it.
        files: All that will be read.
    """
    landmarks, met = read_landmarks_json(landmarks_json), Counter(path.name for path in files)
    beside = landmarks_json.resolve().parent

    def read(path: Path, sha256: str, person: str | None) -> Iterator[Found | str]:
        if path.name not in landmarks:
            yield f"not named in {landmarks_json.name}"
            return
        if met[path.name] > 1 and path.resolve().parent != beside:
            yield f"one of {met[path.name]} of its name, of which {landmarks_json.name} means the one beside it"
            return
        image = read_image(path)
        height, width = image.shape[:2]
        if height != width:
            raise MediaError(f"{path}: an aligned crop must be square (got {height} × {width})")
        points = landmarks[path.name]
        inside = ((points >= 0) & (points < width)).all(axis=1).mean()
        if inside < 0.5:
            yield "landmarks lie outside the crop (they are of another image size?)"
            return
        video, _, frame = path.stem.rpartition("_")
        square = Square(0, 0, width)
        yield (
            Face(
                id=f"{path.stem}-{sha256[:12]}",
                source=str(path),
                video=video or path.stem,
                frame=int(frame) if frame.isdecimal() and len(frame) < 10 else 0,
                identity=person,
                box=np.concatenate([points.min(0), points.max(0)]),
                score=1.0,
                landmarks=square.to_crop(points) if width != CROP_SIZE else points,
                square=square,
                sha256=sha256,
            ),
            cut_crop(image, square) if width != CROP_SIZE else image,
            None,
        )

    return read


def landmarks(store: Path, out: Path) -> int:
    """Write a face store as the authors' public generator reads it: aligned crops beside `landmarks.json`.

    Crops are 317 × 317 PNG files named `{video}_{frame}.png`, the videos numbered in the store's order;
    `names.csv` leads from these names back to the faces. A folder in this format is read by
    `facexray prepare DIR --landmarks DIR/landmarks.json --identity DIR/names.csv`.

    Args:
        store: A face store made by prepare.
        out: Folder for the crops, landmarks.json, names.csv, and about.json, which says how they were made.

    Returns:
        How many faces were written.

    Raises:
        StoreError: The store is missing, damaged, or one of given fakes.
        SettingsError: The folder cannot be made, or holds something else than an earlier export.
    """
    faces, out = FaceStore(store), Path(out)
    faces.check_real()
    _claim(out)
    about = provenance("landmarks", {"store": store, "out": out})
    write_bytes(out / "about.json", json.dumps(about, indent=2).encode())
    videos: dict[str, int] = {}
    taken: Counter[int] = Counter()
    content, names = {}, [["file", "identity", "face", "source", "frame"]]
    for index, face in enumerate(faces):
        number = videos.setdefault(face.video, len(videos))
        name = f"{number:03d}_{taken[number]:04d}.png"
        taken[number] += 1
        write_image(out / name, faces.crop(index))
        content[name] = face.landmarks
        names.append([name, face.identity or "", face.id, face.source, str(face.frame)])
    text = io.StringIO(newline="")
    csv.writer(text).writerows(names)
    write_bytes(out / "names.csv", text.getvalue().encode())
    write_landmarks_json(out / "landmarks.json", content)
    return len(faces)


def _claim(out: Path) -> None:
    """Make the folder of an export, or begin one anew: its names are those of everybody's data sets in this format.

    Raises:
        SettingsError: It cannot be made, or holds something else.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            about = json.loads((out / "about.json").read_text(encoding="utf-8"))
            if about["made_by"] != "facexray landmarks":
                raise KeyError("made_by")
            (out / "landmarks.json").unlink(missing_ok=True)
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{out}: is not empty, and no earlier export of facexray landmarks; name a new folder"
        ) from error
    except OSError as error:
        raise SettingsError(f"{out}: cannot be made ({error.strerror})") from error
