"""Calibration: have a score of 0.8 be right eight times of ten, on people never trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from facexray.metrics.classification import ece
from facexray.training.network import FaceXrayNet

FOLDS = 5
"""Parts of the people: each part's error is measured with what was fitted on the others."""
LEAST = 1e-7
"""Distance of a score from 0 and 1 under which float32 cannot tell it from them."""


@dataclass(frozen=True)
class Calibration:
    """score → σ(scale · logit(score) + shift): Platt's scaling (1999); a shift of 0 would be temperature scaling."""

    scale: float
    shift: float
    ece_before: float
    """Expected calibration error of the scores as they came, in [0, 1]."""
    ece_after: float
    """Of the calibrated scores of people whom the fit had not seen."""

    def apply(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Calibrate scores (N,) in [0, 1]."""
        return np.asarray(1 / (1 + np.exp(-(self.scale * _logits(scores) + self.shift))))


def fit_calibration(labels: ArrayLike, scores: ArrayLike, people: Sequence[str]) -> Calibration:
    """Fit a calibration on a validation set, half of it fakes.

    Scores no better than chance, and those of one person, on whom alone nothing can be measured, stay as they are.

    Args:
        labels: (N,) 0 real, 1 fake.
        scores: (N,) probability of fake.
        people: (N,) whom each shows: nobody is measured by what was fitted on them.
    """
    truth, given = np.asarray(labels), np.asarray(scores, np.float64)
    whole, before = _fit(truth, given), ece(truth, given)
    if whole.scale <= 0 or len(set(people)) < 2:
        return Calibration(1, 0, before, before)
    held_out = np.empty(len(truth))
    folds = GroupKFold(min(FOLDS, len(set(people))))
    for fitted, measured in folds.split(given, truth, people):
        held_out[measured] = _fit(truth[fitted], given[fitted]).apply(given[measured])
    return Calibration(whole.scale, whole.shift, before, ece(truth, held_out))


def _fit(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> Calibration:
    fit = LogisticRegression(C=np.inf).fit(_logits(scores)[:, None], labels)
    return Calibration(float(fit.coef_[0, 0]), float(fit.intercept_[0]), np.nan, np.nan)


def _logits(scores: ArrayLike) -> NDArray[np.float64]:
    inside = np.clip(np.asarray(scores, np.float64), LEAST, 1 - LEAST)
    return np.asarray(np.log(inside / (1 - inside)))


def uncalibrate(net: FaceXrayNet, calibration: Calibration) -> None:
    """Take out of the weights what `calibrate` put into them."""
    if net.class_head is not None:
        with torch.no_grad():
            net.class_head.bias[1] -= calibration.shift
            net.class_head.weight.div_(calibration.scale)
            net.class_head.bias.div_(calibration.scale)


def calibrate(net: FaceXrayNet, calibration: Calibration) -> bool:
    """Put a calibration into the weights of a network's class head, so that no engine can leave it out.

    Returns:
        Whether it was: a score that is pooled from the X-ray has no weights to take it.
    """
    if net.class_head is None:
        return False
    with torch.no_grad():
        net.class_head.weight.mul_(calibration.scale)
        net.class_head.bias.mul_(calibration.scale)
        net.class_head.bias[1] += calibration.shift
    return True
