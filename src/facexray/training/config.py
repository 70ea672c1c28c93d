"""The settings of training; no torch here, so that the command line answers at once."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal

from facexray.errors import SettingsError


@dataclass(frozen=True)
class NetworkConfig:
    """The network: a backbone, the X-ray head on its feature maps, a class head."""

    backbone: str = "hrnet_w18_small"
    """A network of timm's: an HRNet (hrnet_w18_small, hrnet_w18, hrnet_w32, hrnet_w48, …), or any other that gives
    feature maps (mobilenetv2_100, efficientnet_b4, vit_small_patch14_reg4_dinov2, …)."""
    pretrained: str | None = None
    """First weights; random where not given. Of the backbone: hub (timm's own, downloaded), or a file: timm's, the
    official hrnetv2_w*_imagenet_pretrained.pth, torchvision's mobilenet_v2-*.pth. Of the heads as well: a trained
    model to go on from, which is a shipped one's name, a run's folder, or a .safetensors of train or export."""
    tune: Literal["all", "norms"] = "all"
    """What of the backbone learns: all, or norms, its normalisation layers; the heads always do."""
    class_head: Literal["paper", "features", "mean", "max", "top_k"] = "paper"
    """paper: global average pooling of the predicted X-ray, then a fully connected layer; features: the same
    layer on the mean and maximum of the backbone's feature maps, which learns sooner; mean, max, top_k: the
    predicted X-ray's own mean, its maximum, or the mean of its highest 1 %, with nothing to learn."""


@dataclass(frozen=True)
class DataConfig:
    """What a batch holds beside a store's blended images."""

    fakes: Path | None = None
    """Face store of given fakes with their masks, made by prepare --masks: "FF++ & BI" of the paper."""
    fakes_share: float = 0.5
    """Share of the fake images that are given ones, where there are any."""
    paired: bool = True
    """Whether a blended image comes with its background, degraded alike, as its real; else with any other real."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from.

        Raises:
            SettingsError: Names the setting.
        """
        if not 0 < self.fakes_share <= 1:
            raise SettingsError(f"data: fakes_share must be in (0, 1], got {self.fakes_share:g}")


@dataclass(frozen=True)
class OptimConfig:
    """The loss, the optimiser and the schedule."""

    iterations: int = 200_000
    """Optimiser steps."""
    batch_size: int = 32
    """Images a step over all processes; half are real, half fake, so it must be even."""
    accumulate: int = 1
    """Parts into which each process divides its share of a batch, where memory is short."""
    optimizer: Literal["adam", "adamw"] = "adamw"
    """adam is the paper's."""
    lr: float = 2e-4
    """Highest learning rate."""
    weight_decay: float = 0.01
    """Of adamw."""
    schedule: Literal["cosine", "linear"] = "cosine"
    """How the learning rate falls to 0 over the last part of the iterations: by a cosine, or in a line."""
    warm_up: float = 0.02
    """First part of the iterations, over which the learning rate rises; with 0.3 and a cosine: one cycle."""
    decay: float = 0.98
    """Last part of the iterations, over which it falls."""
    freeze_iterations: int = 0
    """How many iterations, the first ones, train the heads alone: the backbone rests, its BatchNorm statistics too."""
    ema: float = 0.0
    """Decay of the moving average of the weights, which is then what is validated and kept; 0 for none."""
    clip_norm: float = 3.0
    """Largest norm of the gradient; 0 for no limit."""
    xray_weight: float = 100.0
    """λ of the loss λ·L_b + L_c (paper, section 3.3)."""
    teacher: Path | None = None
    """A trained run, its .safetensors, or a shipped model's name: the network learns to predict its feature maps as
    well. What a backbone without ImageNet weights would find out slowly, one that has them shows it."""
    teacher_weight: float = 1.0
    """Of the mean squared error of those predictions, in the loss."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with.

        Raises:
            SettingsError: Names every setting that is out of its range.
        """
        limits = {
            "iterations": (1, inf),
            "batch_size": (2, inf),
            "accumulate": (1, inf),
            "weight_decay": (0, inf),
            "warm_up": (0, 1),
            "decay": (0, 1),
            "freeze_iterations": (0, inf),
            "ema": (0, 0.999999),
            "clip_norm": (0, inf),
            "xray_weight": (0, inf),
            "teacher_weight": (0, inf),
        }
        faults = [
            f"{name} must be in [{least:g}, {most:g}], got {getattr(self, name):g}"
            for name, (least, most) in limits.items()
            if not least <= getattr(self, name) <= most
        ]
        if not 0 < self.lr < inf:
            faults.append(f"lr must be above 0, got {self.lr:g}")
        if self.batch_size % 2:
            faults.append(f"batch_size must be even, got {self.batch_size}")
        if self.warm_up + self.decay > 1:
            faults.append(f"warm_up and decay must not exceed 1 together, got {self.warm_up:g} and {self.decay:g}")
        if faults:
            raise SettingsError(f"optim: {'; '.join(faults)}")

    def check_divides(self, processes: int) -> None:
        """See to it that the batch can be shared out.

        Raises:
            SettingsError: Its pairs do not divide evenly among the processes, and their parts.
        """
        if (self.batch_size // 2) % (processes * self.accumulate):
            raise SettingsError(
                f"optim: batch_size {self.batch_size} must divide into pairs for {processes} processes "
                f"and {self.accumulate} parts"
            )


@dataclass(frozen=True)
class RunConfig:
    """Where and how the loop runs."""

    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    """The device."""
    devices: int = 1
    """Processes on this machine, one a device."""
    nodes: int = 1
    """Machines; under torchrun and Slurm each starts its own processes."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Arithmetic; bf16-mixed doubles the speed on CPUs and GPUs that have it."""
    compile: bool = False
    """Whether torch.compile makes the network faster; it pays on GPUs."""
    workers: int = 1
    """Processes that make samples, for each process that trains."""
    renderer: Literal["numpy", "torch"] = "numpy"
    """What blends: numpy, in the workers; torch, on the device, for a GPU that the workers would starve."""
    save_every: int = 500
    """Iterations between checkpoints, from which --resume goes on."""
    validate_every: int = 500
    """Iterations between validations."""
    validation_pairs: int = 200
    """Real faces, and their blended twins, in each of the fixed validation sets."""
    log_every: int = 20
    """Iterations between progress lines."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run.

        Raises:
            SettingsError: Names every setting that is out of its range.
        """
        counts = ("devices", "nodes", "save_every", "validate_every", "validation_pairs", "log_every")
        least = {**dict.fromkeys(counts, 1), "workers": 0}
        faults = [f"{name} must be at least {low}" for name, low in least.items() if getattr(self, name) < low]
        if faults:
            raise SettingsError(f"run: {'; '.join(faults)}")
