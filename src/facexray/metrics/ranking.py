"""What lies above each threshold, weighted: what every metric of the order of scores is computed from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facexray.errors import SettingsError

Labels = NDArray[np.int64]
"""(N,) 0 real, 1 fake."""
Scores = NDArray[np.float64]
"""(N,), finite; the higher, the rather fake."""
Weights = NDArray[np.int32]
"""(R, units) how often each unit was drawn in each of R resamples."""
Values = NDArray[np.float64]
"""(R,) a number per resample."""


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[Labels, Scores]:
    """Labels (N,) and scores (N,) as arrays of one length, of both classes, all finite.

    Raises:
        SettingsError: They are not.
    """
    truth, given = np.asarray(labels), np.asarray(scores, np.float64)
    if truth.shape != given.shape or truth.ndim != 1:
        raise SettingsError(f"labels and scores must be two lists of one length, got {truth.shape} and {given.shape}")
    if set(np.unique(truth).tolist()) != {0, 1}:
        raise SettingsError(f"needs both real (0) and fake (1), got the labels {np.unique(truth).tolist()}")
    if not np.isfinite(given).all():
        raise SettingsError(f"{int((~np.isfinite(given)).sum())} of {len(given)} scores are not finite")
    return truth.astype(np.int64), given


@dataclass(frozen=True)
class Counts:
    """What lies above each of K thresholds, in each of R resamples. Thresholds are the fakes' scores, highest first.

    The ROC curve goes from (0, 0) through (`reals_above`, `fakes` − `gained`) and (`reals`, `fakes`) of each threshold
    in turn to (`all_reals`, `all_fakes`): across between thresholds, and aslant where a fake ties with reals.
    """

    gained: NDArray[np.int32]
    """(R, K) fakes whose score is the threshold."""
    fakes: NDArray[np.int32]
    """(R, K) fakes at or above the threshold."""
    reals_above: NDArray[np.int32]
    """(R, K) reals above the threshold."""
    reals: NDArray[np.int32]
    """(R, K) reals at or above the threshold; the same array as `reals_above` where no fake ties with a real."""
    all_fakes: Values
    """(R,)"""
    all_reals: Values
    """(R,)"""


@dataclass(frozen=True)
class _Fakes:
    """One set of fakes among the reals."""

    units: NDArray[np.int64]
    """(n,) unit of each, the highest score first."""
    ends: NDArray[np.int64] | None
    """(K,) place in `units` of each distinct score's last; None where no two are equal."""
    above: NDArray[np.int64]
    """(K,) how many reals score higher."""
    upto: NDArray[np.int64] | None
    """(K,) how many reals score as high or higher; None where none ties with a fake."""


class Ranking:
    """Scores sorted once: reals, and sets of fakes among them, for any number of resamples."""

    def __init__(
        self, labels: Labels, scores: Scores, units: NDArray[np.int64], sets: Sequence[NDArray[np.bool_]]
    ) -> None:
        """Sort.

        Args:
            labels: (N,), checked.
            scores: (N,), checked.
            units: (N,) which column of the weights each score goes by.
            sets: (N,) each: which of the fakes belong to a set. Each set has one at least.
        """
        real = labels == 0
        falling = np.argsort(-scores[real], kind="stable")
        self._reals = units[real][falling]
        ordered = -scores[real][falling]
        self._sets = [_rank(ordered, scores[~real & part], units[~real & part]) for part in sets]

    def counts(self, weights: Weights) -> Iterator[Counts]:
        """The counts of each set of fakes, each against all reals.

        Args:
            weights: (R, units), such that each class is drawn in each resample.
        """
        reals = np.zeros((len(weights), len(self._reals) + 1), np.int32)
        np.cumsum(weights.take(self._reals, axis=1), axis=1, dtype=np.int32, out=reals[:, 1:])
        for part in self._sets:
            gained = weights.take(part.units, axis=1)
            fakes = np.cumsum(gained, axis=1, dtype=np.int32)
            if part.ends is not None:
                fakes = fakes.take(part.ends, axis=1)
                gained = np.diff(fakes, axis=1, prepend=np.int32(0))
            above = reals.take(part.above, axis=1)
            upto = above if part.upto is None else reals.take(part.upto, axis=1)
            yield Counts(gained, fakes, above, upto, fakes[:, -1].astype(float), reals[:, -1].astype(float))


def _rank(negated_reals: Scores, scores: Scores, units: NDArray[np.int64]) -> _Fakes:
    falling = np.argsort(-scores, kind="stable")
    thresholds, first = np.unique(-scores[falling], return_index=True)
    ends = np.append(first[1:], len(scores)) - 1
    above = np.searchsorted(negated_reals, thresholds, "left")
    upto = np.searchsorted(negated_reals, thresholds, "right")
    return _Fakes(
        units[falling],
        None if len(thresholds) == len(scores) else ends,
        above,
        None if np.array_equal(above, upto) else upto,
    )


def plain_counts(labels: Labels, scores: Scores) -> Counts:
    """The counts of labels and scores as they are: one row, every weight 1."""
    everything = Ranking(labels, scores, np.arange(len(scores)), [labels == 1])
    return next(everything.counts(np.ones((1, len(scores)), np.int32)))
