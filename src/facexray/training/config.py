"""The settings of training; no torch here, so that the command line answers at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from facexray.errors import SettingsError


@dataclass(frozen=True)
class NetworkConfig:
    """The network: a backbone, the X-ray head on its feature maps, a class head."""

    backbone: str = "hrnet_w18_small"
    """A network of timm's: an HRNet (hrnet_w18_small, hrnet_w18, hrnet_w32, hrnet_w48, …), or any other that gives
    feature maps (mobilenetv2_100, efficientnet_b4, vit_small_patch14_reg4_dinov2, …)."""
    pretrained: str | None = None
    """The backbone's first weights: hub (timm's own, downloaded), or a file: timm's, the official
    hrnetv2_w*_imagenet_pretrained.pth, torchvision's mobilenet_v2-*.pth; random where not given."""
    tune: Literal["all", "norms"] = "all"
    """What of the backbone learns: all, or norms, its normalisation layers; the heads always do."""
    class_head: Literal["paper", "features", "mean", "max", "top_k"] = "paper"
    """paper: global average pooling of the predicted X-ray, then a fully connected layer; features: the same
    layer on the mean and maximum of the backbone's feature maps, which learns sooner; mean, max, top_k: the
    predicted X-ray's own mean, its maximum, or the mean of its highest 1 %, with nothing to learn."""


@dataclass(frozen=True)
class OptimConfig:
    """The loss, the optimiser and the schedule."""

    iterations: int = 200_000
    """Optimiser steps."""
    batch_size: int = 32
    """Images a step over all processes; half are real, half their blended twins, so it must be even."""
    lr: float = 2e-4
    """Highest learning rate; warmed up over the first 2 % of the iterations, then falling to 0 by a cosine."""
    weight_decay: float = 0.01
    """Of AdamW."""
    clip_norm: float = 3.0
    """Largest norm of the gradient."""
    patch_iterations: int = 0
    """How many iterations, the first ones, see patches of the views: the traces of a blend are local, and from random
    weights a patch teaches as much in a quarter of the time."""
    patch_px: int = 128
    """Side of a patch, a multiple of 32 in [64, 256]."""
    xray_weight: float = 100.0
    """λ of the loss λ·L_b + L_c (paper, section 3.3)."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with.

        Raises:
            SettingsError: Names the setting.
        """
        if self.iterations < 1 or self.batch_size < 2 or self.batch_size % 2:
            raise SettingsError(
                "optim: iterations must be at least 1 and batch_size an even number of at least 2, "
                f"got {self.iterations} and {self.batch_size}"
            )
        if self.patch_iterations < 0 or self.patch_px % 32 or not 64 <= self.patch_px <= 256:
            raise SettingsError("optim: patch_iterations must be at least 0 and patch_px 64, 96, … or 256")
        if self.lr <= 0 or self.clip_norm <= 0 or self.xray_weight < 0:
            raise SettingsError("optim: lr and clip_norm must be above 0 and xray_weight at least 0")


@dataclass(frozen=True)
class RunConfig:
    """Where and how the loop runs."""

    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    """The device."""
    devices: int = 1
    """Processes on this machine, one a device."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Arithmetic; bf16-mixed doubles the speed on CPUs and GPUs that have it."""
    workers: int = 1
    """Processes that make samples."""
    validate_every: int = 500
    """Iterations between validations; each saves a checkpoint."""
    validation_pairs: int = 200
    """Real faces, and their blended twins, in the fixed validation set."""
    log_every: int = 20
    """Iterations between progress lines."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run.

        Raises:
            SettingsError: Names the setting.
        """
        least = {"devices": 1, "workers": 0, "validate_every": 1, "validation_pairs": 1, "log_every": 1}
        faults = [f"{name} must be at least {low}" for name, low in least.items() if getattr(self, name) < low]
        if faults:
            raise SettingsError(f"run: {'; '.join(faults)}")
