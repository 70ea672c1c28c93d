"""The command `detect`: verdicts on anyone's photographs and videos, on the terminal, as JSON, as a page."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import track

from facexray.detection.detector import Detector
from facexray.detection.result import Result
from facexray.detection.verdict import WORTH
from facexray.errors import MediaError, SettingsError
from facexray.images import printable
from facexray.media import Sources, find_sources
from facexray.report.annotate import annotated_copy
from facexray.report.detections import DetectionReport, suspicion, why, written_into
from facexray.report.heatmap import COLOURS
from facexray.runtime.engines import EngineName

Rate = float | Literal["all"]

KINDS_TOLD = 5
"""Suffixes of files that were not looked at that are named."""
KIND_SIGNS = 12
"""Signs of such a suffix."""


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
    cannot be told, and 1 where one could not be read, or not to its end, or its annotated copy not be written.

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
    sources, note = _choose(files, out)
    if not sources.files and not sources.unreadable:
        raise SettingsError(f"no photograph or video in {', '.join(map(printable, files))}{note and f'; {note}'}")
    settings = {"fps": fps, "flip": flip, "engine": detector.model.engine}
    report = DetectionReport(Path(out), detector.model, settings) if out else None
    results: list[Result] = []
    try:
        for number, result in enumerate(_judge(detector, sources)):
            if report:
                copy = None
                if annotate and result.kind == "video" and result.tracks:
                    result, copy = _annotate(sources.files[number], result, report)
                report.add(result, copy)
            results.append(result.without_pictures())
            if json:
                print(dumps(result.to_dict(), ensure_ascii=False), flush=True)
    except (KeyboardInterrupt, OSError, SettingsError):
        left = len(sources.files) + len(sources.unreadable) - len(results)
        with suppress(OSError, SettingsError):  # of the same disk or terminal; what went wrong first is told
            _tell(results, json, report, "; ".join(filter(None, [f"stopped: {left} files were not judged", note])))
        raise
    _tell(results, json, report, note)
    return results


def _tell(results: list[Result], json: bool, report: DetectionReport | None, note: str) -> None:
    """The page, the table, and what was left out."""
    try:
        if report:
            report.finish(note)
    finally:
        if not json:
            _print_table(results)
        if note:
            print(f"facexray detect: {note}", file=sys.stderr)


def exit_status(results: Sequence[Result]) -> int:
    """The exit status: 1 where a file could not be read to its end, else 3 for a fake, 4 for a cannot tell, 0."""
    if any(result.error for result in results):
        return 1
    verdicts = {result.verdict for result in results}
    return 3 if "fake" in verdicts else 4 if "cannot tell" in verdicts else 0


def _choose(files: list[Path], out: Path | None) -> tuple[Sources, str]:
    """The files to judge, and what is told of those that are left out: of no known kind, or an earlier run's."""
    found = find_sources(files)
    written = written_into(Path(out)) if out else set()

    def is_own(path: Path) -> bool:
        return bool(written) and Path(os.path.realpath(path.parent), path.name) in written

    own = [path for path in found.files if is_own(path)]
    others = [path for path in found.others if not is_own(path)]
    kinds = Counter(printable(path.suffix.lower()[:KIND_SIGNS]) or "no suffix" for path in others).most_common()
    told = []
    if others:
        more = f" and {len(kinds) - KINDS_TOLD} kinds more" if len(kinds) > KINDS_TOLD else ""
        verb = "files were" if len(others) > 1 else "file was"
        told.append(f"{len(others)} {verb} not looked at: {', '.join(kind for kind, _ in kinds[:KINDS_TOLD])}{more}")
    if own:
        told.append(f"{len(own)} of an earlier run's pictures in {printable(out)} were left out")
    return replace(found, files=[path for path in found.files if not is_own(path)]), "; ".join(told)


def _judge(detector: Detector, sources: Sources) -> Iterator[Result]:
    results = detector.images(sources.files)
    shown = {"total": len(sources.files), "console": Console(stderr=True), "transient": True}
    yield from track(results, "judging", **shown)  # type: ignore[arg-type]
    for path, reason in sources.unreadable:
        yield Result.unread(printable(path), "image", reason)


def _annotate(source: Path, result: Result, report: DetectionReport) -> tuple[Result, Path | None]:
    """The result, with what went wrong, and the annotated copy."""
    try:
        return result, annotated_copy(source, result, report.name_of(result))
    except MediaError as error:
        return replace(result, error="; ".join(filter(None, [result.error, printable(error)]))), None


def _print_table(results: list[Result]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for result in sorted(results, key=suspicion, reverse=True):
        red, green, blue = COLOURS[result.verdict]
        score = "     " if result.score is None else f"{result.score:5.2f}"
        verdict = result.verdict if result.frame else "not read"
        console.print(f"{score}  {verdict:<11}", style=f"rgb({red},{green},{blue})", end="  ")
        console.print(f"{result.source}  ({why(result)})", markup=False, emoji=False)
    console.print(WORTH, style="italic")
