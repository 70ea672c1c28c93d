"""Numbers of a labelled list of scores: AUC, AP, EER and what stands beside them in a table.

All take labels (N,) of 0 real and 1 fake, and scores (N,), the higher the rather fake; fake is the positive class. All
raise `SettingsError` for one class alone, for scores that are not finite, and for lists of unequal length. Equal scores
stand at one threshold: none of a tie is above another, in whatever order they are listed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facexray.errors import SettingsError
from facexray.metrics.ranking import Counts, Labels, Scores, Values, checked, plain_counts

Metric = Callable[[ArrayLike, ArrayLike], float]
RankMetric = Callable[[Counts], Values]
Terms = Callable[[Labels, Scores], NDArray[np.float64]]
"""Labels (N,) and probabilities (N,) → terms (N, C), of which a metric is the sum of the absolute means."""

CALIBRATION_BINS = 15
"""Of equal width, as in Guo et al., ICML 2017."""
PARTIAL_LIMIT = 0.1
"""The false positive rate up to which the partial AUC goes."""


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the share of pairs of a real and a fake that are in order, a tie counting half."""
    return _plain(auc_of, labels, scores)


def ap(labels: ArrayLike, scores: ArrayLike) -> float:
    """Average precision: Σ (recall gained at a threshold) · (precision there), without interpolation."""
    return _plain(ap_of, labels, scores)


def eer(labels: ArrayLike, scores: ArrayLike) -> float:
    """Equal error rate: where the share of reals called fake equals that of fakes called real.

    Between two points of the ROC curve the error rates are interpolated linearly.
    """
    return _plain(eer_of, labels, scores)


def tpr_at_fpr(labels: ArrayLike, scores: ArrayLike, rate: float) -> float:
    """The largest share of fakes found by a threshold that calls at most the share `rate` of reals fake.

    Nothing is interpolated: of fewer than 1 / rate reals, none may be called fake.
    """
    return _plain(partial(tpr_of, rate=rate), labels, scores)


def partial_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve up to a false positive rate of 10 %, standardised after McClish (1989).

    ½ is chance and 1 perfect, at any limit; as `roc_auc_score(max_fpr=0.1)` of scikit-learn gives it. The area divided
    by its limit, which others call partial AUC as well, would give chance 0.05.
    """
    return _plain(partial_auc_of, labels, scores)


def accuracy(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float:
    """Share of right answers where a score above a threshold, which was fixed beforehand, is called fake.

    It goes by the share of fakes among all: of 90 fakes and 10 reals, 0.9 is what one answer for all gets.
    """
    return _mean(partial(right, threshold=threshold), labels, scores)


def ece(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Expected calibration error: mean of |share of fakes − mean probability| over 15 bins, weighted by their size.

    Raises:
        SettingsError: Scores that are no probabilities, too.
    """
    return _mean(gaps, labels, probabilities)


def brier(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared difference of probability and label; see `ece`."""
    return _mean(squares, labels, probabilities)


METRICS: dict[str, Metric] = {"AUC": auc, "AP": ap, "EER": eer}
"""The field's three numbers by their names."""


def auc_of(counts: Counts) -> Values:
    """`auc` of each resample."""
    below = counts.reals_above if counts.reals is counts.reals_above else counts.reals_above + counts.reals
    lost = _sum(counts.gained, below) / (1 if below is counts.reals_above else 2)
    return np.asarray(1 - lost / (counts.all_reals * counts.all_fakes))


def ap_of(counts: Counts) -> Values:
    """`ap` of each resample."""
    called = np.maximum(counts.fakes + counts.reals, 1)  # none where no frame so high was drawn, nor gained then
    return np.asarray(_sum(counts.gained, counts.fakes / called) / counts.all_fakes)


def eer_of(counts: Counts) -> Values:
    """`eer` of each resample."""
    reals, fakes, each = counts.all_reals, counts.all_fakes, np.arange(len(counts.fakes))
    # Whole numbers: rounding must not move the place where the two error rates are equal.
    crossed = counts.reals * fakes[:, None] + counts.fakes * reals[:, None] >= (reals * fakes)[:, None]
    place = each, crossed.argmax(axis=1)
    before = counts.fakes[place] - counts.gained[place]
    gap = reals * fakes - counts.reals_above[place] * fakes - before * reals
    rise = (counts.reals[place] - counts.reals_above[place]) * fakes + counts.gained[place] * reals
    share = gap / np.maximum(rise, 1)
    aslant = counts.reals_above[place] + share * (counts.reals[place] - counts.reals_above[place])
    # With no gap left the curve crossed on its way there, through reals alone.
    return np.asarray(np.where(gap <= 0, 1 - before / fakes, aslant / reals))


def tpr_of(counts: Counts, rate: float) -> Values:
    """`tpr_at_fpr` of each resample."""
    allowed = np.floor(rate * counts.all_reals + 1e-9)
    places = np.count_nonzero(counts.reals <= allowed[:, None], axis=1)
    found = counts.fakes[np.arange(len(places)), places - 1]
    return np.asarray(np.where(places > 0, found, 0) / counts.all_fakes, np.float64)


def partial_auc_of(counts: Counts) -> Values:
    """`partial_auc` of each resample."""
    limit = PARTIAL_LIMIT * counts.all_reals
    columns = int(np.count_nonzero(counts.reals_above < limit[:, None], axis=1).max())
    after = np.maximum(limit[:, None] - counts.reals[:, :columns], 0)
    area = _sum(counts.gained[:, :columns], after)
    if counts.reals is not counts.reals_above:
        # Where fakes tie with reals the curve rises aslant: a triangle more, cut off at the limit.
        width = np.maximum(limit[:, None] - counts.reals_above[:, :columns], 0) - after
        tied = np.maximum(counts.reals[:, :columns] - counts.reals_above[:, :columns], 1)
        area += _sum(counts.gained[:, :columns], width**2 / (2 * tied))
    area /= counts.all_reals * counts.all_fakes
    chance = PARTIAL_LIMIT**2 / 2
    return np.asarray((1 + (area - chance) / (PARTIAL_LIMIT - chance)) / 2)


RANK_METRICS: dict[str, RankMetric] = {
    "AUC": auc_of,
    "AP": ap_of,
    "EER": eer_of,
    "TPR@FPR=1%": partial(tpr_of, rate=0.01),
    "TPR@FPR=0.1%": partial(tpr_of, rate=0.001),
    "pAUC@10%": partial_auc_of,
}
"""What the order of scores decides, by the names in tables."""


def right(labels: Labels, scores: Scores, threshold: float) -> NDArray[np.float64]:
    """The terms of `accuracy`: (N, 1)."""
    return np.asarray(np.equal(scores > threshold, labels == 1)[:, None], np.float64)


def gaps(labels: Labels, probabilities: Scores) -> NDArray[np.float64]:
    """The terms of `ece`: (N, bins)."""
    terms = np.zeros((len(labels), CALIBRATION_BINS))
    terms[np.arange(len(labels)), calibration_bin(probabilities)] = probabilities - labels
    return terms


def squares(labels: Labels, probabilities: Scores) -> NDArray[np.float64]:
    """The terms of `brier`: (N, 1)."""
    calibration_bin(probabilities)
    return ((probabilities - labels) ** 2)[:, None]


def calibration_bin(probabilities: Scores) -> NDArray[np.int64]:
    """(N,) number of the bin of each probability; a bin holds its lower edge, and the last its upper one, too.

    Raises:
        SettingsError: Scores outside [0, 1].
    """
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise SettingsError(
            f"calibration is of probabilities in [0, 1], got {probabilities.min():.4g} to {probabilities.max():.4g}"
        )
    return np.minimum((probabilities * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def _plain(metric: RankMetric, labels: ArrayLike, scores: ArrayLike) -> float:
    return float(metric(plain_counts(*checked(labels, scores)))[0])


def _mean(terms: Terms, labels: ArrayLike, scores: ArrayLike) -> float:
    return float(np.abs(terms(*checked(labels, scores)).mean(axis=0)).sum())


def _sum(counts: NDArray[np.int32], values: NDArray[np.int32] | NDArray[np.float64]) -> Values:
    """(R, K), (R, K) → (R,) sums of products; in float64, which holds whole numbers up to 2⁵³."""
    return np.asarray(np.einsum("rk,rk->r", counts, values, dtype=np.float64, casting="safe"))
