"""The output folder of `detect`: pictures and lines as they come, the page at the end."""

from __future__ import annotations

import heapq
import os
import re
from collections import Counter
from json import dumps, loads
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facexray.detection.result import FaceResult, FrameResult, Result
from facexray.detection.timeline import clock
from facexray.errors import MediaError, SettingsError
from facexray.images import RGB, write_bytes, write_image
from facexray.provenance import provenance
from facexray.report.heatmap import COLOURS, colour_xray, overlay, overlay_frame, xray_frame
from facexray.report.page import Card, Drawing, Page, Table, data_uri, model_facts, shrink, write_page
from facexray.report.timeline import timeline_svg
from facexray.runtime.model import XrayModel

LONGEST_PICTURE = 8000
"""Longer side in pixels to which the pictures in the output folder are shrunk; JPEG ends at 65,500."""
FACES_SHOWN = 6
"""Faces of one photograph, or moments of one video, that the page shows on their own."""
FILES_SHOWN = 200
"""Files that the page shows with pictures, the most suspicious; the others stand in its list."""


PAGE_FILES = ("report.html", "about.json", "results.jsonl")
ENDINGS = (".jpg", "_xray.jpg", "_beside.jpg", "_annotated.mp4", "_annotated.mkv")
"""Of a result's pictures and annotated copy."""
LINE_BEGINS = '{"schema": '
"""How a line of results.jsonl begins."""
TIMELINE = "Each frame's score as a dot, their running median as a line; shaded where that is above the threshold."
"""What stands under a timeline."""


def suspicion(result: Result) -> float:
    """What files are sorted by."""
    return -1.0 if result.score is None else result.score


def why(result: Result) -> str:
    """The reason, and what went wrong, without the file's name."""
    error = (result.error or "").removeprefix(f"{result.source}: ")
    return "; ".join(each for each in (result.reason if result.frame else "", error) if each)


def picture_name(number: int, source: str) -> str:
    """What the pictures of the `number`-th result are called, less their endings: 00003_photo."""
    stem = re.sub(r"[^\w.-]+", "_", Path(source).stem).encode()[:60].decode(errors="ignore")
    return f"{number:05d}_{stem}"


def written_into(out: Path) -> set[Path]:
    """What an earlier run wrote into an output folder, by its results.jsonl; paths with every link resolved."""
    folder = Path(os.path.realpath(out))
    written = {folder / name for name in PAGE_FILES}
    try:
        *lines, torn = (folder / "results.jsonl").read_text(encoding="utf-8", errors="replace").split("\n")
        sources = [str(loads(line)["source"]) for line in lines]
    except (OSError, ValueError, LookupError, TypeError):  # nothing there, or nothing of ours
        return written
    if not sources and not torn.startswith(LINE_BEGINS[: len(torn)]):
        return written
    pictures = Path(os.path.realpath(folder / "pictures"))
    names = (picture_name(number, source) for number, source in enumerate(sources))
    in_hand = {path for end in ENDINGS for path in pictures.glob(f"{len(sources):05d}_*{end}")}  # when it was stopped
    return written | in_hand | {pictures / (name + ending) for name in names for ending in ENDINGS}


class DetectionReport:
    """Takes results one by one; holds small pictures of the most suspicious `FILES_SHOWN` only."""

    def __init__(self, out: Path, model: XrayModel, settings: dict[str, Any]) -> None:
        """Begin an output folder; what an earlier run wrote into it is deleted.

        Raises:
            SettingsError: It cannot be written.
        """
        self._out = out
        self._model = model
        self._about = provenance("detect", {"model": model.name, **settings})
        self._cards: list[tuple[float, int, Card]] = []  # a heap, the least suspicious first
        self._rest: list[tuple[float, list[str]]] = []
        self._counts: Counter[str] = Counter()
        self._unread = 0
        try:
            (out / "pictures").mkdir(parents=True, exist_ok=True)
            for path in written_into(out):
                path.unlink(missing_ok=True)
            (out / "results.jsonl").write_bytes(b"")
        except OSError as error:
            raise SettingsError(f"{out}: cannot be written ({error.strerror})") from error

    def name_of(self, result: Result) -> Path:
        """Where the next result's pictures go, less their endings: `pictures/00003_photo`."""
        return self._out / "pictures" / picture_name(self._counts.total(), result.source)

    def add(self, result: Result, copy: Path | None = None) -> None:
        """Write a result's line and pictures, and keep its card; `copy` is its annotated video."""
        score, lines = suspicion(result), [why(result)]
        try:
            pictures = self._write_pictures(result) if result.frame else []
        except (MemoryError, cv2.error):
            pictures = []
            lines.append("no pictures: they need more memory than there is")
        if copy:
            lines.append(f"annotated copy: {copy.relative_to(self._out).as_posix()}")
        if result.sha256:
            lines.append(f"SHA-256 {result.sha256}")
        shown = [(caption, data_uri(picture)) for caption, picture in pictures]
        timeline = timeline_svg(result, self._model.thresholds)
        drawings = [Drawing(timeline, TIMELINE)] if timeline else []
        verdict = result.verdict if result.frame else "not read"
        card = (score, -self._counts.total(), Card(result.source, verdict, lines, shown, drawings))
        if len(self._cards) < FILES_SHOWN:
            heapq.heappush(self._cards, card)
        else:
            score, _, least = heapq.heappushpop(self._cards, card)
            self._rest.append((score, [least.title, least.verdict or "", *least.lines[:1]]))
        with (self._out / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(dumps(result.to_dict(), ensure_ascii=False) + "\n")
        self._counts[verdict] += 1
        self._unread += result.error is not None

    def finish(self, note: str = "") -> None:
        """Write report.html and about.json: the page, with a note on what was left out, and how all of it was made.

        Raises:
            SettingsError: They cannot be written.
        """
        model = {"model_sha256": self._model.sha256, "thresholds": vars(self._model.thresholds)}
        names = [*COLOURS, *(["not read"] if self._counts["not read"] else [])]
        counts = [[name, str(self._counts[name])] for name in names]
        tables = [Table("Verdicts", ["verdict", "files"], counts)]
        if self._rest:
            rows = [row for _, row in sorted(self._rest, key=lambda pair: pair[0], reverse=True)]
            tables.append(Table(f"{len(rows)} less suspicious files", ["file", "verdict", "why"], rows, folded=True))
        broken = f"{self._unread} could not be read, or not to their end" if self._unread else ""
        files = self._counts.total()
        lead = ["one file" if files == 1 else f"{files} files, the most suspicious first", broken, note]
        settings = self._about["settings"]
        page = Page(
            "Face X-ray report",
            "; ".join(each for each in lead if each),
            tables=tables,
            cards=[card for *_, card in sorted(self._cards, key=lambda each: each[:2], reverse=True)],
            facts=[
                *model_facts(self._model),
                ("settings", ", ".join(f"{name} {value}" for name, value in settings.items() if name != "model")),
                ("facexray", self._about["facexray_version"]),
                ("date", self._about["date"]),
            ],
        )
        try:
            write_bytes(self._out / "about.json", dumps(self._about | model, indent=2, ensure_ascii=False).encode())
            write_page(self._out / "report.html", page)
        except OSError as error:
            raise SettingsError(f"{self._out}: cannot be written ({error}); free space and run again") from error

    def _write_pictures(self, result: Result) -> list[tuple[str, RGB]]:
        """Write a file's pictures, and choose those for its card."""
        frame = result.frame
        assert frame is not None
        whole = shrink(frame.image, LONGEST_PICTURE)
        marked = shrink(overlay_frame(frame), LONGEST_PICTURE)
        alone = shrink(xray_frame(frame), LONGEST_PICTURE)
        name = self.name_of(result)
        try:
            write_image(name.with_name(name.name + ".jpg"), marked)
            write_image(name.with_name(name.name + "_xray.jpg"), alone)
            write_image(name.with_name(name.name + "_beside.jpg"), _beside(whole, marked))
        except MediaError as error:
            raise SettingsError(f"{error}; free space and run again") from error
        if result.kind == "image":
            return [("as it came", whole), ("X-ray on its place", marked), *_of_faces(frame)]
        when = f"the most suspicious frame, {clock(frame.time_s)}"
        return [(when, whole), ("X-ray on its place", marked), *_of_moments(result)]


def _beside(left: RGB, right: RGB) -> RGB:
    """Two pictures of one size beside each other; one above the other where they are wide."""
    pair = np.concatenate([left, right], axis=int(left.shape[1] <= left.shape[0]))
    return shrink(pair, LONGEST_PICTURE)


def _of_faces(frame: FrameResult) -> list[tuple[str, RGB]]:
    """For each judged face, the most suspicious first: what the network saw, and its X-ray."""
    faces = sorted(frame.faces, key=lambda face: face.score or 0, reverse=True)[:FACES_SHOWN]
    return [picture for face in faces for picture in _pair(face, f"{face.verdict}: {face.reason}")]


def _of_moments(result: Result) -> list[tuple[str, RGB]]:
    """The worst moments of the most suspicious tracks, in the same way."""
    moments = [(track.number, moment) for track in result.tracks for moment in track.moments]
    worst = sorted(moments, key=lambda pair: pair[1].face.score or 0, reverse=True)[:FACES_SHOWN]
    return [
        picture
        for number, moment in worst
        for picture in _pair(moment.face, f"track {number}, {clock(moment.time_s)}: score {moment.face.score:.2f}")
    ]


def _pair(face: FaceResult, caption: str) -> list[tuple[str, RGB]]:
    if face.view is None or face.xray is None:
        return []
    return [(caption, overlay(face.view, face.xray)), ("predicted Face X-ray", colour_xray(face.xray))]
