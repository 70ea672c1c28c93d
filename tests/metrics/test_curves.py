"""Curves against scikit-learn's; the reliability diagram against ECE."""

import numpy as np
import pytest
from sklearn.metrics import auc as area_under
from sklearn.metrics import precision_recall_curve, roc_curve

from facexray.errors import SettingsError
from facexray.metrics.classification import auc, ece
from facexray.metrics.curves import precision_recall, reliability, roc


@pytest.fixture(params=[2, 6])
def drawn(request):
    """Labels and scores of 300 images; with one decimal half of them are tied."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 300)
    return labels, np.round(1 / (1 + np.exp(-rng.normal(labels, 1.0))), request.param)


def test_the_roc_curve_is_that_of_scikit_learn(drawn):
    x, y = roc(*drawn)
    expected_x, expected_y, _ = roc_curve(*drawn, drop_intermediate=False)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert set(zip(x, y, strict=True)) <= set(zip(expected_x, expected_y, strict=True)), "no corner of its own"
    assert area_under(x, y) == pytest.approx(auc(*drawn))
    assert len(set(zip(x, y, strict=True))) == len(x), "no corner twice"


def test_every_corner_of_the_precision_recall_curve_is_scikit_learns(drawn):
    recall, precision = precision_recall(*drawn)
    expected, of, _ = precision_recall_curve(*drawn)
    points = {(round(x, 12), round(y, 12)) for x, y in zip(of, expected, strict=True)}
    ours = [(round(x, 12), round(y, 12)) for x, y in zip(recall, precision, strict=True)]
    assert set(ours) <= points | {(0.0, 0.0)}, "where reals stand above all fakes, precision falls to 0 at recall 0"
    assert ours[0] == (0, 1)
    assert recall[-1] == 1
    assert (np.diff(recall) >= 0).all()
    best = {x: max(y for at, y in points if at == x) for x, _ in ours[1:]}
    assert best == {x: max(y for at, y in ours if at == x) for x, _ in ours[1:]}


def test_reliability_is_what_ece_measures(drawn):
    bins = reliability(*drawn)
    assert bins.count.sum() == 300
    assert (np.abs(bins.probability - bins.share) * bins.count).sum() / 300 == pytest.approx(ece(*drawn))


def test_reliability_worked_by_hand():
    bins = reliability([0, 1, 0], [0.9, 0.9, 0.1])
    assert bins.probability == pytest.approx([0.1, 0.9])
    assert bins.share == pytest.approx([0, 0.5])
    assert bins.count.tolist() == [1, 2]


@pytest.mark.parametrize("curve", [roc, precision_recall, reliability])
def test_refuses_one_class(curve):
    with pytest.raises(SettingsError, match="both real"):
        curve([1, 1], [0.2, 0.4])
