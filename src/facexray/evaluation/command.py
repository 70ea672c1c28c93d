"""The command `evaluate`: a model's numbers on a labelled folder or a blended set."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from facexray.blending.writers import LABELS, is_blended_set, read_blended
from facexray.detection import Detector
from facexray.errors import SettingsError, StoreError
from facexray.images import find_sources, printable, write_bytes
from facexray.metrics import METRICS, bootstrap, pool_by_video
from facexray.provenance import provenance
from facexray.runtime.model import BATCH, XrayModel


@dataclass(frozen=True)
class Scored:
    """One scored frame."""

    video: str
    """Key of the video: all frames that share it share its label."""
    frame: str
    label: int
    """0 real, 1 fake."""
    score: float
    """Probability of fake: the highest of the frame's faces."""


def evaluate(model: str, data: Path, out: Path, frames: int = 32) -> dict[str, Any]:
    """Measure a model on labelled data: frame- and video-level AUC, AP and EER with 95 % intervals.

    DATA is a folder with real/ and fake/, photographs and videos of any depth in them, or a blended set made by
    blend, whose videos are its backgrounds. Each file counts as a video of its own. Files without a face, or that
    cannot be read, are counted and left out. Writes results.json and scores.csv into OUT.

    Args:
        model: A model's file, or the name of one that ships; "default" is the best of these.
        data: The labelled folder, or the blended set.
        out: Folder for the results.
        frames: Frames of a video, spread evenly over it.

    Returns:
        What results.json holds.

    Raises:
        ModelError: No such model, or not one that facexray exported.
        SettingsError: No labelled data there, or of one class only.
        StoreError: A blended set that is damaged or was never finished.
    """
    if frames < 1:
        raise SettingsError(f"frames must be at least 1, got {frames}")
    data, out = Path(data), Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{out}: cannot be made ({error.strerror})") from error
    loaded = XrayModel.load(model)
    skipped: list[tuple[str, str]] = []
    blended = is_blended_set(data)
    scored = list(_score_blended(loaded, data) if blended else _score_folder(loaded, data, frames, skipped))
    if {row.label for row in scored} != {0, 1}:
        raise SettingsError(
            f"{data}: needs real and fake images with faces; got {sum(row.label == 0 for row in scored)} real and "
            f"{sum(row.label == 1 for row in scored)} fake frames ({len(skipped)} skipped)"
        )
    results = {
        **provenance("evaluate", {"model": model, "data": data, "frames": frames}),
        "model": {"name": loaded.name, "sha256": loaded.sha256},
        **_levels(scored),
        "skipped": {"count": len(skipped), "reasons": dict(Counter(reason for _, reason in skipped))},
        "skipped_files": [{"file": file, "reason": reason} for file, reason in skipped],
    }
    _write(out, results, scored)
    _print(results)
    return results


def _score_blended(model: XrayModel, data: Path) -> Iterator[Scored]:
    source = read_blended(data)
    while views := list(islice(source, BATCH)):
        scores = model.predict(np.stack([view.image for view in views])).scores
        for view, score in zip(views, scores.tolist(), strict=True):
            yield Scored(f"{LABELS[view.label]}/{view.background}", view.name, view.label, score)


def _score_folder(model: XrayModel, data: Path, frames: int, skipped: list[tuple[str, str]]) -> Iterator[Scored]:
    if not data.is_dir():
        raise SettingsError(f"{data}: no such folder, and no blended set")
    if next(data.glob("fake/*/recipe.json"), None):
        raise StoreError(f"{data}: a blended set whose manifest.json is gone; put it back, or make the set again")
    detector = Detector(model, frames)
    for label, name in enumerate(LABELS):
        folder = data / name
        if not folder.is_dir():
            raise SettingsError(f"{data}: no folder {name}/ in it; put real images in real/ and fake ones in fake/")
        found = find_sources([folder])
        skipped += [(printable(path), reason) for path, reason in found.unreadable]
        console = Console(stderr=True)
        for result in detector.images(track(found.files, f"scoring {name}", console=console, transient=True)):
            scores = [(frame.index, frame.score) for frame in result.frames if frame.score is not None]
            if result.error or not scores:
                skipped.append((result.source, result.reason if not scores else "cut off: judged by what was there"))
            video = result.source.removeprefix(printable(data)).lstrip("/\\")
            yield from (Scored(video, str(index), label, score) for index, score in scores)


def _levels(scored: list[Scored]) -> dict[str, Any]:
    """The metrics of frames and of videos; both intervals resample videos, since a video's frames are alike."""
    videos, labels = [row.video for row in scored], [row.label for row in scored]
    scores = [row.score for row in scored]
    names, video_labels, video_scores = pool_by_video(videos, labels, scores)
    return {
        "frame_level": _numbers(labels, scores, videos),
        "video_level": _numbers(video_labels, video_scores, [str(name) for name in names]),
    }


def _numbers(labels: list[int], scores: list[float], videos: list[str]) -> dict[str, Any]:
    numbers: dict[str, Any] = {"real": labels.count(0), "fake": labels.count(1)}
    for name, metric in METRICS.items():
        low, high = bootstrap(metric, labels, scores, groups=videos)
        numbers[name] = {"value": metric(labels, scores), "low_95": low, "high_95": high}
    return numbers


def _write(out: Path, results: dict[str, Any], scored: list[Scored]) -> None:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["video", "frame", "label", "score"])
    writer.writerows([row.video, row.frame, row.label, f"{row.score:.6f}"] for row in scored)
    try:
        write_bytes(out / "scores.csv", table.getvalue().encode())
        write_bytes(out / "results.json", json.dumps(results, indent=2, ensure_ascii=False).encode())
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error})") from error


def _print(results: dict[str, Any]) -> None:
    table = Table("level", "real", "fake", *METRICS, title=f"{results['model']['name']}")
    for level in ("frame_level", "video_level"):
        numbers = results[level]
        cells = [f"{n['value']:.3f} [{n['low_95']:.3f}–{n['high_95']:.3f}]" for n in map(numbers.get, METRICS)]
        table.add_row(level.replace("_", "-"), str(numbers["real"]), str(numbers["fake"]), *cells)
    console = Console()
    console.print(table)
    if results["skipped"]["count"]:
        console.print(f"skipped {results['skipped']['count']}: {results['skipped']['reasons']}", markup=False)
