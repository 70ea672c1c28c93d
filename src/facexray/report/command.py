"""The command `detect`: verdicts on anyone's photographs and videos, on the terminal, as JSON, as a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import dumps
from pathlib import Path

from rich.console import Console
from rich.progress import track

from facexray.detection import WORTH, Detector, FrameResult, Result
from facexray.errors import MediaError, SettingsError
from facexray.images import RGB, Sources, find_sources, printable, shrink, write_bytes, write_image
from facexray.provenance import provenance
from facexray.report.heatmap import COLOURS, colour_xray, overlay, overlay_frame
from facexray.report.page import Card, Page, Table, data_uri, model_facts, write_page

LONGEST_PICTURE = 8000
"""Longer side in pixels to which the pictures in the output folder are shrunk; JPEG ends at 65,500."""
FACES_SHOWN = 6
"""Faces of one photograph that the page shows on their own."""


def detect(
    files: list[Path], out: Path | None = None, model: str = "default", frames: int = 32, json: bool = False
) -> list[Result]:
    """Judge the faces in photographs, folders and videos: real, fake, or cannot tell, and where.

    Args:
        files: Photographs, videos, and folders of them (recursive).
        out: Folder for report.html, results.jsonl and the pictures with their heat maps.
        model: A model's file, or the name of one that ships; default is the best that ships.
        frames: Frames of a video to look at, spread evenly over it.
        json: Print a line of JSON per file instead of the table.

    Returns:
        A result per file, without its pictures; one that could not be read has an error.

    Raises:
        ModelError: No such model, or not one that facexray exported.
        SettingsError: No photograph or video was found, or OUT cannot be written.
    """
    if frames < 1:
        raise SettingsError(f"frames must be at least 1, got {frames}")
    detector = Detector(model, frames)
    sources = find_sources(files)
    if not sources.files and not sources.unreadable:
        raise SettingsError(f"no photograph or video in {files}")
    report = _Report(Path(out)) if out else None
    results = []
    for result in _judge(detector, sources):
        if report:
            report.add(result)
        results.append(result.without_pictures())
        if json:
            _print_json(result)
    if not json:
        _print_table(results)
    if report:
        report.finish(results, detector)
    return results


def _judge(detector: Detector, sources: Sources) -> Iterator[Result]:
    yield from detector.images(track(sources.files, "judging", console=Console(stderr=True), transient=True))
    for path, reason in sources.unreadable:
        yield Result(printable(path), None, "image", "cannot tell", reason, None, [], reason)


def _print_json(result: Result) -> None:
    print(dumps(result.to_dict(), ensure_ascii=False), flush=True)


def _print_table(results: list[Result]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for result in sorted(results, key=_suspicion, reverse=True):
        red, green, blue = COLOURS[result.verdict]
        score = "     " if result.score is None else f"{result.score:5.2f}"
        verdict = result.verdict if result.frames else "not read"
        console.print(f"{score}  {verdict:<11}", style=f"rgb({red},{green},{blue})", end="  ")
        console.print(f"{result.source}  ({_why(result)})", markup=False)
    console.print(WORTH, style="italic")


def _why(result: Result) -> str:
    return (result.error or result.reason).removeprefix(f"{result.source}: ")


def _suspicion(result: Result) -> float:
    return -1.0 if result.score is None else result.score


class _Report:
    """The output folder: pictures as they come, the page at the end."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._cards: list[tuple[float, Card]] = []
        try:
            (out / "pictures").mkdir(parents=True, exist_ok=True)
            (out / "results.jsonl").write_bytes(b"")
        except OSError as error:
            raise SettingsError(f"{out}: cannot be written ({error.strerror})") from error

    def add(self, result: Result) -> None:
        """Write the pictures of a result and keep its card."""
        lines = [_why(result)]
        if result.sha256:
            lines.append(f"SHA-256 {result.sha256}")
        pictures: list[tuple[str, RGB]] = []
        frame = _worst(result)
        if frame is not None:
            stem = re.sub(r"[^\w.-]+", "_", Path(result.source).stem).encode()[:60].decode(errors="ignore")
            name = f"{len(self._cards):05d}_{stem}.jpg"
            marked = shrink(overlay_frame(frame), LONGEST_PICTURE)
            try:
                write_image(self._out / "pictures" / name, marked)
            except MediaError as error:
                raise SettingsError(f"{error}; free space and run again") from error
            if result.kind == "video":
                lines.append(f"most suspicious of the frames looked at: {frame.index}, at {frame.time_s:.1f} s")
            pictures = [("as it came", frame.image), ("X-ray on its place", marked), *_face_pictures(frame)]
        shown = [(caption, data_uri(picture)) for caption, picture in pictures]
        self._cards.append((_suspicion(result), Card(result.source, result.verdict, lines, shown)))
        with (self._out / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(dumps(result.to_dict(), ensure_ascii=False) + "\n")

    def finish(self, results: list[Result], detector: Detector) -> None:
        """Write report.html and about.json: the page, and how all of it was made."""
        counts = [[name, str(sum(r.verdict == name for r in results))] for name in COLOURS]
        unread = sum(result.error is not None for result in results)
        about = provenance("detect", {"model": detector.model.name})
        about |= {"model_sha256": detector.model.sha256, "thresholds": vars(detector.model.thresholds)}
        page = Page(
            "Face X-ray report",
            f"{len(results)} files, the most suspicious first"
            + (f"; {unread} could not be read, or not to their end" if unread else ""),
            tables=[Table("Verdicts", ["verdict", "files"], counts)],
            cards=[card for _, card in sorted(self._cards, key=lambda pair: pair[0], reverse=True)],
            facts=[
                *model_facts(detector.model),
                ("facexray", about["facexray_version"]),
                ("date", about["date"]),
            ],
        )
        try:
            write_bytes(self._out / "about.json", dumps(about, indent=2, ensure_ascii=False).encode())
            write_page(self._out / "report.html", page)
        except OSError as error:
            raise SettingsError(f"{self._out}: cannot be written ({error}); free space and run again") from error


def _worst(result: Result) -> FrameResult | None:
    """The most suspicious frame that still has its picture."""
    whole = [frame for frame in result.frames if frame.image.size]
    return max(whole, key=lambda frame: frame.score or 0, default=None)


def _face_pictures(frame: FrameResult) -> list[tuple[str, RGB]]:
    """For each judged face, the most suspicious first: what the network saw, and its X-ray."""
    pictures: list[tuple[str, RGB]] = []
    for face in sorted(frame.faces, key=lambda face: face.score or 0, reverse=True)[:FACES_SHOWN]:
        if face.view is not None and face.xray is not None:
            pictures.append((f"{face.verdict}: {face.reason}", overlay(face.view, face.xray)))
            pictures.append(("predicted Face X-ray", colour_xray(face.xray)))
    return pictures
