"""The points of ROC, PR and DET curves, and of the reliability diagram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facexray.metrics.classification import CALIBRATION_BINS, calibration_bin
from facexray.metrics.ranking import checked, plain_counts

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""x (P,) and y (P,) of the corners, joined by straight lines."""


def roc(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """The ROC curve: false positive rate, true positive rate, from (0, 0) to (1, 1).

    The DET curve is the same with the missed fakes, 1 − true positive rate, on axes of normal deviates.

    Args:
        labels: (N,) 0 real, 1 fake.
        scores: (N,), the higher the rather fake.

    Raises:
        SettingsError: One class alone, or scores that are not finite.
    """
    reals, fakes = _corners(labels, scores)
    return reals / reals[-1], fakes / fakes[-1]


def precision_recall(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """The PR curve: recall and precision, from (0, 1), as where no threshold is so high; see `roc`."""
    reals, fakes = _corners(labels, scores)
    called = reals + fakes
    return fakes / fakes[-1], np.where(called > 0, fakes / np.maximum(called, 1), 1)


def _corners(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """Reals and fakes above falling thresholds, at the corners of the ROC curve."""
    counts = plain_counts(*checked(labels, scores))
    before = counts.fakes[0] - counts.gained[0]
    reals = np.stack([counts.reals_above[0], counts.reals[0]], axis=1).ravel()
    fakes = np.stack([before, counts.fakes[0]], axis=1).ravel()
    points = np.stack([np.append(np.append(0, reals), counts.all_reals), np.append(np.append(0, fakes), fakes[-1])])
    new = np.append(True, (np.diff(points) != 0).any(axis=0))
    return points[0, new], points[1, new]


@dataclass(frozen=True)
class Reliability:
    """The bins of a reliability diagram that hold anything: those of `ece`."""

    probability: NDArray[np.float64]
    """(B,) mean probability of fake in the bin."""
    share: NDArray[np.float64]
    """(B,) share of fakes in the bin."""
    count: NDArray[np.int64]
    """(B,) how many are in the bin."""


def reliability(labels: ArrayLike, probabilities: ArrayLike) -> Reliability:
    """The reliability diagram of probabilities (N,) of fake and labels (N,).

    Raises:
        SettingsError: One class alone, or no probabilities.
    """
    truth, given = checked(labels, probabilities)
    bins = calibration_bin(given)
    count = np.bincount(bins, minlength=CALIBRATION_BINS)
    full = count > 0
    sums = [np.bincount(bins, values, CALIBRATION_BINS)[full] / count[full] for values in (given, truth)]
    return Reliability(sums[0], sums[1], count[full])
