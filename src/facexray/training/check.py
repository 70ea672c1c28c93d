"""A training tried out in small: every step of a run that may take days, in about a minute."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape

from facexray.errors import FaceXrayError, ModelError, SettingsError
from facexray.faces.store import FaceStore
from facexray.training.checkpoint import begin, load_model
from facexray.training.config import OptimConfig, RunConfig
from facexray.training.datasets import BlendedPairs, collate, hold_out
from facexray.training.export import check_agreement, draft_model
from facexray.training.log import Log
from facexray.training.loop import fit, setup
from facexray.training.state import Settings, Training

Stores = tuple[FaceStore, FaceStore | None]
T = TypeVar("T")
FEW_FACES = 50
"""Faces to validate on, under which `validate` says that they are few."""
PAIRS = 8
"""Pairs that are drawn, and that each validation set of the trial has."""
STEPS = 5
"""Iterations of the trial."""
WARM_UP = 2
"""Of these, the first ones, which are not timed: they may rest or compile."""


@dataclass(frozen=True)
class _Trial:
    """What the trial has measured."""

    training: Training
    step_s: float
    validation_s: float
    """For `PAIRS` pairs in each set."""


class _Report:
    """A line for each step: a tick and what was found, or a cross and the error."""

    def __init__(self) -> None:
        self.passed = True
        self._console = Console(highlight=False, soft_wrap=True)

    def take(self, name: str, step: Callable[[], tuple[T, str]]) -> T | None:
        """Take a step, which returns its result and what to say of it; None where it failed."""
        try:
            result, text = step()
        except Exception as error:  # whatever would end the run must be told here
            said = str(error) if isinstance(error, FaceXrayError) else f"{type(error).__name__}: {error}"
            self.passed = False
            self._console.print(f"[red]✗[/] {name}: {escape(said)}")
            return None
        self._console.print(f"[green]✓[/] {name}: {escape(text)}")
        return result


def check_training(open_stores: Callable[[], Stores], out: Path, settings: Settings) -> bool:
    """Try a training out; see `facexray.training.command.validate`."""
    report = _Report()
    report.take("settings", lambda: _check_settings(settings))
    stores = report.take("stores", lambda: _read(open_stores))
    sample_s = report.take("samples", lambda: _draw(stores, settings)) if stores else None
    report.take("network", lambda: _build(settings))
    if not (report.passed and stores and sample_s):
        return False
    place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
    folder = report.take("folder", lambda: _make_folder(place))
    if not folder:
        return False
    with folder as name:
        run = Path(name)
        trial = report.take("training", lambda: _train(run, stores, settings))
        if trial:
            sizes = report.take("checkpoint", lambda: _read_back(trial.training, stores))
            report.take("export", lambda: _export(trial.training))
            if sizes:
                report.take("disk", lambda: _check_disk(run, sizes, settings))
            if report.passed:
                report.take("the whole run", lambda: _estimate(trial, sample_s, settings))
    return report.passed


def _check_settings(settings: Settings) -> tuple[None, str]:
    optim, run = settings.optim, settings.run
    optim.check_divides(run.devices * run.nodes)
    return None, f"{optim.iterations} iterations of {optim.batch_size} images, {run.precision}"


def _read(open_stores: Callable[[], Stores]) -> tuple[Stores, str]:
    store, val_store = open_stores()
    faces, val_faces = (range(len(store)), range(len(val_store))) if val_store else hold_out(store)
    people = len(set(store.people)) + (len(set(val_store.people)) if val_store else 0)
    text = f"{len(faces)} faces to learn from and {len(val_faces)} to validate on, of {people} people"
    if len(val_faces) < FEW_FACES:
        text += "; with so few to validate on, an AUC is a rough guess"
    return (store, val_store), text


def _draw(stores: Stores, settings: Settings) -> tuple[float, str]:
    """Seconds that one process takes for an image."""
    store, val_store = stores
    pairs = BlendedPairs(
        settings.blending, store, None if val_store else hold_out(store)[0], settings.seed, settings.data
    )
    _ = pairs[0]  # opens the store, and finds neighbours where no table has them
    began = time.perf_counter()
    for number in range(PAIRS):
        collate([pairs[number]])
    seconds = (time.perf_counter() - began) / (2 * PAIRS)
    return seconds, f"{2 * PAIRS} images drawn, {1e3 * seconds:.1f} ms each"


def _build(settings: Settings) -> tuple[None, str]:
    net = begin(settings.network)[0]
    count = sum(weight.numel() for weight in net.parameters())
    learning = sum(weight.numel() for weight in net.parameters() if weight.requires_grad)
    # A gradient and the optimiser's two moments for each weight that learns.
    megabytes = 4 * (count + 3 * learning) / 1e6
    return None, (
        f"{settings.network.backbone}, {count / 1e6:.1f} million parameters, {learning / 1e6:.1f} million learn; "
        f"{megabytes:.0f} MB with gradients and optimiser, before any image"
    )


def _make_folder(place: Path) -> tuple[tempfile.TemporaryDirectory[str], str]:
    return tempfile.TemporaryDirectory(prefix=".facexray-validate-", dir=place), f"{place} can be written to"


class _Times(Log):
    """The log of the trial: silent, with the times of its steps."""

    def __init__(self, out: Path, optim: OptimConfig, run: RunConfig) -> None:
        super().__init__(out, optim, run, 0)
        self.steps: list[float] = []

    def step_done(self, iteration: int, losses: tuple[float, float], lr: float) -> None:
        """Note when."""
        super().step_done(iteration, losses, lr)
        self.steps.append(time.perf_counter())
        self.losses = losses

    def validated(self, iteration: int, result: dict[str, float], best: bool) -> None:
        """Note how long it took.

        Raises:
            ModelError: A figure is not finite.
        """
        super().validated(iteration, result, best)
        self.validation_s = time.perf_counter() - self.steps[-1]
        wrong = [name for name, value in result.items() if not np.isfinite(value)]
        if wrong:
            raise ModelError(f"the validation gave no finite {', '.join(wrong)}; try run.precision 32-true")

    def say(self, line: str) -> None:
        """Say nothing."""


def _train(run: Path, stores: Stores, settings: Settings) -> tuple[_Trial, str]:
    small = _in_small(settings)
    training = setup(run, *stores, small)
    if training.log:
        training.log.close()
    log = _Times(run, small.optim, small.run)
    training.log = log
    try:
        fit(training)
    finally:
        log.close()  # TensorBoard would go on writing into a folder that is gone
    step_s = statistics.median(np.diff(log.steps[WARM_UP - 1 :]).tolist())
    device = training.fabric.device
    peak = f", {torch.cuda.max_memory_allocated(device) / 1e9:.1f} GB of its memory" if device.type == "cuda" else ""
    text = (
        f"{STEPS} iterations and a validation on {device}{peak}; losses are finite (X-ray {log.losses[0]:.3f}, "
        f"class {log.losses[1]:.3f}); {small.optim.batch_size / step_s:.1f} images/s"
    )
    return _Trial(training, step_s, log.validation_s), text


def _in_small(settings: Settings) -> Settings:
    """One process's part of the run: the backbone rests once, if ever."""
    optim, run = settings.optim, settings.run
    return replace(
        settings,
        optim=replace(
            optim,
            iterations=STEPS,
            batch_size=optim.batch_size // (run.devices * run.nodes),
            freeze_iterations=min(optim.freeze_iterations, 1),
        ),
        run=replace(
            run, devices=1, nodes=1, save_every=STEPS, validate_every=STEPS, validation_pairs=PAIRS, log_every=1
        ),
    )


def _read_back(training: Training, stores: Stores) -> tuple[int, str]:
    """Bytes of the checkpoint and of the weights beside it."""
    again = setup(training.out, *stores, training.settings)
    if again.log:
        again.log.close()
    weights = again.net.state_dict()
    different = [name for name, weight in training.net.state_dict().items() if not torch.equal(weight, weights[name])]
    if different:
        raise ModelError(f"last.ckpt: {len(different)} weights were read otherwise than they were written")
    sizes = [(training.out / name).stat().st_size for name in ("last.ckpt", "best.safetensors", "last.safetensors")]
    return sum(sizes), f"written and read back, {sizes[0] / 1e6:.1f} MB, and twice {sizes[1] / 1e6:.1f} MB of weights"


def _export(training: Training) -> tuple[None, str]:
    net, _ = load_model(training.out)
    data, model = draft_model(net, "the export")
    images = [sample.image for pair in training.validation["degraded"][:2] for sample in pair]
    check_agreement(net, model, np.stack(images))
    return None, f"{len(data) / 1e6:.1f} MB as ONNX, and says what torch says"


def _check_disk(run: Path, sizes: int, settings: Settings) -> tuple[None, str]:
    pictures = sum(path.stat().st_size for path in (run / "validation").iterdir())
    # A file is written beside the one that it replaces.
    needed = 2 * sizes + _validations(settings) * pictures
    free = shutil.disk_usage(run).free
    if needed > free:
        raise SettingsError(
            f"the run needs {needed / 1e9:.2f} GB, {run.parent} has {free / 1e9:.2f} GB free; "
            "free some, or name another --out"
        )
    return None, f"the run needs {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free"


def _validations(settings: Settings) -> int:
    return -(-settings.optim.iterations // settings.run.validate_every)


def _estimate(trial: _Trial, sample_s: float, settings: Settings) -> tuple[None, str]:
    optim, run = settings.optim, settings.run
    # The trial's few batches were drawn ahead; over a long run the workers may be what it waits for.
    drawing_s = optim.batch_size / (run.devices * run.nodes) * sample_s / run.workers if run.workers else 0.0
    step_s = max(trial.step_s, drawing_s)
    seconds = optim.iterations * step_s + _validations(settings) * trial.validation_s * run.validation_pairs / PAIRS
    waits = "; the workers are what it waits for" if drawing_s > trial.step_s else ""
    text = f"about {timedelta(seconds=round(seconds))} at {optim.batch_size / step_s:.0f} images/s{waits}"
    return None, text
