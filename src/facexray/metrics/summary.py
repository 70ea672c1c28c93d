"""A table's entries: every number of a list of scores, with its interval; all from one set of resamples."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facexray.errors import SettingsError
from facexray.metrics.bootstrap import Resampling, interval
from facexray.metrics.classification import RANK_METRICS, Terms, gaps, right, squares
from facexray.metrics.ranking import Labels, Ranking, Scores, Values, Weights, checked

Entry = dict[str, Any]
"""`real` and `fake`: how many; then each number by its name: {"value", "low_95", "high_95"}."""
OVERALL = "overall"
REALS = 0
"""The stratum of the reals; those of fakes are their methods' names."""


def summary(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    threshold: float = 0.5,
    probabilities: bool = False,
) -> Entry:
    """Every number of a list of scores, with its interval by resampling groups within each class.

    Args:
        labels: (N,) 0 real, 1 fake.
        scores: (N,), the higher the rather fake.
        groups: (N,) what is drawn as one, such as a frame's video; None where each stands alone.
        threshold: Above it the accuracy calls a score fake; of probabilities alone.
        probabilities: Whether the scores are probabilities of fake: accuracy, ECE and Brier are given, too.

    Raises:
        SettingsError: One class alone, or scores that are not finite, or no probabilities where these are promised.
    """
    return summaries(labels, scores, ["fake"] * len(np.asarray(labels)), groups, threshold, probabilities)[OVERALL]


def summaries(
    labels: ArrayLike,
    scores: ArrayLike,
    methods: Sequence[str],
    groups: Sequence[Hashable] | None = None,
    threshold: float = 0.5,
    probabilities: bool = False,
) -> dict[str, Entry]:
    """The entries of a table: `overall`, and each method's fakes against all reals; see `summary`.

    `methods` (N,) says what made each fake; of reals it is not looked at. Videos are resampled within each method, so
    that every resample holds as many videos of it as the data do. The same resamples make all entries.
    """
    truth, given = checked(labels, scores)
    resampling = resample_methods(truth, methods, groups)
    terms: dict[str, Terms] = {}
    if probabilities:
        terms = {"accuracy": partial(right, threshold=threshold), "ECE": gaps, "Brier": squares}
    table = _Table(resampling, truth, given, terms)
    # The data are the resample that drew each video once.
    everything = np.ones((1, resampling.count), np.int32)
    found = [table.numbers(weights) for weights in chain([everything], resampling.blocks())]
    entries: dict[str, Entry] = {}
    for name, fakes in table.sets.items():
        entries[name] = {"real": int((truth == 0).sum()), "fake": int(fakes.sum())}
        for metric in found[0][name]:
            value, drawn = found[0][name][metric], np.concatenate([block[name][metric] for block in found[1:]])
            entries[name][metric] = _estimate(float(value[0]), drawn)
    return entries


def resample_methods(labels: Labels, methods: Sequence[str], groups: Sequence[Hashable] | None) -> Resampling:
    """The resamples of a table: of videos among the reals, and among each method's fakes."""
    strata = [method if label else REALS for label, method in zip(labels.tolist(), methods, strict=True)]
    if OVERALL in strata:
        raise SettingsError(f"a method is called {OVERALL!r}, as all of them together are; give it another name")
    return Resampling(strata, groups)


def fakes_by_entry(resampling: Resampling) -> dict[str, NDArray[np.bool_]]:
    """(N,) each: the fakes of each entry, all of them first."""
    parts = {
        str(name): (resampling.units >= columns.start) & (resampling.units < columns.stop)
        for name, columns in resampling.strata.items()
        if name != REALS
    }
    return {OVERALL: np.logical_or.reduce(list(parts.values()))} | parts


class _Table:
    """What every resample of a table is computed from, sorted and summed once."""

    def __init__(self, resampling: Resampling, truth: Labels, given: Scores, terms: dict[str, Terms]) -> None:
        self._columns = {str(name): columns for name, columns in resampling.strata.items() if name != REALS}
        self._reals = resampling.strata[REALS]
        self.sets = fakes_by_entry(resampling)
        self._ranking = Ranking(truth, given, resampling.units, list(self.sets.values()))
        self._sums = {name: resampling.sums(of(truth, given)) for name, of in terms.items()}
        self._frames = resampling.sums(np.ones((len(given), 1)))

    def numbers(self, weights: Weights) -> dict[str, dict[str, Values]]:
        """By set and metric, the numbers (R,) of the resamples."""
        found = {
            name: {metric: of(counts) for metric, of in RANK_METRICS.items()}
            for name, counts in zip(self.sets, self._ranking.counts(weights), strict=True)
        }
        if self._sums:
            frames = self._by_set(weights, self._frames)
            for metric, sums in self._sums.items():
                for name, totals in self._by_set(weights, sums).items():
                    found[name][metric] = np.abs(totals / frames[name]).sum(axis=1)
        return found

    def _by_set(self, weights: Weights, sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Sums (units, C) → those (R, C) of each entry's frames."""
        reals = weights[:, self._reals] @ sums[self._reals]
        parts = {name: weights[:, columns] @ sums[columns] for name, columns in self._columns.items()}
        return {OVERALL: reals + sum(parts.values())} | {name: reals + part for name, part in parts.items()}


def average(values: ArrayLike, groups: Sequence[Hashable] | None = None) -> dict[str, float]:
    """The mean of numbers (N,), such as the faces' IoU, with its interval by resampling groups.

    Raises:
        SettingsError: No numbers, or some that are not finite.
    """
    given = np.asarray(values, np.float64)
    if not given.size or not np.isfinite(given).all():
        raise SettingsError(f"a mean needs finite numbers, got {given.size}, {(~np.isfinite(given)).sum()} not finite")
    resampling = Resampling([""] * len(given), groups)
    sums = resampling.sums(np.stack([given, np.ones(len(given))], axis=1))
    drawn = np.concatenate([weights @ sums for weights in resampling.blocks()])
    return _estimate(float(given.mean()), drawn[:, 0] / drawn[:, 1])


def _estimate(value: float, drawn: Values) -> dict[str, float]:
    low, high = interval(drawn)
    return {"value": value, "low_95": low, "high_95": high}
