"""BatchNorm over the batches of all processes, so that many of them learn what one with the whole batch would."""

from __future__ import annotations

from typing import Any, cast

import torch
from lightning.fabric import Fabric
from timm.layers.norm_act import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn
from torch.distributed.nn import functional as distributed
from torch.nn import functional

EPSILON = 1e-5
"""Of `batch_norm`, beside the variance."""


def sync_batch_norms(net: nn.Module, fabric: Fabric) -> None:
    """Let a network's BatchNorm layers take their statistics from all processes, where there are several."""
    if fabric.world_size == 1:
        return
    if fabric.device.type == "cuda":
        for name, child in net.named_children():
            setattr(net, name, convert_sync_batchnorm(child))  # type: ignore[no-untyped-call]
        return
    for module in net.modules():  # torch's own does not run on CPUs
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = _SharedBatchNormAct if isinstance(module, BatchNormAct2d) else _SharedBatchNorm


class _SharedBatchNorm(nn.BatchNorm2d):
    """BatchNorm2d over (N, C, H, W) of every process."""

    def forward(self, x: Tensor) -> Tensor:
        return _normalise(self, x) if self.training else super().forward(x)


class _SharedBatchNormAct(BatchNormAct2d):
    """The same, with timm's activation behind it."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return cast(Tensor, super().forward(x))  # type: ignore[no-untyped-call]
        return cast(Tensor, self.act(self.drop(_normalise(self, x))))


def _sum(values: Tensor) -> Tensor:
    """Over all processes; gradients go the way back."""
    return cast(Tensor, distributed.all_reduce(values))  # type: ignore[no-untyped-call]


def standardise(x: Tensor) -> Tensor:
    """Bring each channel of (N, C, H, W) to mean 0 and deviation 1 over the batches of all processes."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return functional.batch_norm(x, None, None, training=True)
    centred, _, variance, _ = _moments(x)
    return centred * (variance + EPSILON).rsqrt()[:, None, None]


def _moments(values: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """(N, C, H, W) about its channels' means; these means, the variances, and of how many values they are."""
    count = values.numel() // values.shape[1] * torch.distributed.get_world_size()
    mean = _sum(values.sum((0, 2, 3))) / count
    centred = values - mean[:, None, None]
    return centred, mean, _sum(centred.square().sum((0, 2, 3))) / count, count


def _normalise(norm: Any, x: Tensor) -> Tensor:
    centred, mean, variance, count = _moments(x.float())
    with torch.no_grad():
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * count / (count - 1), norm.momentum)
        norm.num_batches_tracked += 1
    scale = norm.weight * (variance + norm.eps).rsqrt()
    shifted: Tensor = centred * scale[:, None, None] + norm.bias[:, None, None]
    return shifted.to(x.dtype)
