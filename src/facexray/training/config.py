"""The settings of training; no torch here, so that the command line answers at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from facexray.errors import SettingsError


@dataclass(frozen=True)
class NetworkConfig:
    """The network: a backbone with four branches, the paper's X-ray head, a class head."""

    backbone: str = "hrnet_w18_small"
    """An HRNet of timm's: hrnet_w18_small, hrnet_w18, hrnet_w32, hrnet_w48, …"""
    class_head: Literal["paper", "features"] = "paper"
    """paper: global average pooling of the predicted X-ray, then a fully connected layer; features: the same
    layer on the mean and maximum of the backbone's branches, which learns sooner."""


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
