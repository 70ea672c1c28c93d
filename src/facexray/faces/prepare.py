"""From photographs and videos to a face store."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from facexray.errors import FaceXrayError, SettingsError, StoreError
from facexray.faces.aligned import Found, Reader, aligned_reader
from facexray.faces.crop import Square, cut_crop
from facexray.faces.detector import FaceDetector
from facexray.faces.identity import IdentityRule, identity_rule
from facexray.faces.landmarks import predict_landmarks
from facexray.faces.masks import MaskFolder
from facexray.faces.neighbour_table import save_neighbours
from facexray.faces.store import Face, FaceStore
from facexray.faces.store_writer import StoreWriter
from facexray.images import UNFORESEEN, Frame, read_image, read_video, sha256_of
from facexray.media import find_sources, is_video
from facexray.provenance import provenance

FEW = 4
"""Faces up to which it is no wonder that most are of one person."""


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
    people: Counter[str] = field(default_factory=Counter)
    """Faces of each person in the store, as far as it is known who is who."""

    def __str__(self) -> str:
        lines = [f"{self.out}: {self.faces} faces added from {self.sources} sources"]
        if self.known:
            lines.append(f"  {self.known} sources were looked at by an earlier run already")
        lines += [f"  skipped {count} × {reason}" for reason, count in self.skipped.most_common()]
        if self.skipped:
            lines.append(f"  each is named in {self.out / 'errors.jsonl'}")
        if self.ignored:
            lines.append(f"  ignored {self.ignored} files that are neither photographs nor videos by their names")
        if self.without_identity:
            lines.append(f"  no identity for {self.without_identity} sources: each stands for a person of its own")
        if self.people:
            lines.append(self._of_people())
        return "\n".join(lines)

    def _of_people(self) -> str:
        people, faces, most = len(self.people), self.people.total(), max(self.people.values())
        if people == 1:
            text = f"  all {faces} faces are of one person"
        else:
            text = f"  {faces} faces of {people} people in all, at most {most} of one"
        if faces > FEW and most > faces / 2:
            text += "; if not, --identity says who is who, or facexray identify finds out"
        return text


def prepare(
    sources: list[Path],
    out: Path,
    landmarks: Path | None = None,
    identity: str | None = None,
    frames: int = 32,
    stride: int | None = None,
    min_face: int = 48,
    masks: Path | None = None,
) -> PrepareSummary:
    """Find the faces in photographs, folders and videos, and keep them in a face store.

    Running it again adds what is missing and redoes nothing but the identities, where a rule is given; sources
    are known by their bytes.

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
        masks: For given fakes: a folder of their masks, which mirrors theirs or has files of the same names; white,
            or coloured, where the face was manipulated. The store is then one of fakes to train on, not of real faces.

    Returns:
        Counts of what was found, added and skipped.

    Raises:
        StoreError: The store cannot be written, or the disk is full.
        SettingsError: A source or mask folder that does not exist, a setting out of its range, or an identity rule
            that cannot be read.
    """
    if frames < 1 or (stride is not None and stride < 1):
        raise SettingsError(f"frames and stride must be at least 1, got frames={frames}, stride={stride}")
    named = [Path(sources)] if isinstance(sources, str | Path) else [Path(source) for source in sources]
    missing = [str(source) for source in named if not os.path.lexists(source)]
    if missing:
        raise SettingsError(f"no such file or folder: {', '.join(missing)}")
    if masks and landmarks:
        raise SettingsError("masks and landmarks: aligned crops take no masks; give photographs or videos themselves")
    out, landmarks = Path(out), Path(landmarks) if landmarks else None
    rule = identity_rule(identity)
    found = find_sources(named)
    given = MaskFolder(Path(masks), named, found.files) if masks else None
    reader = aligned_reader(landmarks, found.files) if landmarks else face_reader(frames, stride, min_face, given)
    settings = {
        "landmarks": landmarks,
        "identity": identity,
        "frames": frames,
        "stride": stride,
        "min_face": min_face,
        "masks": masks,
    }
    about = provenance("prepare", {"sources": named, **settings})
    summary = PrepareSummary(out, len(found.files), ignored=len(found.others))
    try:
        # What decides whether a source fails: after a change of it, failed sources get another chance.
        sampled = f"stride {stride}" if stride else f"frames {frames}"
        reading = f"landmarks {sha256_of(landmarks)}" if landmarks else f"min_face {min_face}, {sampled}"
        reading += f", masks {given.fingerprint()}" if given else ""
        with StoreWriter(out, about, reading, masks=given is not None) as writer:
            for path, reason in found.unreadable:
                _skip(writer, summary, path, None, reason)
            for path in _progress(found.files):
                _add_source(writer, summary, path, rule, reader)
        writer.write_settings({**about, "skipped": dict(summary.skipped)})
        store = FaceStore(out)
        summary.people.update(store.people)
        if not given:
            save_neighbours(store)
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
            writer.identify(sha256, rule(path))
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
    except UNFORESEEN as error:
        reasons.append(f"cannot be processed ({type(error).__name__}: {error})")
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


def face_reader(frames: int, stride: int | None, min_face: int, masks: MaskFolder | None = None) -> Reader:
    """The reader for photographs and videos as they come, with the masks of those that are given fakes."""
    detector = FaceDetector()

    def read(path: Path, sha256: str, person: str | None) -> Iterator[Found | str]:
        source_masks = masks.open(path, stride) if masks else None
        source = read_video(path, frames, stride) if is_video(path) else iter([Frame(read_image(path), 0, 0.0)])
        seen = 0
        for frame in source:
            for number, detected in enumerate(detector.detect(frame.image)):
                seen += 1
                if (detected.box[2:] - detected.box[:2]).max() < min_face:
                    yield f"face smaller than {min_face} px"
                    continue
                square = Square.around(detected.box)
                mask = source_masks.cut(frame, detected.box, square) if source_masks else None
                if isinstance(mask, str):
                    yield mask
                    continue
                landmarks = predict_landmarks(frame.image, detected)
                if landmarks is None:
                    yield "face without plausible landmarks (a profile, or covered)"
                    continue
                face = Face(
                    id=f"{sha256[:12]}-{frame.index:06d}-{number}",
                    source=str(path),
                    video=sha256[:12],
                    frame=frame.index,
                    identity=person,
                    box=detected.box,
                    score=detected.score,
                    landmarks=square.to_crop(landmarks),
                    square=square,
                    sha256=sha256,
                )
                yield face, cut_crop(frame.image, square), mask
        if not seen:
            yield "no face found"

    return read
