"""Is one list of scores better than another, of the same frames? The paired bootstrap of the AUC difference."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from facexray.metrics.bootstrap import interval
from facexray.metrics.classification import auc_of
from facexray.metrics.ranking import Ranking, Values, Weights, checked
from facexray.metrics.summary import fakes_by_entry, resample_methods

FEWEST = 10
"""Of fewer real or fake videos, resamples are too much alike to show chance."""


@dataclass(frozen=True)
class Difference:
    """The difference of two AUCs on the same frames."""

    real: int
    """Videos."""
    fake: int
    """Videos."""
    a: float
    """AUC of the first scores."""
    b: float
    """AUC of the second scores."""
    difference: float
    """a − b."""
    low_95: float
    high_95: float
    above_0: float
    """Share of resamples in which the first scores are the better ones."""
    below_0: float
    """Share of resamples in which the second ones are; what is left is equal."""

    @property
    def better(self) -> str | None:
        """`a` or `b`, if the difference is beyond chance: the 95 % interval leaves 0 out, and videos are enough."""
        if min(self.real, self.fake) < FEWEST or self.low_95 <= 0 <= self.high_95:
            return None
        return "a" if self.difference > 0 else "b"


def auc_differences(
    labels: ArrayLike, methods: Sequence[str], videos: Sequence[Hashable], a: ArrayLike, b: ArrayLike
) -> dict[str, Difference]:
    """The difference of AUC, overall and of each method's fakes against all reals; each resample draws for both.

    Args:
        labels: (N,) 0 real, 1 fake.
        methods: (N,) what made each fake.
        videos: (N,) what is drawn as one.
        a: (N,) scores.
        b: (N,) other scores of the same frames.

    Raises:
        SettingsError: One class alone, or scores that are not finite.
    """
    truth, first = checked(labels, a)
    second = checked(labels, b)[1]
    resampling = resample_methods(truth, methods, videos)
    sets = fakes_by_entry(resampling)
    ranked = [Ranking(truth, scores, resampling.units, list(sets.values())) for scores in (first, second)]

    def areas(weights: Weights) -> list[tuple[Values, Values]]:
        return [(auc_of(one), auc_of(two)) for one, two in zip(*(r.counts(weights) for r in ranked), strict=True)]

    values = areas(np.ones((1, resampling.count), np.int32))
    drawn = [areas(weights) for weights in resampling.blocks()]
    reals = len(np.unique(resampling.units[truth == 0]))
    found = {}
    for number, (name, fakes) in enumerate(sets.items()):
        one, two = (float(value[0]) for value in values[number])
        differences = np.concatenate([block[number][0] - block[number][1] for block in drawn])
        sides = float((differences > 0).mean()), float((differences < 0).mean())
        count = len(np.unique(resampling.units[fakes]))
        found[name] = Difference(reals, count, one, two, one - two, *interval(differences), *sides)
    return found
