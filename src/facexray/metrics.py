"""AUC, AP, EER; pooling of frames to videos; bootstrap intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from facexray.errors import SettingsError

Metric = Callable[[ArrayLike, ArrayLike], float]


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve. `labels` (N,) of 0 real and 1 fake, `scores` (N,) probability of fake.

    Raises:
        SettingsError: Only one class, or scores that are not finite.
    """
    return float(roc_auc_score(*_checked(labels, scores)))


def ap(labels: ArrayLike, scores: ArrayLike) -> float:
    """Average precision with fake as the positive class; see `auc`."""
    return float(average_precision_score(*_checked(labels, scores)))


def eer(labels: ArrayLike, scores: ArrayLike) -> float:
    """Equal error rate: where the share of reals called fake equals that of fakes called real; see `auc`.

    Between two points of the ROC curve the error rates are interpolated linearly.
    """
    false_positive, true_positive, _ = roc_curve(*_checked(labels, scores), drop_intermediate=False)
    gap = false_positive + true_positive - 1  # rises from −1 to 1; 0 where the two error rates meet
    after = int(np.argmax(gap >= 0))
    before = max(after - 1, 0)
    span = gap[after] - gap[before]
    share = -gap[before] / span if span > 0 else 0.0
    return float(false_positive[before] + share * (false_positive[after] - false_positive[before]))


METRICS: dict[str, Metric] = {"AUC": auc, "AP": ap, "EER": eer}
"""The field's three numbers by their names."""


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    truth, given = np.asarray(labels, np.int64), np.asarray(scores, np.float64)
    if truth.shape != given.shape or truth.ndim != 1:
        raise SettingsError(f"labels and scores must be two lists of one length, got {truth.shape} and {given.shape}")
    if set(np.unique(truth)) != {0, 1}:
        raise SettingsError(f"needs both real (0) and fake (1), got the labels {np.unique(truth).tolist()}")
    if not np.isfinite(given).all():
        raise SettingsError(f"{int((~np.isfinite(given)).sum())} of {len(given)} scores are not finite")
    return truth, given


def pool_by_video(
    videos: Sequence[Hashable], labels: Sequence[int], scores: Sequence[float]
) -> tuple[list[Hashable], list[int], list[float]]:
    """Pool frames to videos: the mean score of each video.

    Args:
        videos: (N,) key per frame, such as (dataset, method, video).
        labels: (N,) 0 real, 1 fake.
        scores: (N,) probability of fake.

    Raises:
        SettingsError: A video with frames of both labels: its key is not unique.
    """
    grouped: dict[Hashable, list[tuple[int, float]]] = defaultdict(list)
    for video, label, score in zip(videos, labels, scores, strict=True):
        grouped[video].append((label, score))
    mixed = [video for video, rows in grouped.items() if len({label for label, _ in rows}) > 1]
    if mixed:
        raise SettingsError(f"{mixed[0]}: real and fake frames under one video key; keys must tell them apart")
    means = [float(np.mean([score for _, score in rows])) for rows in grouped.values()]
    return list(grouped), [rows[0][0] for rows in grouped.values()], means


def bootstrap(
    metric: Metric,
    labels: ArrayLike,
    scores: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % percentile interval of a metric, by resampling groups within each class.

    Args:
        metric: Of labels (N,) and scores (N,).
        labels: (N,) 0 real, 1 fake.
        scores: (N,) probability of fake.
        groups: (N,) what is drawn as one: a frame's video, since frames of one video are no independent
            witnesses. None where every entry stands alone.
        resamples: How often to resample.
        seed: Of the resampling.
    """
    truth, given = _checked(labels, scores)
    rng = np.random.default_rng(seed)
    members: dict[tuple[int, Hashable], list[int]] = defaultdict(list)
    for index, group in enumerate(range(len(truth)) if groups is None else groups):
        members[int(truth[index]), group].append(index)
    classes = [[np.array(rows) for (label, _), rows in members.items() if label == which] for which in (0, 1)]
    values = []
    for _ in range(resamples):
        drawn = np.concatenate([part[i] for part in classes for i in rng.integers(len(part), size=len(part))])
        values.append(metric(truth[drawn], given[drawn]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
