"""The command `detect`: verdicts on anyone's photographs and videos, on the terminal, as JSON, as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from json import dumps
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import track

from facexray.detection.detector import Detector
from facexray.detection.result import Result
from facexray.detection.verdict import WORTH
from facexray.errors import SettingsError
from facexray.images import Sources, find_sources, printable
from facexray.report.annotate import annotated_copy
from facexray.report.detections import DetectionReport, suspicion, why
from facexray.report.heatmap import COLOURS
from facexray.runtime.engines import EngineName

Rate = float | Literal["all"]


def detect(
    files: list[Path],
    out: Path | None = None,
    model: str = "default",
    fps: Rate = 5.0,
    flip: bool = False,
    engine: EngineName = "auto",
    annotate: bool = False,
    time_limit: float = 600.0,
    json: bool = False,
) -> list[Result]:
    """Judge the faces in photographs, folders and videos: real, fake, or cannot tell, and where.

    The exit status is 0 where every file was judged real, 3 where one was judged fake, 4 where none was, but one
    cannot be told, and 1 where one could not be read, or not to its end.

    Args:
        files: Photographs, videos, and folders of them (recursive); - for a photograph from standard input;
            camera:0 for what the first camera sees in ten seconds.
        out: Folder for report.html, results.jsonl and the pictures with their heat maps.
        model: A model's file, or the name of one that ships; default is the best that ships.
        fps: Frames of a video to look at each second, or all.
        flip: Judge each face and its mirror image, and take the mean: twice the work, a little steadier.
        engine: What runs the model; auto is openvino where it is installed, else onnxruntime.
        annotate: Write a copy of each video with its faces' boxes and scores into OUT, the sound kept.
        time_limit: Seconds for which the reading of a file may be waited for, all in all.
        json: Print a line of JSON per file instead of the table.

    Returns:
        A result per file, without its pictures; one that could not be read has an error.

    Raises:
        ModelError: No such model, or not one that facexray exported.
        MissingExtraError: The engine is not installed.
        SettingsError: No photograph or video was found, OUT cannot be written, or a setting is out of range.
    """
    if annotate and not out:
        raise SettingsError("annotate writes videos: name a folder for them with --out")
    detector = Detector(model, fps, flip, engine, time_limit)
    sources = find_sources(files)
    if not sources.files and not sources.unreadable:
        raise SettingsError(f"no photograph or video in {files}")
    settings = {"fps": fps, "flip": flip, "engine": detector.model.engine}
    report = DetectionReport(Path(out), detector.model, settings) if out else None
    results = []
    for number, result in enumerate(_judge(detector, sources)):
        copy = None
        if report and annotate and result.kind == "video" and result.tracks:
            copy = annotated_copy(sources.files[number], result, report.name_of(result))
        if report:
            report.add(result, copy)
        results.append(result.without_pictures())
        if json:
            print(dumps(result.to_dict(), ensure_ascii=False), flush=True)
    if not json:
        _print_table(results)
    if report:
        report.finish()
    return results


def exit_status(results: Sequence[Result]) -> int:
    """The exit status: 1 where a file could not be read to its end, else 3 for a fake, 4 for a cannot tell, 0."""
    if any(result.error for result in results):
        return 1
    verdicts = {result.verdict for result in results}
    return 3 if "fake" in verdicts else 4 if "cannot tell" in verdicts else 0


def _judge(detector: Detector, sources: Sources) -> Iterator[Result]:
    results = detector.images(sources.files)
    shown = {"total": len(sources.files), "console": Console(stderr=True), "transient": True}
    yield from track(results, "judging", **shown)  # type: ignore[arg-type]
    for path, reason in sources.unreadable:
        yield Result.unread(printable(path), "image", reason)


def _print_table(results: list[Result]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for result in sorted(results, key=suspicion, reverse=True):
        red, green, blue = COLOURS[result.verdict]
        score = "     " if result.score is None else f"{result.score:5.2f}"
        verdict = result.verdict if result.frame else "not read"
        console.print(f"{score}  {verdict:<11}", style=f"rgb({red},{green},{blue})", end="  ")
        console.print(f"{result.source}  ({why(result)})", markup=False)
    console.print(WORTH, style="italic")
