"""A table's entries against the naive bootstrap, which copies the drawn frames and measures them anew."""

from functools import partial

import numpy as np
import pytest

from facexray.errors import SettingsError
from facexray.metrics.bootstrap import Resampling, interval
from facexray.metrics.classification import accuracy, ap, auc, brier, ece, eer, partial_auc, tpr_at_fpr
from facexray.metrics.summary import average, summaries, summary

NAIVE = {
    "AUC": auc,
    "AP": ap,
    "EER": eer,
    "TPR@FPR=1%": partial(tpr_at_fpr, rate=0.01),
    "TPR@FPR=0.1%": partial(tpr_at_fpr, rate=0.001),
    "pAUC@10%": partial_auc,
    "accuracy": partial(accuracy, threshold=0.4),
    "ECE": ece,
    "Brier": brier,
}

FEW = 60
"""Resamples, to save time."""


def frames_of(videos, rng, decimals):
    """Labels, scores, methods and videos of frames, 1 to 6 of a video; with one decimal full of ties."""
    video = np.repeat(np.arange(videos), rng.integers(1, 7, videos))
    label = video % 2
    score = 1 / (1 + np.exp(-rng.normal(size=videos)[video] - rng.normal(label, 0.7)))
    method = np.array(["DF", "FS", "NT"])[video // 2 % 3]
    return label, np.round(score, decimals), np.where(label, method, "real").tolist(), video.tolist()


def naive(labels, scores, methods, groups):
    """By entry and metric: the value, and the interval from copies of the frames by the same draws."""
    strata = [method if label else 0 for label, method in zip(labels, methods, strict=True)]
    resampling = Resampling(strata, groups, FEW)
    weights = np.concatenate(list(resampling.blocks()))[:, resampling.units]
    found = {}
    for name in ["overall", *dict.fromkeys(m for m, label in zip(methods, labels, strict=True) if label)]:
        part = np.array(
            [name == "overall" or label == 0 or m == name for m, label in zip(methods, labels, strict=True)]
        )
        copies = [np.repeat(np.flatnonzero(part), row[part]) for row in weights]
        for metric, of in NAIVE.items():
            drawn = [of(labels[rows], scores[rows]) for rows in copies]
            found[name, metric] = [of(labels[part], scores[part]), *interval(np.array(drawn))]
    return found


@pytest.mark.parametrize("decimals", [1, 9], ids=["ties", "no ties"])
def test_every_number_is_that_of_the_naive_bootstrap(decimals, monkeypatch):
    monkeypatch.setattr("facexray.metrics.summary.Resampling", partial(Resampling, resamples=FEW))
    data = frames_of(40, np.random.default_rng(2), decimals)
    expected = naive(*data)
    entries = summaries(*data, threshold=0.4, probabilities=True)
    assert {(name, metric) for name in entries for metric in NAIVE} == set(expected)
    for (name, metric), numbers in expected.items():
        assert list(entries[name][metric].values()) == pytest.approx(numbers, abs=1e-12), (name, metric)
    assert entries["DF"]["real"] == entries["overall"]["real"] == (data[0] == 0).sum()
    assert sum(entries[name]["fake"] for name in ("DF", "FS", "NT")) == entries["overall"]["fake"]


def test_one_entry_is_that_of_a_table_of_one_method():
    labels, scores, _, videos = frames_of(30, np.random.default_rng(0), 6)
    entry = summary(labels, scores, videos)
    table = summaries(labels, scores, ["FS"] * len(labels), videos)
    assert entry == table["overall"] == table["FS"]
    assert list(entry) == ["real", "fake", *list(NAIVE)[:6]], "scores that are no probabilities have no calibration"


@pytest.mark.parametrize("metric", ["AUC", "AP", "EER"])
def test_the_interval_holds_the_point_and_comes_again(metric):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    scores = rng.normal(labels, 1)
    numbers = summary(labels, scores)[metric]
    assert numbers["low_95"] < numbers["value"] < numbers["high_95"]
    assert numbers == summary(labels, scores)[metric]


def width(labels, scores, groups=None):
    numbers = summary(labels, scores, groups)["AUC"]
    return numbers["high_95"] - numbers["low_95"]


def test_the_interval_narrows_with_more_videos():
    rng = np.random.default_rng(0)
    few, many = (np.arange(count) % 2 for count in (60, 1000))
    assert width(many, rng.normal(many, 1)) < 0.5 * width(few, rng.normal(few, 1))


def test_frames_of_one_video_are_drawn_together():
    """Each video ten times over says no more than once; taken for independent, it would seem to."""
    rng = np.random.default_rng(8)
    labels = np.repeat([0, 1], 30)
    scores = rng.normal(labels, 1)
    frames, repeated = np.repeat(labels, 10), np.repeat(scores, 10)
    alone = width(labels, scores)
    assert width(frames, repeated, np.repeat(np.arange(60), 10).tolist()) == pytest.approx(alone)
    assert width(frames, repeated) < 0.5 * alone


def test_resampling_keeps_each_class():
    """One fake among many reals: resampling over both classes would often lose it."""
    assert summary([1] + [0] * 20, [0.9] + [0.1] * 20)["AUC"] == {"value": 1, "low_95": 1, "high_95": 1}


def test_a_group_may_hold_both_classes():
    """A face and its blended twin: each class is drawn for itself."""
    labels, scores = [0, 1] * 20, list(np.linspace(0, 1, 40))
    numbers = summary(labels, scores, [index // 2 for index in range(40)])["AUC"]
    assert numbers["low_95"] < auc(labels, scores) < numbers["high_95"]


def test_a_mean_has_the_standard_error_of_its_groups():
    """90 % or 99 % would be 16 % off, or 31 %; frames for themselves half as wide."""
    rng = np.random.default_rng(4)
    of_video = rng.normal(size=200)
    numbers = average(np.repeat(of_video, 4), np.repeat(np.arange(200), 4).tolist())
    error = of_video.std() / 200**0.5
    assert numbers["value"] == pytest.approx(of_video.mean())
    assert numbers["high_95"] - numbers["low_95"] == pytest.approx(2 * 1.96 * error, rel=0.08)
    assert (numbers["low_95"] + numbers["high_95"]) / 2 == pytest.approx(of_video.mean(), abs=0.15 * error)


@pytest.mark.parametrize("values", [[], [0.5, float("nan")]])
def test_a_mean_refuses_what_has_none(values):
    with pytest.raises(SettingsError, match="needs finite numbers"):
        average(values)


@pytest.mark.parametrize(
    ("labels", "scores", "methods", "message"),
    [
        ([1, 1], [0.1, 0.2], ["DF", "DF"], "both real"),
        ([0, 1], [0.1, float("nan")], ["", "DF"], "not finite"),
        ([0, 1], [0.1, 0.2], ["", "overall"], "called 'overall'"),
        ([0, 1], [0.1, 2], ["", "DF"], r"probabilities in \[0, 1\]"),
    ],
)
def test_refuses_what_has_no_entry(labels, scores, methods, message):
    with pytest.raises(SettingsError, match=message):
        summaries(labels, scores, methods, probabilities=True)


def test_a_method_may_be_called_real_or_nothing():
    entries = summaries([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.9], ["x", "x", "real", ""])
    assert [entries[name]["AUC"]["value"] for name in ("overall", "real", "")] == [0.75, 0.5, 1]
