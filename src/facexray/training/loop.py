"""Training: setup → fit, on Lightning Fabric."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from rich.console import Console

from facexray.blending.config import BlendConfig
from facexray.errors import ModelError, SettingsError
from facexray.faces.store import FaceStore
from facexray.metrics import auc
from facexray.provenance import plain, provenance
from facexray.training.checkpoint import load_checkpoint, save_checkpoint, save_model
from facexray.training.config import NetworkConfig, OptimConfig, RunConfig
from facexray.training.datasets import (
    Batch,
    BlendedPairs,
    Pair,
    PairSampler,
    collate,
    cut_patches,
    faces_sha256,
    hold_out,
    training_loader,
)
from facexray.training.losses import face_xray_loss
from facexray.training.network import FaceXrayNet

VALIDATION_SEED = 20_200_614
"""Of the validation set, which is the same for every run."""


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
    net: Any
    optimizer: Any
    optim: OptimConfig
    run: RunConfig
    pairs: BlendedPairs
    validation: dict[str, list[Pair]]
    about: dict[str, Any]
    progress: Progress
    say: Callable[[str], None]


def setup(
    out: Path,
    stores: tuple[FaceStore, FaceStore | None],
    blending: BlendConfig,
    network: NetworkConfig,
    optim: OptimConfig,
    run: RunConfig,
    seed: int,
) -> Training:
    """Build everything that a run needs, and load its last checkpoint where there is one.

    Raises:
        StoreError: A store too small to blend.
        ModelError: The folder's checkpoint is damaged or of other settings.
    """
    fabric = Fabric(accelerator=run.accelerator, devices=run.devices, precision=run.precision)
    fabric.launch()
    if (optim.batch_size // 2) % fabric.world_size:
        raise SettingsError(f"optim: half of batch_size must divide evenly among {fabric.world_size} processes")
    train_store, val_store = stores
    train_faces, val_faces = (None, None) if val_store else hold_out(train_store)
    torch.manual_seed(seed)
    net = FaceXrayNet(network).to(memory_format=torch.channels_last)
    learning = [weight for weight in net.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=optim.lr, weight_decay=optim.weight_decay)
    settings = {"blending": blending, "network": network, "optim": optim, "run": run, "seed": seed}
    about = provenance("train", settings)
    about["data"] = {
        "store": str(train_store.path),
        "faces": len(train_store) if train_faces is None else len(train_faces),
        "faces_sha256": faces_sha256(train_store, train_faces),
        "validation_store": str((val_store or train_store).path),
        "validation_faces": len(val_store) if val_store else len(val_faces or []),
        "validation_faces_sha256": faces_sha256(val_store or train_store, val_faces),
    }
    progress = Progress()
    if (out / "last.ckpt").exists():
        state = load_checkpoint(out / "last.ckpt")
        _check_resumable(out, state["about"], about)
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        progress = Progress(**state["progress"])
        about["resumed_at"] = progress.iteration
    console = Console(stderr=True, highlight=False)
    training = Training(
        out=out,
        fabric=fabric,
        net=None,
        optimizer=None,
        optim=optim,
        run=run,
        pairs=BlendedPairs(blending, train_store, train_faces, seed),
        validation=validation_set(blending, val_store or train_store, val_faces, run.validation_pairs),
        about=about,
        progress=progress,
        say=console.print if fabric.is_global_zero else lambda _: None,
    )
    training.net, training.optimizer = fabric.setup(net, optimizer)
    return training


def _check_resumable(out: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Where and how often the loop runs may change between sessions; what it computes may not."""
    before, now = ({**about["settings"], "faces": about["data"]["faces_sha256"]} for about in (old, new))
    changed = [key for key in now if key != "run" and plain(before.get(key)) != plain(now[key])]
    if changed:
        raise ModelError(
            f"{out / 'last.ckpt'}: was made with other settings of {', '.join(changed)}; "
            "give the same settings to go on, or another folder to begin anew"
        )


def validation_set(config: BlendConfig, store: FaceStore, faces: list[int] | None, count: int) -> dict[str, list[Pair]]:
    """Fixed pairs of people not trained on: degraded as in training, and clean.

    Args:
        config: How blended images are drawn.
        store: Where the people are.
        faces: Indices of their faces; None for the whole store.
        count: Pairs in each of the two sets.
    """
    variants = {"degraded": config, "clean": replace(config, degradations={})}
    sets = {name: BlendedPairs(variant, store, faces, VALIDATION_SEED) for name, variant in variants.items()}
    return {name: [pairs[i] for i in range(count)] for name, pairs in sets.items()}


def fit(training: Training) -> None:
    """Run the loop from where it stands to its last iteration."""
    fabric, optim, run = training.fabric, training.optim, training.run
    per_step = optim.batch_size // 2
    sampler = PairSampler(
        training.progress.iteration * per_step,
        optim.iterations * per_step,
        fabric.global_rank,
        fabric.world_size,
    )
    loader = training_loader(training.pairs, sampler, per_step // fabric.world_size, run.workers)
    meter = _Meter(training)
    training.net.train()
    batches: Any = fabric.setup_dataloaders(loader, use_distributed_sampler=False)
    for batch in batches:
        meter.data_arrived()
        losses = _step(training, batch)
        training.progress.iteration += 1
        meter.step_done(losses)
        last = training.progress.iteration == optim.iterations
        if training.progress.iteration % run.validate_every == 0 or last:
            _validate_and_save(training)
            meter.resume()


def _step(training: Training, batch: Batch) -> tuple[float, float]:
    optim, iteration = training.optim, training.progress.iteration
    if iteration < optim.patch_iterations:
        batch = cut_patches(batch, optim.patch_px, np.random.default_rng((training.pairs.seed, iteration)))
    views, xrays, labels = batch
    for group in training.optimizer.param_groups:
        group["lr"] = learning_rate(training.optim, training.progress.iteration)
    losses = face_xray_loss(training.net(views), xrays, labels, training.optim.xray_weight)
    if not torch.isfinite(losses.total):
        raise ModelError(
            f"iteration {training.progress.iteration}: the loss is {losses.total.item()}; "
            "lower optim.lr and go on from the last checkpoint"
        )
    training.optimizer.zero_grad()
    training.fabric.backward(losses.total)
    training.fabric.clip_gradients(training.net, training.optimizer, max_norm=training.optim.clip_norm)
    training.optimizer.step()
    return losses.xray_excess.item(), losses.classes.item()


def learning_rate(optim: OptimConfig, iteration: int) -> float:
    """The learning rate of an iteration, from 0: linear warm-up, then a cosine to 0."""
    warm = max(1, optim.iterations // 50)
    if iteration < warm:
        return optim.lr * (iteration + 1) / warm
    share = (iteration - warm) / max(1, optim.iterations - warm)
    return optim.lr * 0.5 * (1 + math.cos(math.pi * share))


def validate(training: Training) -> dict[str, float]:
    """AUC of the class score and excess of the X-ray loss, on each validation set."""
    training.net.eval()
    result = {}
    with torch.no_grad():
        for name, pairs in training.validation.items():
            scores, labels, excess = [], [], []
            step = training.optim.batch_size // 2
            for start in range(0, len(pairs), step):
                batch = collate(pairs[start : start + step])
                views, xrays, truth = (tensor.to(training.fabric.device) for tensor in batch)
                output = training.net(views)
                scores.append(output.class_logits.float().softmax(1)[:, 1].cpu())
                labels.append(truth.cpu())
                excess.append(face_xray_loss(output, xrays, truth, 1.0).xray_excess.item())
            result[f"auc_{name}"] = auc(torch.cat(labels).numpy(), torch.cat(scores).numpy())
            result[f"xray_excess_{name}"] = float(np.mean(excess))
    training.net.train()
    return result


def _validate_and_save(training: Training) -> None:
    result, progress = validate(training), training.progress
    better = result["auc_degraded"] > progress.best_auc
    progress.best_auc = max(progress.best_auc, result["auc_degraded"])
    if training.fabric.is_global_zero:
        numbers = {name: round(value, 4) for name, value in result.items()}
        training.say(f"[bold]validation at {progress.iteration}[/]: {numbers}{' (best)' if better else ''}")
        if better:
            card = {**training.about, "iteration": progress.iteration, "validation": numbers}
            save_model(training.out, training.net.module, card)
        _append(training.out / "validation.csv", {"iteration": progress.iteration, **numbers})
        save_checkpoint(
            training.out / "last.ckpt",
            {
                "net": training.net.module.state_dict(),
                "optimizer": training.optimizer.state_dict(),
                "progress": vars(progress),
                "about": training.about,
            },
        )
    training.fabric.barrier()


def _append(path: Path, row: dict[str, Any]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        if fresh:
            writer.writeheader()
        writer.writerow(row)


class _Meter:
    """Prints the progress line and keeps `log.csv`."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._losses: list[tuple[float, float]] = []
        self._waited = 0.0
        self.resume()

    def resume(self) -> None:
        """Begin to count anew, after a validation."""
        self._losses, self._waited = [], 0.0
        self._began = self._last = time.perf_counter()

    def data_arrived(self) -> None:
        """A batch is here."""
        self._waited += time.perf_counter() - self._last

    def step_done(self, losses: tuple[float, float]) -> None:
        """A step is done; (X-ray excess, class loss)."""
        self._losses.append(losses)
        self._last = time.perf_counter()
        training, iteration = self._training, self._training.progress.iteration
        if iteration % training.run.log_every or not training.fabric.is_global_zero:
            return
        span = self._last - self._began
        rate = len(self._losses) / span
        xray, classes = np.mean(self._losses, axis=0)
        row = {
            "iteration": iteration,
            "xray_excess": round(float(xray), 5),
            "class_loss": round(float(classes), 4),
            "images_per_s": round(rate * training.optim.batch_size, 1),
            "data_wait_share": round(self._waited / span, 3),
        }
        left = (training.optim.iterations - iteration) / rate
        training.say(
            f"{iteration}/{training.optim.iterations}  X-ray {xray:.4f}  class {classes:.3f}  "
            f"{row['images_per_s']} images/s  waiting {row['data_wait_share']:.0%}  "
            f"left {timedelta(seconds=round(left))}"
        )
        _append(training.out / "log.csv", row)
        self.resume()
