"""From photographs and videos to a face store."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from facexray.errors import FaceXrayError, MediaError, SettingsError, StoreError
from facexray.faces.crop import CROP_SIZE, Square, cut_crop
from facexray.faces.detector import DetectedFace, FaceDetector
from facexray.faces.landmarks import predict_landmarks, read_landmarks_json, write_landmarks_json
from facexray.faces.store import Face, FaceStore, StoreWriter
from facexray.images import RGB, Frame, find_sources, is_video, read_image, read_video, sha256_of, write_image
from facexray.provenance import provenance

IdentityRule = Callable[[Path], str | None]


@dataclass
class PrepareSummary:
    """What `prepare` did."""

    out: Path
    """The store."""
    sources: int = 0
    """Photographs and videos found."""
    known: int = 0
    """Of these, already in the store (or byte for byte the same as another)."""
    faces: int = 0
    """Faces added."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Sources and faces that were left out, counted by reason."""
    ignored: int = 0
    """Files in the folders that are neither photographs nor videos by their names."""
    without_identity: int = 0
    """Sources to which the identity rule gave no identity."""

    def __str__(self) -> str:
        lines = [f"{self.out}: {self.faces} faces added from {self.sources} sources"]
        if self.known:
            lines.append(f"  {self.known} sources were in the store already")
        lines += [f"  skipped {count} × {reason}" for reason, count in self.skipped.most_common()]
        if self.skipped:
            lines.append(f"  each is named in {self.out / 'errors.jsonl'}")
        if self.ignored:
            lines.append(f"  ignored {self.ignored} files that are neither photographs nor videos by their names")
        if self.without_identity:
            lines.append(f"  no identity for {self.without_identity} sources: each stands for a person of its own")
        return "\n".join(lines)


def prepare(
    sources: list[Path],
    out: Path,
    landmarks: Path | None = None,
    identity: str | None = None,
    frames: int = 32,
    stride: int | None = None,
    min_face: int = 48,
) -> PrepareSummary:
    """Find the faces in photographs, folders and videos, and keep them in a face store.

    Running it again adds what is missing and redoes nothing; sources are known by their bytes.

    Args:
        sources: Photographs, videos, and folders of them (recursive).
        out: Folder of the store.
        landmarks: A landmarks.json of the authors' public generator; the sources are then its aligned square
            crops, which are kept as they are.
        identity: Who is who, so that no pair blends a person into themselves: "folder" (the folder's name), a
            CSV file with the columns file and identity, or a regular expression on the file name whose first
            group is the identity, such as "_([0-9]+)_".
        frames: Frames of each video, spread evenly over it.
        stride: Take every stride-th frame of a video instead.
        min_face: Smallest face that is kept, in pixels of its box's longer side.

    Returns:
        Counts of what was found, added and skipped.

    Raises:
        StoreError: The store cannot be written, or the disk is full.
        SettingsError: A setting out of its range, or an identity rule that cannot be read.
    """
    if frames < 1 or (stride is not None and stride < 1):
        raise SettingsError(f"frames and stride must be at least 1, got frames={frames}, stride={stride}")
    rule = identity_rule(identity)
    reader = aligned_reader(landmarks) if landmarks else face_reader(frames, stride, min_face)
    settings = {
        "landmarks": landmarks,
        "identity": identity,
        "frames": frames,
        "stride": stride,
        "min_face": min_face,
    }
    about = provenance("prepare", {"sources": sources, **settings})
    found = find_sources(sources)
    summary = PrepareSummary(out, len(found.files), ignored=found.ignored)
    try:
        with StoreWriter(out, about) as writer:
            for path, reason in found.unreadable:
                _skip(writer, summary, path, None, reason)
            for path in _progress(found.files):
                _add_source(writer, summary, path, rule, reader)
        writer.write_settings({**about, "last_run_skipped": dict(summary.skipped)})
    except OSError as error:
        raise StoreError(f"{out}: writing failed ({error}); free space and run the same command again") from error
    return summary


def _progress(files: list[Path]) -> Iterator[Path]:
    columns = (
        TextColumn("preparing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(files)


def _add_source(writer: StoreWriter, summary: PrepareSummary, path: Path, rule: IdentityRule, reader: Reader) -> None:
    """Add one source's faces, or lines to the errors; nothing that a file can hold stops the run."""
    sha256, faces, reasons = None, 0, []
    try:
        sha256 = sha256_of(path)
        if sha256 in writer.known:
            summary.known += 1
            return
        person = rule(path)
        summary.without_identity += person is None
        for item in reader(path, sha256, person):
            if isinstance(item, str):
                reasons.append(item)
            else:
                writer.add(*item)
                faces += 1
    except FaceXrayError as error:
        reasons.append(str(error).removeprefix(f"{path}: "))
    for reason in reasons:
        # A source that gave faces is known by them: a kill before they are written must let it come again.
        _skip(writer, summary, path, None if faces else sha256, reason)
    summary.faces += faces
    if sha256:
        writer.end_source(sha256)


def _skip(writer: StoreWriter, summary: PrepareSummary, path: Path, sha256: str | None, reason: str) -> None:
    writer.add_error(str(path), sha256, reason)
    kind = re.split(r" \(|: |; ", reason, maxsplit=1)[0]
    summary.skipped[kind] += 1


Reader = Callable[[Path, str, str | None], Iterator[tuple[Face, RGB] | str]]
"""Reads a source (path, sha256, identity): yields faces with their crops, and the reasons of what it skipped."""


def face_reader(frames: int, stride: int | None, min_face: int) -> Reader:
    """The reader for photographs and videos as they come."""
    detector = FaceDetector()

    def read(path: Path, sha256: str, person: str | None) -> Iterator[tuple[Face, RGB] | str]:
        source = read_video(path, frames, stride) if is_video(path) else iter([Frame(read_image(path), 0, 0.0)])
        seen = 0
        for frame in source:
            for number, detected in enumerate(detector.detect(frame.image)):
                seen += 1
                if (detected.box[2:] - detected.box[:2]).max() < min_face:
                    yield f"face smaller than {min_face} px"
                    continue
                face = _describe(frame, detected, f"{sha256[:12]}", number)
                if face is None:
                    yield "face without plausible landmarks (a profile, or covered)"
                else:
                    yield replace(face, source=str(path), identity=person, sha256=sha256), _crop(frame, face)
        if not seen:
            yield "no face found"

    return read


def _crop(frame: Frame, face: Face) -> RGB:
    return cut_crop(frame.image, face.square)


def _describe(frame: Frame, detected: DetectedFace, video: str, number: int) -> Face | None:
    landmarks = predict_landmarks(frame.image, detected)
    if landmarks is None:
        return None
    square = Square.around(detected.box)
    return Face(
        id=f"{video}-{frame.index:06d}-{number}",
        source="",
        video=video,
        frame=frame.index,
        identity=None,
        box=detected.box,
        score=detected.score,
        landmarks=square.to_crop(landmarks),
        square=square,
        sha256="",
    )


def aligned_reader(landmarks_json: Path) -> Reader:
    """The reader for the aligned crops of the authors' public generator, named `{video}_{frame}.png`."""
    landmarks = read_landmarks_json(landmarks_json)

    def read(path: Path, sha256: str, person: str | None) -> Iterator[tuple[Face, RGB] | str]:
        if path.name not in landmarks:
            yield f"not named in {landmarks_json.name}"
            return
        image = read_image(path)
        height, width = image.shape[:2]
        if height != width:
            raise MediaError(f"{path}: an aligned crop must be square (got {height} × {width})")
        video, _, frame = path.stem.rpartition("_")
        points, square = landmarks[path.name], Square(0, 0, width)
        yield (
            Face(
                id=f"{path.stem}-{sha256[:12]}",
                source=str(path),
                video=video or path.stem,
                frame=int(frame) if frame.isdecimal() else 0,
                identity=person,
                box=np.concatenate([points.min(0), points.max(0)]),
                score=1.0,
                landmarks=square.to_crop(points) if width != CROP_SIZE else points,
                square=square,
                sha256=sha256,
            ),
            cut_crop(image, square) if width != CROP_SIZE else image,
        )

    return read


def identity_rule(rule: str | None) -> IdentityRule:
    """Turn the `identity` option of `prepare` into a function from a path to a person.

    Raises:
        SettingsError: The CSV file cannot be read or lacks a column, or the regular expression is wrong.
    """
    if rule is None:
        return lambda path: None
    if rule == "folder":
        return lambda path: path.absolute().parent.name or None
    if rule.lower().endswith(".csv"):
        people = _read_identities(Path(rule))
        return lambda path: people.get(str(path)) or people.get(path.name)
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise SettingsError(f"identity: {rule!r} is not a regular expression ({error})") from error
    if pattern.groups < 1:
        raise SettingsError(f'identity: {rule!r} has no group; put the person in parentheses, as in "_([0-9]+)_"')

    def match(path: Path) -> str | None:
        found = pattern.search(path.name)
        return found.group(1) if found else None

    return match


def _read_identities(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {row["file"]: row["identity"] for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"identity: {path} cannot be read ({error})") from error
    except KeyError as error:
        raise SettingsError(f"identity: {path} needs a column {error}; its columns are file and identity") from error


def landmarks(store: Path, out: Path) -> int:
    """Write a face store as the authors' public generator reads it: aligned crops beside `landmarks.json`.

    Crops are 317 × 317 PNG files named `{video}_{frame}.png`, the videos numbered in the store's order;
    `names.csv` leads from these names back to the faces. A folder in this format is read by
    `facexray prepare DIR --landmarks DIR/landmarks.json`.

    Args:
        store: A face store made by prepare.
        out: Folder for the crops, landmarks.json and names.csv.

    Returns:
        How many faces were written.
    """
    faces = FaceStore(store)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{out}: cannot be made ({error.strerror})") from error
    videos: dict[str, int] = {}
    taken: Counter[int] = Counter()
    content, names = {}, [["file", "face", "source", "frame"]]
    for index, face in enumerate(faces):
        number = videos.setdefault(face.video, len(videos))
        name = f"{number:03d}_{taken[number]:04d}.png"
        taken[number] += 1
        write_image(out / name, faces.crop(index))
        content[name] = face.landmarks
        names.append([name, face.id, face.source, str(face.frame)])
    with (out / "names.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(names)
    write_landmarks_json(out / "landmarks.json", content)
    return len(faces)
