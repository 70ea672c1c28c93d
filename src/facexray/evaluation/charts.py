"""The drawn parts of an evaluation's report: curves, calibration, robustness."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facexray.evaluation import figures
from facexray.evaluation.scored import ScoredFace
from facexray.evaluation.tables import interval, methods, percent
from facexray.metrics.pooling import pool_by_frame
from facexray.metrics.summary import OVERALL
from facexray.report.page import Cell, Drawing, Key, Section, Table

Results = Mapping[str, Any]
"""What results.json holds."""
CURVES = 12
"""Methods whose curves are drawn; of more, those with the lowest AUC."""


def curves(results: Results, rows: Sequence[ScoredFace]) -> list[Section]:
    """ROC, PR and DET curves and the reliability diagram, of frames and the class head."""
    entries = results["metrics"]["class"]["frame_level"]
    names = methods(results, "frame_level")
    drawn = sorted(names[:-1], key=lambda name: entries[name]["AUC"]["value"])[:CURVES]
    drawn = [name for name in names if name in drawn] + [OVERALL]
    methods_of, labels, scores = _frames(rows)
    scored = {}
    for name in drawn:
        part = (labels == 0) | (methods_of == name) | (name == OVERALL)
        scored[name] = labels[part], scores[part]
    drawings = [
        Drawing(figures.draw_roc(scored), "ROC", "The higher, the better; the straight line is chance."),
        Drawing(figures.draw_precision_recall(scored), "Precision and recall", "Depends on the share of fakes."),
        Drawing(figures.draw_det(scored), "DET", "Both errors, on axes of normal deviates: the lower, the better."),
    ]
    legend = [
        Key(f"{name}, AUC {percent(entries[name], 'AUC')}", stroke.css, stroke.dashes, stroke.width)
        for name, stroke in figures.strokes(drawn).items()
    ]
    text = [f"Of {len(names) - 1} methods, the {CURVES} with the lowest AUC."] if len(drawn) < len(names) else []
    reliability = Drawing(
        figures.draw_reliability(*scored[OVERALL]),
        "Reliability",
        f"ECE {percent(entries[OVERALL], 'ECE')} %. On the straight line a score is the share of fakes; "
        "this data's share of fakes is its own, and shifts the curve.",
    )
    return [
        Section("Curves", [*text, "Frame-level, class head."], legend=legend, drawings=drawings),
        Section("Calibration", drawings=[reliability]),
    ]


def _frames(rows: Sequence[ScoredFace]) -> tuple[NDArray[np.str_], NDArray[np.int64], NDArray[np.float64]]:
    """(N,) method, label and class score of each frame."""
    keys = [(row.key, row.frame) for row in rows]
    frames, labels, scores = pool_by_frame(keys, [row.label for row in rows], [row.scores["class"] for row in rows])
    method_of: dict[Hashable, str] = dict(zip(keys, (row.method for row in rows), strict=True))
    return np.array([method_of[frame] for frame in frames]), np.array(labels), np.array(scores)


def robustness(results: Results) -> list[Section]:
    """AUC against the strength of each disturbance; nothing where none was measured."""
    kinds = results["robustness"]
    if not kinds:
        return []
    clean = results["metrics"]["class"]["frame_level"][OVERALL]["AUC"]
    points = {kind: [clean, *entry["AUC"]] for kind, entry in kinds.items()}
    floor = min(0.45, *(point["low_95"] - 0.02 for auc in points.values() for point in auc))
    drawings = [
        Drawing(
            figures.draw_robustness(kind, auc, floor),
            kind.replace("_", " "),
            f"{kinds[kind]['meaning']}: {', '.join(f'{amount:g}' for amount in kinds[kind]['amounts'])}",
        )
        for kind, auc in points.items()
    ]
    rows: list[list[Cell]] = [
        [kind.replace("_", " "), *(cell_of({"AUC": point}, "AUC") for point in auc)] for kind, auc in points.items()
    ]
    table = Table("The numbers: AUC by strength, percent", ["disturbance", "none", *"12345"], rows, folded=True)
    text = ["Frame-level AUC of the class head, over all methods, against the strength; the band is the 95 % interval."]
    return [Section("Robustness", text, [table], drawings=drawings)]


def cell_of(entry: Mapping[str, Any], metric: str) -> Cell:
    """A number of an entry in percent, its interval small below."""
    return percent(entry, metric), interval(entry, metric)
