"""The command `evaluate`: a model's numbers on a labelled data set."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import onnxruntime
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from facexray.blending.blend import face_xray
from facexray.errors import FaceXrayError, StoreError
from facexray.evaluation.cache import Cache
from facexray.evaluation.cases import Case, choose_cases
from facexray.evaluation.clock import Clock
from facexray.evaluation.config import EvaluateConfig
from facexray.evaluation.data import Data, open_data
from facexray.evaluation.manifest import Item
from facexray.evaluation.measure import Tally, measure
from facexray.evaluation.report import write_report
from facexray.evaluation.robustness import SWEEP, name_of
from facexray.evaluation.scored import SCORES, ScoredFace
from facexray.evaluation.scoring import Scored, Scorer
from facexray.evaluation.sources import Source
from facexray.evaluation.terminal import print_results
from facexray.images import UNFORESEEN, printable, write_bytes
from facexray.provenance import provenance
from facexray.runtime.model import XrayModel

UNDATED = ("made_by", "facexray_version", "commit", "settings")
"""What of a run's provenance is the same when it is run again."""


def evaluate(
    model: str,
    data: Path,
    out: Path,
    store: Path | None = None,
    robustness: bool = False,
    settings: EvaluateConfig = EvaluateConfig(),
) -> dict[str, Any]:
    """Measure a model on a labelled data set: frame- and video-level AUC, AP, EER and more, with 95 % intervals.

    Files without a face, or that cannot be read, are counted and left out. Whatever was scored is kept in OUT: the
    same command again goes on where a killed one stopped, and other settings of the numbers take seconds. Writes
    results.json, scores.csv, report.html, tables.md, tables.tex and about.json into OUT.

    Args:
        model: A model's file, or the name of one that ships; "default" is the best of these.
        data: The data set: a folder with real/ and fake/, a CSV file, a blended set made by blend, a face store whose
            sources lie in real/ and fake/, or, with --protocol, a public data set as its authors distribute it.
        out: Folder for the results.
        store: A face store that prepare made of DATA's files: faces are taken from it, and nothing is decoded.
        robustness: Score everything degraded as well: eight kinds at five strengths each, which takes 41 times as long.
        settings: Which items are judged, and how.

    Returns:
        What results.json holds.

    Raises:
        ModelError: No such model, or not one that facexray exported.
        SettingsError: No labelled data there, or of one class only, or OUT cannot be written.
        StoreError: A blended set or face store that is damaged, or a full disk.
    """
    data, out = Path(data), Path(out)
    loaded = XrayModel.load(model)
    threshold = loaded.thresholds.fake_above if settings.threshold is None else settings.threshold
    config = replace(settings, threshold=threshold)
    steps = [step for kind in SWEEP.values() for step in kind] if robustness else []
    clock = Clock()
    with Cache(out, loaded.sha256) as cache:
        opened = open_data(data, store and Path(store), config, cache, clock)
        tally, sources = _score(opened, Scorer(loaded, cache, clock, steps), config, clock)
        numbers = measure(tally, config, robustness)
        made = provenance(
            "evaluate", {"model": model, "data": data, "store": store, "robustness": robustness, **asdict(config)}
        )
        results = _results(made, loaded, opened, numbers)
        about = _about(made, clock)
        _write(out, results, tally.rows, about)
        write_report(out, results, tally.rows, _cases(loaded, tally.rows, sources), about)
    print_results(results)
    return results


def _score(data: Data, scorer: Scorer, config: EvaluateConfig, clock: Clock) -> tuple[Tally, dict[str, Source]]:
    """Score everything: the tally in the data's own order, whatever was known before, and each file's source."""
    done: dict[int, Scored] = {}
    places: dict[int, int] = {}
    skipped: dict[int, tuple[Item, str]] = {}

    def sources() -> Iterator[Source]:
        for place, source in enumerate(data.sources([name_of(step) for step in scorer.steps])):
            if isinstance(source, tuple):
                skipped[place] = source
                continue
            places[id(source)] = place
            yield source

    with _progress() as progress:
        task = progress.add_task("evaluating", total=data.count, speed=0.0)
        for scored in scorer.score(sources()):
            done[places.pop(id(scored.source))] = scored
            speed = clock.frames / clock.elapsed
            progress.update(task, completed=len(done) + len(skipped), speed=speed)
    tally = Tally(config.faces)
    for place in range(len(done) + len(skipped)):
        if place in done:
            tally.add(done[place])
        else:
            tally.skip(*skipped[place])
    tally.skipped += data.missing
    return tally, {printable(file): scored.source for scored in done.values() for file in scored.item.files}


def _progress() -> Progress:
    return Progress(
        TextColumn("evaluating"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]:.1f} frames/s, left:"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _results(made: dict[str, Any], model: XrayModel, data: Data, numbers: dict[str, Any]) -> dict[str, Any]:
    """What results.json holds: the same, to the byte, for the same data, model and settings."""
    methods = numbers.pop("methods")
    return {
        **{name: made[name] for name in UNDATED},
        "model": {"name": model.name, "sha256": model.sha256, "thresholds": asdict(model.thresholds)},
        "data": {**data.facts, "methods": methods},
        **numbers,
    }


def _about(made: dict[str, Any], clock: Clock) -> dict[str, Any]:
    versions = {"numpy": np.__version__, "opencv": cv2.__version__, "onnxruntime": onnxruntime.__version__}
    return {**made, "versions": {**versions, "pyav": av.__version__}, "frames": clock.frames, "speed": clock.speed()}


def _cases(model: XrayModel, rows: Sequence[ScoredFace], sources: dict[str, Source]) -> list[Case]:
    """The faces that the report shows, looked at once more: views and X-rays are not kept while scoring.

    One that cannot be seen again, since its file is gone by now, is left out.
    """
    cases = []
    for row in choose_cases(rows):
        view = None
        with suppress(FaceXrayError, OSError, *UNFORESEEN):
            looks = (look for look in sources[row.file].looks() if look.index == row.frame)
            view = next((view for look in looks for view in look.views if view.face == row.face), None)
        if view is None:
            continue
        image = view.patch.view()
        title = f"{row.method}/{row.video}, frame {row.frame}"
        truth = None if view.mask is None else face_xray(view.mask)
        xray = model.predict(image[None]).xrays[0]
        cases.append(Case(title, row.label, row.scores["class"], image, xray, truth))
    return cases


def _write(out: Path, results: dict[str, Any], rows: Sequence[ScoredFace], about: dict[str, Any]) -> None:
    names = ("dataset", "method", "video", "split", "compression", "file", "frame", "face", "label")
    lines = [_csv_line([*names, "overlap", *SCORES])]
    for row in rows:
        overlap = "" if row.overlap is None else f"{row.overlap:.4f}"
        scores = (f"{row.scores[score]:.9g}" for score in SCORES)
        lines.append(_csv_line([*(printable(getattr(row, name)) for name in names), overlap, *scores]))
    try:
        write_bytes(out / "scores.csv", "".join(lines).encode())
        write_bytes(out / "results.json", _json(results))
        write_bytes(out / "about.json", _json(about))
    except OSError as error:
        raise StoreError(
            f"{out}: cannot be written ({error.strerror}); free space and run the same command again: what was scored "
            "is kept"
        ) from error


def _csv_line(cells: list[str]) -> str:
    """A line of a CSV file; a cell that holds an end of line, of whatever kind, is quoted."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
