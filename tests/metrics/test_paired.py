"""The paired bootstrap against copies of the drawn frames, and against what pairing is for."""

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from facexray.errors import SettingsError
from facexray.metrics.bootstrap import Resampling, interval
from facexray.metrics.paired import auc_differences
from facexray.metrics.summary import summary


def frames_of(videos, rng, frames=3):
    """Labels, methods, videos, and what makes each video hard."""
    video = np.repeat(np.arange(videos), frames)
    label = video % 2
    return label, np.where(video % 4 == 1, "DF", "FS").tolist(), video.tolist(), rng.normal(size=videos)[video]


def test_it_is_the_naive_one_of_the_same_draws(monkeypatch):
    few = partial(Resampling, resamples=60)
    monkeypatch.setattr("facexray.metrics.summary.Resampling", few)
    rng = np.random.default_rng(0)
    labels, methods, videos, hard = frames_of(40, rng)
    a, b = (np.round(labels + hard + rng.normal(0, noise, 120), 1) for noise in (0.5, 1.5))
    found = auc_differences(labels, methods, videos, a, b)
    resampling = few([method if label else 0 for label, method in zip(labels, methods, strict=True)], videos)
    weights = np.concatenate(list(resampling.blocks()))[:, resampling.units]
    assert list(found) == ["overall", "DF", "FS"]
    for name, entry in found.items():
        part = np.flatnonzero((labels == 0) | (np.array(methods) == name) | (name == "overall"))
        drawn = []
        for row in weights[:, part]:
            rows = np.repeat(part, row)
            drawn.append(roc_auc_score(labels[rows], a[rows]) - roc_auc_score(labels[rows], b[rows]))
        assert entry.a == pytest.approx(roc_auc_score(labels[part], a[part]))
        assert entry.b == pytest.approx(roc_auc_score(labels[part], b[part]))
        assert (entry.low_95, entry.high_95) == pytest.approx(interval(np.array(drawn)), abs=1e-12)
        assert entry.above_0 == pytest.approx((np.array(drawn) > 1e-12).mean(), abs=1e-9)
        assert entry.below_0 == pytest.approx((np.array(drawn) < -1e-12).mean(), abs=1e-9)
        assert (entry.real, entry.fake) == (20, {"overall": 20}.get(name, 10))


def test_what_is_hard_for_both_is_no_difference():
    """Unpaired, the AUCs' intervals overlap widely; of the same draws the difference is clear."""
    rng = np.random.default_rng(1)
    labels, methods, videos, hard = frames_of(200, rng)
    a, b = (share * labels + 2 * hard + rng.normal(0, 0.2, 600) for share in (1.0, 0.6))
    alone = [summary(labels, scores, videos)["AUC"] for scores in (a, b)]
    assert alone[1]["high_95"] > alone[0]["low_95"], "the two intervals overlap"
    entry = auc_differences(labels, methods, videos, a, b)["overall"]
    assert 0 < entry.low_95 < entry.difference < entry.high_95
    assert entry.high_95 - entry.low_95 < 0.5 * (alone[0]["high_95"] - alone[0]["low_95"])
    assert entry.better == "a"
    turned = auc_differences(labels, methods, videos, b, a)["overall"]
    assert (turned.low_95, turned.high_95) == pytest.approx((-entry.high_95, -entry.low_95))
    assert turned.better == "b"
    assert (turned.above_0, turned.below_0) == (entry.below_0, entry.above_0)


def test_chance_alone_is_seldom_called_a_difference():
    """Of equals, one in twenty is beyond the 95 % interval."""
    rng = np.random.default_rng(2)
    labels, _, videos, hard = frames_of(60, rng, frames=1)
    scores = (labels + hard + rng.normal(0, 1, (2, 60)) for _ in range(60))
    called = sum(auc_differences(labels, ["DF"] * 60, videos, a, b)["overall"].better is not None for a, b in scores)
    assert called <= 9


def test_the_same_scores_do_not_differ():
    labels, methods, videos, hard = frames_of(60, np.random.default_rng(3))
    entry = auc_differences(labels, methods, videos, hard, 2 * hard)["overall"]
    assert (entry.difference, entry.low_95, entry.high_95, entry.above_0, entry.below_0) == (0, 0, 0, 0, 0)
    assert entry.better is None


def test_a_few_videos_say_nothing_however_clear():
    labels = np.array([0] * 9 + [1] * 20)
    entry = auc_differences(labels, ["DF"] * 29, list(range(29)), labels, 1 - labels)["overall"]
    assert (entry.low_95, entry.high_95) == (1, 1)
    assert entry.better is None


@pytest.mark.parametrize(
    ("labels", "b", "message"), [([0, 0], [1, 2], "both real"), ([0, 1], [1, float("nan")], "not finite")]
)
def test_refuses_what_has_no_auc(labels, b, message):
    with pytest.raises(SettingsError, match=message):
        auc_differences(labels, ["DF", "DF"], [0, 1], [1, 2], b)
