"""From faces to frames, and from frames to videos."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facexray.errors import SettingsError

Pooled = tuple[list[Hashable], list[int], list[float]]
"""Keys, in the order of their first appearance; the label and the score of each."""


def pool_by_frame(frames: Sequence[Hashable], labels: Sequence[int], scores: ArrayLike) -> Pooled:
    """Pool faces to frames: the highest score of each frame's faces; arguments as of `pool_by_video`."""
    names, place, of_each, given = _grouped(frames, labels, scores)
    highest = np.full(len(names), -np.inf)
    np.maximum.at(highest, place, given)
    return names, of_each, highest.tolist()


def pool_by_video(videos: Sequence[Hashable], labels: Sequence[int], scores: ArrayLike) -> Pooled:
    """Pool frames to videos: the mean score of each video.

    Args:
        videos: (N,) key per frame, such as (dataset, method, video).
        labels: (N,) 0 real, 1 fake.
        scores: (N,), the higher the rather fake.

    Raises:
        SettingsError: Scores that are not finite, or a video with frames of both labels: its key is not unique.
    """
    names, place, of_each, given = _grouped(videos, labels, scores)
    return names, of_each, (np.bincount(place, given) / np.bincount(place)).tolist()


def _grouped(
    keys: Sequence[Hashable], labels: Sequence[int], scores: ArrayLike
) -> tuple[list[Hashable], NDArray[np.int64], list[int], NDArray[np.float64]]:
    given = np.asarray(scores, np.float64)
    if not len(keys) == len(labels) == len(given):
        raise SettingsError(f"pooling needs lists of one length, got {len(keys)}, {len(labels)} and {len(given)}")
    if not np.isfinite(given).all():
        raise SettingsError(f"{int((~np.isfinite(given)).sum())} of {len(given)} scores are not finite")
    numbers: dict[Hashable, int] = {}
    of_each: list[int] = []
    place = np.empty(len(keys), np.int64)
    for index, (key, label) in enumerate(zip(keys, labels, strict=True)):
        place[index] = number = numbers.setdefault(key, len(numbers))
        if number == len(of_each):
            of_each.append(int(label))
        elif of_each[number] != label:
            raise SettingsError(f"{key}: real and fake frames under one video key; keys must tell them apart")
    return list(numbers), place, of_each, given
