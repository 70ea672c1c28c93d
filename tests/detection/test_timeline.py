from collections import Counter

import numpy as np
import pytest

from facexray.detection.timeline import clock, judge_track, needed_of, smooth_scores, spans_above, tell_spans, window_of
from facexray.runtime.model import Thresholds

THRESHOLDS = Thresholds(0.3, 0.7)


def judge(times, scores, needed=3):
    smooth = smooth_scores(times, scores, needed)
    return (*judge_track(times, scores, smooth, THRESHOLDS, Counter()), spans_above(times, smooth, 0.7))


def test_the_running_median_is_that_of_the_scores_around():
    rng = np.random.default_rng(0)
    times, scores = np.sort(rng.uniform(0, 20, 90)), rng.uniform(0, 1, 90).astype(np.float32)
    scores[rng.integers(0, 90, 20)] = np.nan
    expected = [
        np.nan if np.isnan(scores[i]) else np.nanmedian(scores[np.abs(times - times[i]) <= 1.5]) for i in range(90)
    ]
    np.testing.assert_allclose(smooth_scores(times, scores, 1), expected, rtol=1e-6)


@pytest.mark.parametrize("rate", [2, 5, 30])
def test_a_forged_third_keeps_its_edges(rate):
    times = np.arange(0, 12, 1 / rate)
    scores = np.where((times >= 4) & (times < 8), 0.95, 0.05).astype(np.float32)
    verdict, reason, score, spans = judge(times, scores)
    assert (verdict, score) == ("fake", pytest.approx(0.95))
    assert len(spans) == 1
    np.testing.assert_allclose(spans[0], (4, 8), atol=1.01 / rate)
    assert "0.95" in reason


@pytest.mark.parametrize("length", [1, 3, 6])
def test_less_than_half_a_window_of_bad_frames_is_no_fake(length):
    times = np.arange(0, 12, 0.2)
    scores = np.full(60, 0.05, np.float32)
    scores[30 : 30 + length] = 1.0
    assert judge(times, scores)[0] == "real"


def test_noise_around_a_real_score_does_not_add_up_over_an_hour():
    rng = np.random.default_rng(0)
    times = np.arange(0, 3600, 0.2)
    scores = np.clip(rng.normal(0.1, 0.1, len(times)), 0, 1).astype(np.float32)
    scores[rng.random(len(times)) < 0.05] = 0.95  # one frame in twenty is called fake
    assert judge(times, scores)[0] == "real"


def test_frames_that_disagree_cannot_be_told():
    verdict, reason, *_ = judge(np.arange(0, 6, 0.2), np.tile([0.05, 0.95], 15).astype(np.float32))
    assert verdict == "cannot tell"
    assert "frames disagree" in reason


@pytest.mark.parametrize("step", [0.2, 1.001, 2.5])
def test_the_window_holds_three_looks_however_rare_they_are(step):
    times = np.arange(12) * step
    smooth = smooth_scores(times, np.full(12, 0.9, np.float32), needed_of(step, 12), window_of(step))
    assert np.isnan(smooth).sum() == (2 if step > 1 else 0)
    assert window_of(0.2) == 3


def test_a_window_of_which_less_than_half_was_judged_tells_nothing():
    """Four good frames of a face in a crowd do not speak for three seconds; in a video of four they have to."""
    times, scores = np.arange(20) * 0.2, np.full(20, np.nan, np.float32)
    scores[8:12] = 0.9
    verdict, reason, score, _ = judge(times, scores, needed_of(0.2, 20))
    assert (verdict, reason, score) == ("cannot tell", "the face could be judged in 4 frames only", None)
    scores[5:12] = 0.9
    assert judge(times, scores, needed_of(0.2, 20))[0] == "fake"
    assert judge(times[:4], scores[8:12], needed_of(0.2, 4))[0] == "fake"
    assert needed_of(0.0, 1) == 1


def test_too_few_frames_cannot_be_told():
    scores = np.array([0.9, np.nan, 0.9], np.float32)
    assert judge(np.array([0.0, 0.2, 0.4]), scores)[:3] == (
        "cannot tell",
        "the face could be judged in 2 frames only",
        None,
    )
    assert judge(np.array([0.0, 0.2, 0.4]), scores, needed=2)[0] == "fake"


def test_a_face_that_was_never_judged_says_why():
    none = np.full(5, np.nan, np.float32)
    told = judge_track(np.arange(5.0), none, none, THRESHOLDS, Counter({"turned away": 3, "too blurred": 2}))
    assert told == ("cannot tell", "the face is turned away", None)


def test_spans_run_on_over_frames_without_a_score():
    times = np.arange(8.0)
    smooth = np.array([0.1, 0.9, np.nan, 0.8, 0.2, 0.9, 0.1, 0.9], np.float32)
    assert spans_above(times, smooth, 0.7) == [(1, 3), (5, 5), (7, 7)]


@pytest.mark.parametrize(
    ("time", "text"), [(0, "00:00.0"), (4.2, "00:04.2"), (59.97, "01:00.0"), (3665.04, "61:05.0"), (-0.1, "00:00.0")]
)
def test_the_clock_rounds_to_tenths(time, text):
    assert clock(time) == text


def test_many_spans_are_cut_short():
    assert tell_spans([(0, 1), (2, 3)]) == "00:00.0–00:01.0, 00:02.0–00:03.0"
    assert tell_spans([(i, i) for i in range(5)]).endswith("00:02.0–00:02.0 and 2 more")
