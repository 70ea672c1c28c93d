"""A run: its settings, and its state in one process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from facexray.blending.config import BlendConfig
from facexray.errors import SettingsError
from facexray.training.config import DataConfig, NetworkConfig, OptimConfig, RunConfig
from facexray.training.datasets import BlendedPairs, Pair
from facexray.training.log import Log
from facexray.training.network import FaceXrayNet
from facexray.training.schedule import Freezer
from facexray.training.teacher import Pupil, Teacher


@dataclass(frozen=True)
class Settings:
    """All that decides what a run computes, and how it runs."""

    blending: BlendConfig = BlendConfig()
    data: DataConfig = DataConfig()
    network: NetworkConfig = NetworkConfig()
    optim: OptimConfig = OptimConfig()
    run: RunConfig = RunConfig()
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the seed; the others check themselves.

        Raises:
            SettingsError: It is below 0, or takes more than 63 bits.
        """
        if not 0 <= self.seed < 1 << 63:
            raise SettingsError(f"seed must be in [0, 2^63), got {self.seed}")


@dataclass
class Progress:
    """What must survive a restart beside weights and optimiser."""

    iteration: int = 0
    best_auc: float = -1.0


@dataclass
class Training:
    """One run in one process."""

    out: Path
    fabric: Fabric
    settings: Settings
    pupil: Pupil
    """The network, and what it needs only while it learns."""
    teacher: Teacher | None
    model: Any
    """The pupil as Fabric runs it: precision, compilation, several processes."""
    average: Any
    """The moving average of the network's weights, or None."""
    optimizer: Any
    freezer: Freezer
    pairs: BlendedPairs
    validation: dict[str, list[Pair]]
    about: dict[str, Any]
    progress: Progress
    log: Log | None
    """In the first process."""
    stopped_by: int = 0
    """The signal that asked the run to stop."""

    @property
    def net(self) -> FaceXrayNet:
        """The network."""
        return self.pupil.net
