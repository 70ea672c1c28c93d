"""Validation: fixed blended sets of people not trained on, and what the network makes of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric

from facexray.blending.blend import BLENDS
from facexray.blending.config import SOFTENINGS, BlendConfig, Choice, weights_of
from facexray.blending.generate import Sample
from facexray.blending.hull import HULLS
from facexray.blending.sheet import as_grey, how_blended, picture_grid
from facexray.errors import ModelError
from facexray.faces.store import FaceStore
from facexray.images import write_image
from facexray.metrics.classification import auc
from facexray.training.config import OptimConfig, RunConfig
from facexray.training.datasets import BlendedPairs, Pair, collate, faces_sha256, hold_out, store_of
from facexray.training.losses import face_xray_loss
from facexray.training.network import pool_xray

Sets = dict[str, list[Sample]]
"""The validation sets' images, real and fake, by the sets' names."""
VALIDATION_SEED = 20_200_614
"""Of the validation sets, which are the same for every run."""
PICTURED = 8
"""Pairs on the picture of a validation."""


def validation_sets(
    config: BlendConfig, store: FaceStore, faces: list[int] | None, count: int
) -> dict[str, list[Pair]]:
    """Fixed pairs of people not trained on, in sets: degraded (as in training), clean, and unseen.

    The fakes of unseen are blended by what training leaves out of hulls, softenings and blends, if it does.

    Args:
        config: How training draws blended images.
        store: Where the people are.
        faces: Indices of their faces; None for the whole store.
        count: Pairs in each set.
    """
    variants = {"degraded": config, "clean": replace(config, degradations={})}
    others = unseen(config)
    if others != config:
        variants["unseen"] = others
    sets = {name: BlendedPairs(variant, store, faces, VALIDATION_SEED) for name, variant in variants.items()}
    return {name: [pairs[i] for i in range(count)] for name, pairs in sets.items()}


def validation_sets_of(card: dict[str, Any], val_store: Path | None) -> tuple[Sets, dict[str, str]]:
    """The validation sets of a run, made again from its card; and the person of each face, by its id.

    Args:
        card: Of the run, or of its export, which names the stores without their folders.
        val_store: Where the faces are that validated it, if not where the card says.

    Raises:
        StoreError: The store is missing.
        ModelError: It holds other faces than those.
    """
    settings, data = card["settings"], card["data"]
    store, faces = store_of(data["validation_store"], val_store, "val_store"), None
    # The same name may be that of one store, a part of it held out, or of two stores in different folders.
    if data["validation_store"] == data["store"] and faces_sha256(store, None) != data["validation_faces_sha256"]:
        faces = hold_out(store)[1]
    if faces_sha256(store, faces) != data["validation_faces_sha256"]:
        raise ModelError(
            f"{store.path}: does not hold the faces that validated the run (it has grown, or is another store); "
            "name the right one with --val_store"
        )
    count = RunConfig(**settings["run"]).validation_pairs
    sets = validation_sets(BlendConfig.from_dict(settings["blending"]), store, faces, count)
    people = dict(zip(store.column("id"), store.people, strict=True))
    return {name: list(chain.from_iterable(pairs)) for name, pairs in sets.items()}, people


def unseen(config: BlendConfig) -> BlendConfig:
    """The config with what it never draws of hulls, softenings and blends; where it draws all of them, unchanged."""
    return replace(
        config,
        hull=_others(config.hull, HULLS),
        soften=_others(config.soften, SOFTENINGS),
        blend=_others(config.blend, BLENDS),
    )


def _others(choice: Choice, names: Collection[str]) -> Choice:
    weights = weights_of(choice)
    left_out = {name: 1.0 for name in names if not weights.get(name)}
    return left_out or choice


def validate(net: Any, fabric: Fabric, sets: dict[str, list[Pair]], optim: OptimConfig) -> dict[str, float]:
    """AUC of the class score and of the pooled X-rays, and the excess of the X-ray loss, on each set.

    Args:
        net: FaceXrayNet or a moving average of one, in evaluation mode.
        fabric: Its device and precision.
        sets: Of `validation_sets`.
        optim: Its batch size is used.
    """
    result = {}
    for name, pairs in sets.items():
        xrays, scores, excess = _predict(net, fabric, pairs, optim.batch_size // 2)
        labels = np.tile([0, 1], len(pairs))
        result[f"auc_{name}"] = auc(labels, scores)
        result |= {f"auc_xray_{how}_{name}": auc(labels, xrays[how]) for how in xrays}
        result[f"excess_{name}"] = excess
    return result


def _predict(net: Any, fabric: Fabric, pairs: list[Pair], step: int) -> tuple[dict[str, Any], Any, float]:
    """Pooled X-rays by method, class scores, and the mean excess of the X-ray loss."""
    pooled: dict[str, list[Any]] = {"mean": [], "max": [], "top_k": []}
    scores, excess = [], 0.0
    for start in range(0, len(pairs), step):
        part = pairs[start : start + step]
        views, xrays, labels = (tensor.to(fabric.device) for tensor in collate(part).batch)
        with torch.no_grad(), fabric.autocast():
            output = net(views)
        predicted = output.xray_logits.float().sigmoid()
        for how, values in pooled.items():
            values.append(pool_xray(predicted, how).cpu())
        scores.append(output.class_logits.float().softmax(1)[:, 1].cpu())
        excess += face_xray_loss(output, xrays, labels, 1.0).xray_excess.item() * len(part) / len(pairs)
    return {how: torch.cat(values).numpy() for how, values in pooled.items()}, torch.cat(scores).numpy(), excess


def draw_predictions(net: Any, fabric: Fabric, pairs: list[Pair], path: Path) -> None:
    """A picture of a validation set's first pairs, a row each: fake, true X-ray, predicted X-ray; real, predicted."""
    chosen = pairs[:PICTURED]
    with torch.no_grad(), fabric.autocast():
        logits = net(collate(chosen).batch[0].to(fabric.device)).xray_logits
    levels = (logits.float().sigmoid() * 255).round().to(torch.uint8).cpu().numpy()
    truth = [as_grey(np.rint(fake.xray * 255).astype(np.uint8)) for _, fake in chosen]
    rows = [
        ([fake.image, xray, as_grey(of_fake), real.image, as_grey(of_real)], how_blended(fake.recipe))
        for (real, fake), xray, of_real, of_fake in zip(chosen, truth, levels[::2], levels[1::2], strict=True)
    ]
    path.parent.mkdir(exist_ok=True)
    write_image(path, picture_grid(("fake", "Face X-ray", "predicted", "real", "predicted"), rows))
