"""Metrics of labelled scores against counting by hand and scikit-learn."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from facexray.errors import SettingsError
from facexray.metrics.classification import (
    METRICS,
    accuracy,
    ap,
    auc,
    brier,
    ece,
    eer,
    partial_auc,
    tpr_at_fpr,
)

TABLE = [
    # labels, scores, AUC, AP
    pytest.param([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], 1, 1, id="perfect"),
    pytest.param([0, 0, 1, 1], [0.9, 0.8, 0.2, 0.1], 0, (1 / 3 + 2 / 4) / 2, id="inverted"),
    pytest.param([0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5], 0.5, 0.5, id="all tied"),
    pytest.param([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], 0.75, (1 + 2 / 3) / 2, id="one pair of four wrong"),
    pytest.param([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9], 0.875, (1 + 2 / 3) / 2, id="a tie counts half"),
    pytest.param([0, 1], [0.3, 0.7], 1, 1, id="two"),
    pytest.param([1, 0, 0, 0, 0], [0.7, 0.1, 0.2, 0.8, 0.3], 0.75, 0.5, id="one fake"),
]


@pytest.mark.parametrize(("labels", "scores", "area", "precision"), TABLE)
def test_auc_and_ap_worked_by_hand(labels, scores, area, precision):
    assert auc(labels, scores) == pytest.approx(area)
    assert ap(labels, scores) == pytest.approx(precision)


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], 0),
        ([0, 0, 1, 1], [0.9, 0.8, 0.2, 0.1], 1),
        ([0, 0, 1, 1], [0.5] * 4, 0.5),
        ([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], 0.5),
        # From (0, ½) to (½, 1) the line meets FPR = 1 − TPR at ¼.
        ([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9], 0.25),
        # FPR ¼ at no fake found; FPR ¼ at all: the curve's vertical step at ¼ meets it there.
        ([1, 0, 0, 0, 0], [0.7, 0.1, 0.2, 0.8, 0.3], 0.25),
        # One third of each is on the wrong side of the middle.
        ([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.8, 0.9], 1 / 3),
    ],
)
def test_eer_worked_by_hand(labels, scores, expected):
    assert eer(labels, scores) == pytest.approx(expected)


@pytest.fixture(params=[0, 1, 2])
def drawn(request):
    """Labels and scores of 400 images; the third set is full of ties."""
    rng = np.random.default_rng(request.param)
    labels = rng.integers(0, 2, 400)
    scores = 1 / (1 + np.exp(-rng.normal(1.3 * labels, 1.0)))
    return labels, np.round(scores, 1) if request.param == 2 else scores


def test_auc_is_the_share_of_pairs_in_order(drawn):
    labels, scores = drawn
    real, fake = scores[labels == 0], scores[labels == 1]
    wins = (fake[:, None] > real[None]).mean() + 0.5 * (fake[:, None] == real[None]).mean()
    assert auc(labels, scores) == pytest.approx(wins)
    ranks = rankdata(scores)[labels == 1].sum() - len(fake) * (len(fake) + 1) / 2
    assert auc(labels, scores) == pytest.approx(ranks / len(fake) / len(real))


def test_auc_and_ap_are_those_of_scikit_learn(drawn):
    assert auc(*drawn) == pytest.approx(roc_auc_score(*drawn), abs=1e-12)
    assert ap(*drawn) == pytest.approx(average_precision_score(*drawn), abs=1e-12)
    assert partial_auc(*drawn) == pytest.approx(roc_auc_score(*drawn, max_fpr=0.1), abs=1e-12)
    assert brier(*drawn) == pytest.approx(brier_score_loss(*drawn), abs=1e-12)


def test_eer_is_where_a_sweep_of_thresholds_crosses(drawn):
    labels, scores = drawn
    thresholds = np.unique([*scores, np.inf])
    false_positive = np.array([(scores[labels == 0] >= t).mean() for t in thresholds])
    false_negative = np.array([(scores[labels == 1] < t).mean() for t in thresholds])
    crossed = int(np.argmax(false_negative >= false_positive))
    low = max(false_negative[crossed - 1], false_positive[crossed])
    high = min(false_negative[crossed], false_positive[crossed - 1])
    assert low - 1e-12 <= eer(labels, scores) <= high + 1e-12


@pytest.mark.parametrize("rate", [0, 0.01, 0.07, 0.5, 1])
def test_tpr_is_that_of_the_best_threshold_within_the_rate(rate, drawn):
    labels, scores = drawn
    false_positive, true_positive, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert tpr_at_fpr(labels, scores, rate) == true_positive[false_positive <= rate].max()


@pytest.mark.parametrize(
    ("labels", "scores", "rate", "expected"),
    [
        # The highest real stands above one fake of two.
        ([0, 0, 1, 1], [0.1, 0.5, 0.4, 0.9], 0.01, 0.5),
        # Half of the reals may be called fake: the higher of the two is.
        ([0, 0, 1, 1], [0.1, 0.5, 0.4, 0.9], 0.5, 1),
        # The fake at the real's own score falls with it.
        ([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9], 0.49, 0.5),
        ([0, 1], [0.9, 0.1], 0.5, 0),
        # Exactly 7 of 100 reals, though 0.07 · 100 > 7 as floats go, and 0.29 · 100 < 29.
        ([0] * 100 + [1], [*range(100), 92.5], 0.07, 1),
        ([0] * 100 + [1], [*range(100), 70.5], 0.29, 1),
        ([0] * 100 + [1], [*range(100), 69.5], 0.29, 0),
    ],
)
def test_tpr_at_fpr_worked_by_hand(labels, scores, rate, expected):
    assert tpr_at_fpr(labels, scores, rate) == expected


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], 1),
        # All tied: the diagonal, which is chance.
        ([0] * 5 + [1] * 3, [0.5] * 8, 0.5),
        # No fake found by 10 %: below chance, −0.005 / 0.095 beyond a half of it.
        ([0] * 10 + [1], [*range(1, 11), 0], 0.5 * (1 - 0.005 / 0.095)),
        # Of 20 reals one may come before the fake: from FPR 0.05 on it is found.
        ([0] * 20 + [1], [*range(20), 18.5], 0.5 * (1 + (0.05 - 0.005) / 0.095)),
    ],
)
def test_partial_auc_worked_by_hand(labels, scores, expected):
    assert partial_auc(labels, scores) == pytest.approx(expected)
    assert partial_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores, max_fpr=0.1))


def test_few_scores_full_of_ties_agree_with_scikit_learn():
    """Every pattern of ties between a few reals and fakes, at the limit of the partial AUC, too."""
    rng = np.random.default_rng(3)
    for _ in range(100):
        labels = np.append([0, 1], rng.integers(0, 2, rng.integers(1, 25)))
        scores = rng.integers(0, 5, len(labels)) / 4
        assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
        assert ap(labels, scores) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
        assert partial_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores, max_fpr=0.1), abs=1e-12)
        x, y, _ = roc_curve(labels, scores, drop_intermediate=False)
        assert np.interp(0, x + y - 1, x) == pytest.approx(eer(labels, scores), abs=1e-12)


def test_accuracy_counts_a_score_at_the_threshold_as_real():
    labels, scores = [0, 0, 0, 1, 1], [0.2, 0.5, 0.6, 0.5, 0.9]
    assert accuracy(labels, scores, 0.5) == 3 / 5
    assert accuracy(labels, scores, 0.45) == 3 / 5
    assert accuracy(labels, scores, 0.19) == 2 / 5
    assert accuracy(labels, scores, 1) == 3 / 5


def test_ece_worked_by_hand():
    """Bins of a fifteenth: two at 0.9 with one fake are 0.4 off, one at 0.1 is 0.1 off, 1 is in the last bin."""
    assert ece([0, 1, 0], [0.9, 0.9, 0.1]) == pytest.approx((2 * 0.4 + 0.1) / 3)
    assert ece([0, 1], [0, 1]) == 0
    assert ece([0, 1], [1, 0]) == 1
    assert ece([0, 1, 1], [0.95, 0.99, 1.0]) == pytest.approx(abs(2 - 2.94) / 3)
    # On an edge, 1/3 = 5/15, the upper bin: with 0.34 it is balanced by, not with 0.32.
    assert ece([0, 1], [1 / 3, 0.34]) == pytest.approx((1 - 1 / 3 - 0.34) / 2)
    assert ece([0, 1], [1 / 3, 0.32]) == pytest.approx((1 / 3 + 0.68) / 2)


def test_calibrated_probabilities_have_little_ece(drawn):
    rng = np.random.default_rng(5)
    probabilities = rng.uniform(size=40_000)
    labels = rng.uniform(size=40_000) < probabilities
    assert ece(labels, probabilities) < 0.01
    assert ece(labels, probabilities**2) == pytest.approx((probabilities - probabilities**2).mean(), abs=0.01)
    assert brier(labels, probabilities) == pytest.approx(1 / 6, abs=0.005)


@pytest.mark.parametrize("metric", [ece, brier])
def test_calibration_refuses_what_is_no_probability(metric):
    with pytest.raises(SettingsError, match=r"probabilities in \[0, 1\], got 0.2 to 3"):
        metric([0, 1], [0.2, 3])


@pytest.mark.parametrize("name", METRICS)
def test_only_the_order_of_scores_counts(name, drawn):
    labels, scores = drawn
    assert METRICS[name](labels, 1 / (1 + np.exp(-20 * scores))) == pytest.approx(METRICS[name](labels, scores))


def test_swapping_the_classes_swaps_the_area_and_keeps_the_eer(drawn):
    labels, scores = drawn
    assert auc(1 - labels, scores) == pytest.approx(1 - auc(labels, scores))
    assert eer(1 - labels, -scores) == pytest.approx(eer(labels, scores))


@pytest.mark.parametrize(
    "metric",
    [*METRICS.values(), partial_auc, brier, ece, partial(tpr_at_fpr, rate=0.01), partial(accuracy, threshold=0.5)],
)
@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 0], [0.1, 0.2], "both real"),
        ([1, 1], [0.1, 0.2], "both real"),
        ([], [], "both real"),
        ([0, 1, 2], [0.1, 0.2, 0.3], "both real"),
        ([0, 1], [0.1, float("nan")], "1 of 2 scores are not finite"),
        ([0, 1], [float("inf"), 0.1], "1 of 2 scores are not finite"),
        ([0, 1], [0.1], "one length"),
        ([[0, 1]], [[0.1, 0.2]], "one length"),
    ],
)
def test_refuses_what_has_no_answer(metric, labels, scores, message):
    with pytest.raises(SettingsError, match=message):
        metric(labels, scores)


def test_the_table_names_each_metric():
    assert {"AUC": auc, "AP": ap, "EER": eer} == METRICS
