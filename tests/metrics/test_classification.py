"""AUC, AP, EER against counting by hand and scikit-learn; pooling and bootstrap."""

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from facexray.errors import SettingsError
from facexray.metrics import METRICS, ap, auc, bootstrap, eer, pool_by_video

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
    assert auc(*drawn) == roc_auc_score(*drawn)
    assert ap(*drawn) == average_precision_score(*drawn)


def test_eer_is_where_a_sweep_of_thresholds_crosses(drawn):
    labels, scores = drawn
    thresholds = np.unique([*scores, np.inf])
    false_positive = np.array([(scores[labels == 0] >= t).mean() for t in thresholds])
    false_negative = np.array([(scores[labels == 1] < t).mean() for t in thresholds])
    crossed = int(np.argmax(false_negative >= false_positive))
    low = max(false_negative[crossed - 1], false_positive[crossed])
    high = min(false_negative[crossed], false_positive[crossed - 1])
    assert low - 1e-12 <= eer(labels, scores) <= high + 1e-12


@pytest.mark.parametrize("name", METRICS)
def test_only_the_order_of_scores_counts(name, drawn):
    labels, scores = drawn
    assert METRICS[name](labels, 1 / (1 + np.exp(-20 * scores))) == pytest.approx(METRICS[name](labels, scores))


def test_swapping_the_classes_swaps_the_area_and_keeps_the_eer(drawn):
    labels, scores = drawn
    assert auc(1 - labels, scores) == pytest.approx(1 - auc(labels, scores))
    assert eer(1 - labels, -scores) == pytest.approx(eer(labels, scores))


@pytest.mark.parametrize("name", METRICS)
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
def test_refuses_what_has_no_answer(name, labels, scores, message):
    with pytest.raises(SettingsError, match=message):
        METRICS[name](labels, scores)


def test_the_table_names_each_metric():
    assert {"AUC": auc, "AP": ap, "EER": eer} == METRICS


def test_pools_by_the_mean():
    keys, labels, scores = pool_by_video(["a", "b", "a", "b", "c"], [0, 1, 0, 1, 1], [0.1, 0.6, 0.3, 0.8, 0.5])
    assert keys == ["a", "b", "c"]
    assert labels == [0, 1, 1]
    assert scores == pytest.approx([0.2, 0.7, 0.5])


def test_videos_of_one_name_stay_apart_by_their_method():
    """DeepfakeBench merges Deepfakes/000_003 with Face2Face/000_003."""
    frames = [("FF++", method, "000_003") for method in ("Deepfakes", "Face2Face") for _ in range(2)]
    keys, _, scores = pool_by_video(frames, [1] * 4, [0.9, 0.7, 0.2, 0.4])
    assert keys == [("FF++", "Deepfakes", "000_003"), ("FF++", "Face2Face", "000_003")]
    assert scores == pytest.approx([0.8, 0.3])


def test_refuses_a_video_of_both_labels():
    with pytest.raises(SettingsError, match="000: real and fake"):
        pool_by_video(["000", "000"], [0, 1], [0.1, 0.9])


def test_pooling_refuses_lists_of_unequal_length():
    with pytest.raises(ValueError, match="shorter"):
        pool_by_video(["a", "b"], [0, 1], [0.1])


@pytest.mark.parametrize("name", METRICS)
def test_the_bootstrap_interval_holds_the_point_and_comes_again(name, drawn):
    labels, scores = drawn
    low, high = bootstrap(METRICS[name], labels, scores, resamples=100)
    assert low < METRICS[name](labels, scores) < high
    assert (low, high) == bootstrap(METRICS[name], labels, scores, resamples=100)
    assert (low, high) != bootstrap(METRICS[name], labels, scores, resamples=100, seed=1)


def test_the_interval_narrows_with_more_videos():
    rng = np.random.default_rng(0)

    def width(count):
        labels = np.arange(count) % 2
        low, high = bootstrap(auc, labels, rng.normal(labels, 1), resamples=100)
        return high - low

    assert width(1000) < 0.5 * width(60)


def test_the_interval_holds_95_percent():
    """Of a difference of means, whose standard error is known; 90 % or 99 % would be 16 % off, or 31 %."""
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1], 50)
    scores = rng.normal(labels, 1)
    parts = scores[:50], scores[50:]
    error = sum(part.var() / 50 for part in parts) ** 0.5
    low, high = bootstrap(lambda y, x: float(x[y == 1].mean() - x[y == 0].mean()), labels, scores, resamples=3000)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.07)
    assert (low + high) / 2 == pytest.approx(parts[1].mean() - parts[0].mean(), abs=0.1 * error)


def test_resampling_keeps_each_class():
    """One fake among many reals: resampling over both classes would often lose it."""
    labels, scores = [1] + [0] * 20, [0.9] + [0.1] * 20
    assert bootstrap(auc, labels, scores, resamples=50) == (1, 1)


def test_frames_of_one_video_are_drawn_together():
    """Each video ten times over says no more than once; taken for independent, it would seem to."""
    rng = np.random.default_rng(8)
    labels = np.repeat([0, 1], 30)
    scores = rng.normal(labels, 1)
    frames, repeated = np.repeat(labels, 10), np.repeat(scores, 10)

    def width(*args, **options):
        low, high = bootstrap(auc, *args, resamples=300, **options)
        return high - low

    alone = width(labels, scores)
    assert width(frames, repeated, groups=np.repeat(np.arange(60), 10).tolist()) == pytest.approx(alone, rel=0.2)
    assert width(frames, repeated) < 0.5 * alone


def test_a_group_may_hold_both_classes():
    """A face and its blended twin: each class is drawn for itself."""
    labels, scores = [0, 1] * 20, list(np.linspace(0, 1, 40))
    low, high = bootstrap(auc, labels, scores, groups=[index // 2 for index in range(40)], resamples=100)
    assert low < auc(labels, scores) < high
