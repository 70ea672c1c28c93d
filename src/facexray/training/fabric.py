"""Lightning Fabric: devices, precision and processes of a run, without its own talk."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from lightning.fabric import Fabric
from lightning.fabric.strategies.ddp import DDPStrategy
from lightning.fabric.utilities.exceptions import MisconfigurationException

from facexray.errors import SettingsError
from facexray.training.config import OptimConfig, RunConfig


def quiet_fabric(**options: Any) -> Fabric:
    """A Fabric that does not tell what its options say already.

    Args:
        options: Of `Fabric`.
    """
    for part in ("fabric", "pytorch"):  # it tells by the logger of whichever was imported last
        logging.getLogger(f"lightning.{part}").setLevel(logging.WARNING)
    return Fabric(**options)


def launch(optim: OptimConfig, run: RunConfig) -> Fabric:
    """The Fabric of a run, with its processes started or found.

    Raises:
        SettingsError: A device or precision that this machine has not got, a batch that they cannot share, or a
            launcher that started them otherwise than the settings say.
    """
    strategy: Any = "auto"
    if run.devices * run.nodes > 1:  # weights that rest take no part in a step
        strategy = DDPStrategy(find_unused_parameters=optim.freeze_iterations > 0)
    try:
        fabric = quiet_fabric(
            accelerator=run.accelerator,
            strategy=strategy,
            devices=run.devices,
            num_nodes=run.nodes,
            precision=run.precision,
        )
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        asked = f"accelerator {run.accelerator}, devices {run.devices}, nodes {run.nodes}, precision {run.precision}"
        raise SettingsError(f"run: {asked}: Lightning cannot set this up here: {error}") from error
    if run.precision == "16-mixed" and fabric.device.type == "cpu":
        raise SettingsError("run.precision: 16-mixed needs a GPU; on a CPU say bf16-mixed, or 32-true")
    fabric.launch()
    _check_processes(fabric.world_size)
    optim.check_divides(fabric.world_size)
    return fabric


def first_alone(fabric: Fabric, work: Callable[[], object]) -> None:
    """Do in the first process what only one must do, while the others wait.

    Raises:
        Exception: Whatever the work raises, in the first process.
        SystemExit: In the others then, which have nothing to add: without it they would wait for one that is gone.
    """
    fault: Exception | None = None
    if fabric.is_global_zero:
        try:
            work()
        except Exception as error:
            fault = error
    if fabric.strategy.reduce_boolean_decision(fault is not None, all=False):
        raise fault or SystemExit(1)


def _check_processes(expected: int) -> None:
    """See to it that a launcher's processes are one run: each would write a whole one into the same folder.

    Raises:
        SettingsError: torchrun or srun started more than the settings say.
    """
    started = max(int(os.environ.get(name) or 1) for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS"))
    if started > expected:
        raise SettingsError(
            f"run.devices: {started} processes were started, and the settings make {expected} of them a run: "
            "give run.devices, the processes on each machine, and run.nodes, the machines"
        )
