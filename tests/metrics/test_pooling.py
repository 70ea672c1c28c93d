"""Faces to frames by the maximum, frames to videos by the mean."""

import pytest

from facexray.errors import SettingsError
from facexray.metrics.pooling import pool_by_frame, pool_by_video


def test_pools_videos_by_the_mean():
    keys, labels, scores = pool_by_video(["a", "b", "a", "b", "c"], [0, 1, 0, 1, 1], [0.1, 0.6, 0.3, 0.8, 0.5])
    assert keys == ["a", "b", "c"]
    assert labels == [0, 1, 1]
    assert scores == pytest.approx([0.2, 0.7, 0.5])


def test_pools_frames_by_the_highest():
    keys, labels, scores = pool_by_frame([("a", 3), ("a", 1), ("a", 3)], [1, 1, 1], [0.2, 0.6, -0.1])
    assert keys == [("a", 3), ("a", 1)]
    assert labels == [1, 1]
    assert scores == [0.2, 0.6]


def test_videos_of_one_name_stay_apart_by_their_method():
    """DeepfakeBench merges Deepfakes/000_003 with Face2Face/000_003."""
    frames = [("FF++", method, "000_003") for method in ("Deepfakes", "Face2Face") for _ in range(2)]
    keys, _, scores = pool_by_video(frames, [1] * 4, [0.9, 0.7, 0.2, 0.4])
    assert keys == [("FF++", "Deepfakes", "000_003"), ("FF++", "Face2Face", "000_003")]
    assert scores == pytest.approx([0.8, 0.3])


@pytest.mark.parametrize("pool", [pool_by_frame, pool_by_video])
@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [0.1, 0.9], "000: real and fake"),
        ([0], [0.1, 0.9], "one length, got 2, 1 and 2"),
        ([0, 0], [0.1, float("nan")], "1 of 2 scores are not finite"),
    ],
)
def test_refuses_what_cannot_be_pooled(pool, labels, scores, message):
    with pytest.raises(SettingsError, match=message):
        pool(["000", "000"], labels, scores)
