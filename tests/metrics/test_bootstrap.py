"""Resamples: what is drawn, how often, and that nothing but the seed decides it."""

import numpy as np
import pytest

from facexray.metrics import bootstrap
from facexray.metrics.bootstrap import Resampling, interval


def draws(*args, **options):
    return np.concatenate(list(Resampling(*args, **options).blocks()))


def test_each_stratum_is_drawn_as_often_as_it_is_large():
    strata, groups = ["real"] * 6 + ["DF"] * 4 + ["FS"], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    resampling = Resampling(strata, groups, resamples=50)
    weights = np.concatenate(list(resampling.blocks()))
    assert weights.shape == (50, 6)
    assert resampling.units.tolist() == groups
    for columns, size in zip(resampling.strata.values(), (3, 2, 1), strict=True):
        assert (weights[:, columns].sum(axis=1) == size).all()
    assert (weights[:, 5] == 1).all(), "the one video of its method is in every resample"


def test_a_group_that_lies_in_two_strata_is_drawn_in_each_for_itself():
    resampling = Resampling([0, 1] * 20, [index // 2 for index in range(40)])
    assert resampling.count == 40
    weights = next(iter(resampling.blocks()))
    assert (weights[:, :20] != weights[:, 20:]).any()


def test_without_groups_each_stands_alone():
    assert sorted(Resampling(["real", "fake", "real"]).units) == [0, 1, 2]


def test_draws_are_those_of_the_multinomial():
    """Means, variances and correlations of how often each of four is drawn in four draws: 1, ¾ and −⅓."""
    weights = draws([0] * 4, resamples=20_000)
    assert weights.mean(axis=0) == pytest.approx([1] * 4, abs=0.03)
    assert weights.var(axis=0) == pytest.approx([0.75] * 4, abs=0.03)
    correlations = np.corrcoef(weights.T)[np.triu_indices(4, 1)]
    assert correlations == pytest.approx([-1 / 3] * 6, abs=0.03)


def test_the_seed_alone_decides_not_the_size_of_the_blocks(monkeypatch):
    strata, groups = [0] * 7 + [1] * 12, list(np.arange(19) // 2)
    expected = draws(strata, groups, resamples=33)
    assert (draws(strata, groups, resamples=33) == expected).all()
    assert (draws(strata, groups, resamples=33, seed=1) != expected).any()
    for size in (1, 19 * 3, 19 * 33):
        monkeypatch.setattr(bootstrap, "BLOCK", size)
        assert (draws(strata, groups, resamples=33) == expected).all()


def test_another_method_changes_no_draw_of_the_ones_before_it():
    one = draws([0] * 5 + ["DF"] * 5)
    assert (draws([0] * 5 + ["DF"] * 5 + ["FS"] * 3)[:, :10] == one).all()


def test_sums_are_those_of_each_unit():
    resampling = Resampling([0, 0, 1, 1, 1], ["a", "b", "a", "a", "b"])
    sums = resampling.sums(np.array([[1, 10], [2, 20], [3, 30], [4, 40], [5, 50]], float))
    assert sums.tolist() == [[1, 10], [2, 20], [7, 70], [5, 50]]


def test_the_interval_holds_the_middle_95_percent():
    assert interval(np.arange(1001) / 1000) == pytest.approx((0.025, 0.975))
