"""Learning from a trained network: the pupil's feature maps also predict those of its teacher (FitNets, 2015).

A backbone without ImageNet weights spends most of a short training finding out what to look at; a teacher shows it.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from facexray.errors import ModelError
from facexray.training.checkpoint import load_model, origin
from facexray.training.distributed import standardise
from facexray.training.network import FaceXrayNet, FaceXrayOutput


class Teacher:
    """A trained network that is not trained any more."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Load it from what `load_model` takes.

        Raises:
            ModelError: No trained network there.
        """
        net, card = load_model(path)
        self.net = net.requires_grad_(False)
        self.net.to(device).to(memory_format=torch.channels_last)
        self.about = origin(card)
        """What it is, for the card of what it teaches."""

    @torch.no_grad()
    def features(self, views: Tensor) -> list[Tensor]:
        """Its feature maps of views (N, 3, 256, 256), each channel (N, H, W) of mean 0 and deviation 1."""
        return [standardise(f.float()) for f in self.net(views).features]


class Pupil(nn.Module):
    """A network with a 1 × 1 convolution on each feature map, which predicts a teacher's; none without a teacher."""

    def __init__(self, net: FaceXrayNet, teacher: Teacher | None) -> None:
        """Pair them.

        Raises:
            ModelError: They have different numbers of feature maps.
        """
        super().__init__()
        self.net = net
        if teacher and len(teacher.net.channels) != len(net.channels):
            raise ModelError(
                f"optim.teacher: it has {len(teacher.net.channels)} feature maps, and {net.config.backbone} has "
                f"{len(net.channels)}; choose a teacher with as many"
            )
        taught = zip(net.channels, teacher.net.channels, strict=True) if teacher else ()
        self.adapters = nn.ModuleList(nn.Conv2d(own, other, 1) for own, other in taught)

    def forward(self, views: Tensor) -> tuple[FaceXrayOutput, list[Tensor]]:
        """The network's output, and what the pupil takes the teacher's feature maps to be."""
        output = self.net(views)
        return output, [adapter(f) for adapter, f in zip(self.adapters, output.features, strict=False)]


def feature_loss(guesses: list[Tensor], taught: list[Tensor]) -> Tensor:
    """Mean squared error, over channels of deviation 1: 1 is a guess of nothing but the mean."""
    errors = [
        functional.mse_loss(
            functional.interpolate(guess.float(), size=truth.shape[-2:], mode="bilinear", align_corners=False), truth
        )
        for guess, truth in zip(guesses, taught, strict=True)
    ]
    return torch.stack(errors).mean()
