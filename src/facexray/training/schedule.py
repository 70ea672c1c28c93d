"""What changes over a run: the learning rate, what rests, and the moving average of the weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from facexray.training.config import OptimConfig
from facexray.training.network import FaceXrayNet


def learning_rate(optim: OptimConfig, iteration: int) -> float:
    """The learning rate of an iteration, from 0: a linear rise, then constant, then the fall to 0."""
    warm = round(optim.warm_up * optim.iterations)
    if iteration < warm:
        return optim.lr * (iteration + 1) / warm
    falling = min(round(optim.decay * optim.iterations), optim.iterations - warm)
    left = min(1.0, (optim.iterations - iteration) / falling) if falling else 1.0
    return optim.lr * (left if optim.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left)))


def make_optimizer(optim: OptimConfig, net: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of all weights that ever learn."""
    learning = [weight for weight in net.parameters() if weight.requires_grad]
    if optim.optimizer == "adam":
        return torch.optim.Adam(learning, lr=optim.lr)
    return torch.optim.AdamW(learning, lr=optim.lr, weight_decay=optim.weight_decay)


def make_average(optim: OptimConfig, net: FaceXrayNet) -> AveragedModel | None:
    """The exponential moving average of weights and BatchNorm statistics, where one was asked for."""
    if not optim.ema:
        return None
    average: Any = get_ema_multi_avg_fn(optim.ema)  # type: ignore[no-untyped-call]
    return AveragedModel(net, multi_avg_fn=average, use_buffers=True)


class Freezer:
    """Lets the backbone rest for the first iterations: its weights, and the statistics of its BatchNorm layers."""

    def __init__(self, optim: OptimConfig, net: FaceXrayNet) -> None:
        self._net, self._until = net, optim.freeze_iterations
        self._learning = [weight for weight in net.backbone.parameters() if weight.requires_grad]

    def prepare(self, iteration: int) -> None:
        """Put the network into the state in which this iteration trains it."""
        frozen = iteration < self._until
        self._net.train()
        self._net.backbone.train(not frozen)
        for weight in self._learning:
            weight.requires_grad_(not frozen)
