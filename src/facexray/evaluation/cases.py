"""The best and worst cases: the faces that a report shows, and how they are chosen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facexray.evaluation.scored import ScoredFace
from facexray.images import RGB


@dataclass(frozen=True)
class Case:
    """One face that a report shows, with what the network saw and answered."""

    title: str
    """Where it is from, such as `Deepfakes/000_003, frame 12`."""
    label: int
    """0 real, 1 fake."""
    score: float
    """Probability of fake, of the class head."""
    view: RGB
    """(256, 256, 3) what the network saw."""
    xray: NDArray[np.float32]
    """(256, 256) the predicted Face X-ray, in [0, 1]."""
    true_xray: NDArray[np.float32] | None = None
    """(256, 256) the true Face X-ray, where it is known."""

    @property
    def error(self) -> float:
        """How far the score is from the truth, in [0, 1]."""
        return error_of(self.label, self.score)


def error_of(label: int, score: float) -> float:
    """How far a score in [0, 1] is from the truth: 0 is right and sure of it, 1 is wrong and sure of it."""
    return abs(label - score)


def choose_cases(rows: Iterable[ScoredFace], each: int = 6) -> list[ScoredFace]:
    """Choose the faces to show: of the reals and of the fakes the `each` worst and the `each` best by the class head.

    A video gives one face to the worst and one to the best at most, so that no single video fills the page. Equal
    scores go by the rows' names, so that the same rows give the same choice in whatever order they come. Memory grows
    with the number of videos, not of rows.

    Returns:
        The worst reals, the best reals, the worst fakes, the best fakes; no face twice.
    """
    worst: dict[tuple[int, tuple[str, str, str]], ScoredFace] = {}
    best: dict[tuple[int, tuple[str, str, str]], ScoredFace] = {}
    for row in rows:
        key = row.label, row.key
        worst[key] = min(worst.get(key, row), row, key=_worst_first)
        best[key] = min(best.get(key, row), row, key=_best_first)
    chosen: list[ScoredFace] = []
    for label in (0, 1):
        of_label = [key for key in worst if key[0] == label]
        bad = sorted((worst[key] for key in of_label), key=_worst_first)[:each]
        taken = {_place(row) for row in bad}
        good = [best[key] for key in of_label if _place(best[key]) not in taken]
        chosen += bad + sorted(good, key=_best_first)[:each]
    return chosen


def _place(row: ScoredFace) -> tuple[str, str, str, str, int, int]:
    return *row.key, row.file, row.frame, row.face


def _worst_first(row: ScoredFace) -> tuple[float, tuple[str, str, str, str, int, int]]:
    return -error_of(row.label, row.scores["class"]), _place(row)


def _best_first(row: ScoredFace) -> tuple[float, tuple[str, str, str, str, int, int]]:
    return error_of(row.label, row.scores["class"]), _place(row)
