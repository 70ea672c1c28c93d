"""Training: setup → fit, on Lightning Fabric."""

from __future__ import annotations

import json
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric

from facexray.errors import ModelError, SettingsError
from facexray.faces.neighbours import FacePool
from facexray.faces.store import FaceStore
from facexray.images import write_bytes
from facexray.provenance import provenance
from facexray.runtime.card import write_card
from facexray.training.checkpoint import begin, check_resumable, load_checkpoint, save_checkpoint, save_model
from facexray.training.datasets import (
    Batch,
    BlendedPairs,
    PairSampler,
    check_apart,
    hold_out,
    stamp,
    training_loader,
)
from facexray.training.device_loader import planned_loader
from facexray.training.distributed import sync_batch_norms
from facexray.training.fabric import first_alone, launch
from facexray.training.interruption import end_stopped, signals_noted
from facexray.training.log import Log
from facexray.training.losses import face_xray_loss
from facexray.training.renderer import BatchRenderer
from facexray.training.schedule import Freezer, learning_rate, make_average, make_optimizer
from facexray.training.state import Progress, Settings, Training
from facexray.training.teacher import Pupil, Teacher, feature_loss
from facexray.training.validation import draw_predictions, validate, validation_sets
from facexray.workers import keep_memory


def setup(out: Path, store: FaceStore, val_store: FaceStore | None, settings: Settings) -> Training:
    """Build everything that a run needs, and load its last checkpoint where there is one.

    Raises:
        SettingsError: Settings that do not go together.
        StoreError: A store too small to blend.
        ModelError: The folder's checkpoint, or the backbone's file of weights, is damaged or of other settings.
    """
    optim, run = settings.optim, settings.run
    keep_memory()
    fabric = launch(optim, run)
    faces, val_faces = (None, None) if val_store else hold_out(store)
    state = _last_state(out, fabric)
    torch.manual_seed(settings.seed)
    if state:  # what it began from may be gone by now, or have become another
        net, predecessor = begin(replace(settings.network, pretrained=None))[0], state["about"].get("pretrained")
    else:
        net, predecessor = begin(settings.network)
    net.to(memory_format=torch.channels_last)
    sync_batch_norms(net, fabric)
    about = provenance("train", vars(settings))
    about["data"] = {
        "store": str(store.path),
        **stamp(store, faces),
        "validation_store": str((val_store or store).path),
        **{f"validation_{name}": value for name, value in stamp(val_store or store, val_faces).items()},
    }
    if predecessor:
        about["pretrained"] = predecessor
    pairs = BlendedPairs(settings.blending, store, faces, settings.seed, settings.data)
    if pairs.fakes:
        check_apart(pairs.fakes, val_store or store, val_faces)
        given = stamp(pairs.fakes, None)
        about["data"] |= {"given_fakes": given["faces"], "given_fakes_sha256": given["faces_sha256"]}
    teacher = Teacher(optim.teacher, fabric.device) if optim.teacher else None
    if teacher:
        about["teacher"] = teacher.about
    pupil = Pupil(net, teacher)
    optimizer = make_optimizer(optim, pupil)
    compiled: Any = torch.compile(pupil) if run.compile else pupil
    model, wrapped = fabric.setup(compiled, optimizer)
    training = Training(
        out=out,
        fabric=fabric,
        settings=settings,
        pupil=pupil,
        model=model,
        teacher=teacher,
        average=make_average(optim, net),
        optimizer=wrapped,
        freezer=Freezer(optim, net),
        pairs=pairs,
        validation={},
        about=about,
        progress=Progress(),
        log=None,
    )
    if state:
        _resume(training, state)
    FacePool.of(val_store or store, val_faces)  # every process learns of a bad store, not the first alone
    first_alone(fabric, lambda: _prepare_to_tell(training, val_store or store, val_faces))
    return training


def _prepare_to_tell(training: Training, val_store: FaceStore, val_faces: list[int] | None) -> None:
    out, settings = training.out, training.settings
    training.validation = validation_sets(settings.blending, val_store, val_faces, settings.run.validation_pairs)
    training.log = Log(out, settings.optim, settings.run, training.progress.iteration)
    write_bytes(out / "run.json", write_card(training.about, indent=2).encode())


def _last_state(out: Path, fabric: Fabric) -> dict[str, Any] | None:
    """The run's last checkpoint, if it has one, which then every process must see."""
    path = out / "last.ckpt"
    there, decide = path.exists(), fabric.strategy.reduce_boolean_decision
    if decide(there, all=False) != decide(there, all=True):
        raise SettingsError(f"{path}: some processes see it and some do not; give all machines one OUT that they share")
    return load_checkpoint(path) if there else None


def _resume(training: Training, state: dict[str, Any]) -> None:
    check_resumable(training.out / "last.ckpt", state["about"], training.about)
    training.pupil.load_state_dict(state["net"])
    training.optimizer.load_state_dict(state["optimizer"])
    if training.average:
        training.average.load_state_dict(state["average"])
    if state["precision"]:  # of float16 alone
        training.fabric.strategy.precision.load_state_dict(state["precision"])
    torch.set_rng_state(state["rng"])
    training.progress = Progress(**state["progress"])
    training.about["resumed_at"] = training.progress.iteration


def fit(training: Training) -> None:
    """Run the loop from where it stands to its last iteration.

    SIGTERM and Ctrl-C end it after the iteration in hand, with a checkpoint to go on from.

    Raises:
        ModelError: The loss is not a number; or a checkpoint cannot be written.
        KeyboardInterrupt: Ctrl-C came, and the state is saved.
        SystemExit: SIGTERM came, and the state is saved.
    """
    optim, progress = training.settings.optim, training.progress
    stopped = False
    with signals_noted(training), closing(training.log) if training.log else nullcontext():
        for rendered in _batches(training):
            if training.log:
                training.log.data_arrived()
            lr = learning_rate(optim, progress.iteration)
            losses = _step(training, rendered.batch, lr)
            progress.iteration += 1
            stopped = training.fabric.strategy.reduce_boolean_decision(bool(training.stopped_by), all=False)
            first_alone(training.fabric, partial(_tell_and_keep, training, losses, lr, stopped))
            if stopped:
                break
    if stopped and progress.iteration < optim.iterations:
        end_stopped(training)
    if training.log:
        training.log.ended()


def _batches(training: Training) -> Any:
    """What this process learns from, batch by batch, from the iteration where the run stands."""
    fabric, optim, run = training.fabric, training.settings.optim, training.settings.run
    per_step = optim.batch_size // 2
    sampler = PairSampler(
        training.progress.iteration * per_step, optim.iterations * per_step, fabric.global_rank, fabric.world_size
    )
    share = per_step // fabric.world_size
    if run.renderer == "torch":
        renderer = BatchRenderer(fabric.device)
        return (renderer(plan) for plan in planned_loader(training.pairs, sampler, share, run.workers))
    loader = training_loader(training.pairs, sampler, share, run.workers)
    return fabric.setup_dataloaders(loader, use_distributed_sampler=False)


def _step(training: Training, batch: Batch, lr: float) -> tuple[float, float]:
    optim, fabric, iteration = training.settings.optim, training.fabric, training.progress.iteration
    for group in training.optimizer.param_groups:
        group["lr"] = lr
    training.freezer.prepare(iteration)
    training.optimizer.zero_grad()
    seen = torch.zeros(2, device=fabric.device)
    for number, part in enumerate(zip(*(tensor.chunk(optim.accumulate) for tensor in batch), strict=True)):
        views, xrays, labels = part
        with fabric.no_backward_sync(training.model, enabled=number < optim.accumulate - 1):
            output, guesses = training.model(views)
            losses = face_xray_loss(output, xrays, labels, optim.xray_weight)
            total = losses.total
            if training.teacher:
                with fabric.autocast():
                    taught = training.teacher.features(views)
                total = total + optim.teacher_weight * feature_loss(guesses, taught)
            fabric.backward(total / optim.accumulate)
        seen += torch.stack([losses.xray_excess, losses.classes]) / optim.accumulate
    norm: Any = fabric.clip_gradients(
        training.model, training.optimizer, max_norm=optim.clip_norm or float("inf"), error_if_nonfinite=False
    )
    xray_excess, classes = fabric.all_reduce(seen, reduce_op="mean").tolist()  # type: ignore[union-attr]
    # In float16 a gradient may overflow: the scaler then leaves the step out and takes smaller ones.
    overflows = training.settings.run.precision == "16-mixed"
    if not np.isfinite([xray_excess, classes, 0.0 if overflows else float(norm)]).all():
        _stop_at_nan(training, xray_excess, classes)
    training.optimizer.step()
    if training.average:
        training.average.update_parameters(training.net)
    return xray_excess, classes


def _stop_at_nan(training: Training, xray_excess: float, classes: float) -> None:
    """Keep what the batch was made of, and stop before the step is taken."""
    iteration, pairs = training.progress.iteration, training.settings.optim.batch_size // 2
    path = training.out / f"not-a-number-{iteration}.json"
    numbers = range(iteration * pairs, (iteration + 1) * pairs)
    recipes = [[sample.recipe.to_dict() for sample in training.pairs[number]] for number in numbers]
    write_bytes(path, json.dumps(recipes, ensure_ascii=False).encode())
    raise ModelError(
        f"iteration {iteration}: the loss (X-ray {xray_excess:.3g}, class {classes:.3g}) or its gradient is not a "
        f"finite number; the recipes of its batch are in {path}. Go on from the last "
        "checkpoint with --run.precision 32-true --resume auto, or begin anew in another folder with a lower optim.lr"
    )


def _tell_and_keep(training: Training, losses: tuple[float, float], lr: float, stopped: bool) -> None:
    """The first process's part of an iteration: the log, and validation and checkpoint where they are due."""
    run, iteration, log = training.settings.run, training.progress.iteration, training.log
    assert log
    last = iteration == training.settings.optim.iterations
    log.step_done(iteration, losses, lr)
    if iteration % run.validate_every == 0 or last:
        _validate(training, log)
    if iteration % run.save_every == 0 or last or stopped:
        _save(training)


def _validate(training: Training, log: Log) -> None:
    """Measure the network as it would ship; keep it, and as the best if it is that so far."""
    net = training.average.module if training.average else training.net
    progress = training.progress
    net.eval()
    result = validate(net, training.fabric, training.validation, training.settings.optim)
    picture = training.out / "validation" / f"{progress.iteration:06d}.png"
    draw_predictions(net, training.fabric, training.validation["degraded"], picture)
    best = result["auc_degraded"] > progress.best_auc
    log.validated(progress.iteration, result, best)
    numbers = {name: round(value, 4) for name, value in result.items()}
    card = {**training.about, "iteration": progress.iteration, "validation": numbers}
    save_model(training.out / "last.safetensors", net, {**card, "weights": "last"})
    if best:
        progress.best_auc = result["auc_degraded"]
        save_model(training.out, net, {**card, "weights": "best"})
    log.resume()


def _save(training: Training) -> None:
    save_checkpoint(
        training.out / "last.ckpt",
        {
            "net": training.pupil.state_dict(),
            "average": training.average.state_dict() if training.average else None,
            "optimizer": training.optimizer.state_dict(),
            "precision": training.fabric.strategy.precision.state_dict(),
            "rng": torch.get_rng_state(),
            "progress": vars(training.progress),
            "about": training.about,
        },
    )
