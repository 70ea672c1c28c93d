"""The loss L = λ · L_b + L_c (paper, section 3.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from facexray.training.network import FaceXrayOutput


class Losses(NamedTuple):
    """The terms of the loss, each a scalar."""

    total: Tensor
    """λ · L_b + L_c."""
    xray_excess: Tensor
    """L_b less the entropy of its soft targets: 0 is perfect."""
    classes: Tensor
    """L_c: the cross-entropy of real and fake."""


def face_xray_loss(output: FaceXrayOutput, xray: Tensor, labels: Tensor, xray_weight: float) -> Losses:
    """The loss of a batch, in float32 whatever the network ran in.

    Args:
        output: Of the network, N views.
        xray: (N, 256, 256) the true Face X-ray, in [0, 1].
        labels: (N,) 0 real, 1 fake.
        xray_weight: λ.
    """
    per_pixel = functional.binary_cross_entropy_with_logits(output.xray_logits.float(), xray)
    entropy = -(torch.xlogy(xray, xray) + torch.xlogy(1 - xray, 1 - xray)).mean()
    classes = functional.cross_entropy(output.class_logits.float(), labels)
    return Losses(xray_weight * per_pixel + classes, per_pixel.detach() - entropy, classes.detach())
