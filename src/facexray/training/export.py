"""From a run's best weights to one ONNX file that carries its card, checked and measured; and its weights and card."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facexray.blending.config import BlendConfig
from facexray.blending.generate import Sample
from facexray.errors import ModelError
from facexray.faces.crop import VIEW_SIZE
from facexray.faces.store import FaceStore
from facexray.images import write_bytes
from facexray.metrics import METRICS, ap, bootstrap
from facexray.provenance import provenance
from facexray.runtime.model import CONVENTION, METADATA_KEY, Prediction, XrayModel
from facexray.training.card import card_text
from facexray.training.checkpoint import load_model, save_model
from facexray.training.config import RunConfig
from facexray.training.datasets import Pair, faces_sha256, hold_out
from facexray.training.network import FaceXrayNet
from facexray.training.validation import validation_sets

TOLERANCE = 1e-3
"""Largest difference of scores and X-rays between torch and the exported file."""
FALSE_POSITIVE_RATE = 0.05
"""Share of validation reals above the threshold for fake."""
FALSE_NEGATIVE_RATE = 0.1
"""Share of validation fakes below the threshold for real."""


class _Deployed(nn.Module):
    """The network with its outputs as probabilities."""

    def __init__(self, net: FaceXrayNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        output = self.net(views)
        return output.xray_logits.sigmoid(), output.class_logits.softmax(1)[:, 1]


def export_run(run: Path, out: Path, photographs: str, licence: str, val_store: Path | None) -> dict[str, Any]:
    """Export a run; see `facexray.training.command.export`."""
    net, card = load_model(run)
    sets = {name: _samples(pairs) for name, pairs in _validation_sets(card, val_store).items()}
    # The card needs scores, and the scores a model: the first pass has thresholds that decide nothing.
    data, draft = draft_model(net, out.name)
    check_agreement(net, draft, _images(next(iter(sets.values()))[:4]))
    predictions = {name: draft.predict(_images(samples)) for name, samples in sets.items()}
    by_label: tuple[list[float], list[float]] = ([], [])
    for name, samples in sets.items():
        for sample, score in zip(samples, predictions[name].scores.tolist(), strict=True):
            by_label[sample.label].append(score)
    card = {
        **card,
        **{part: without_folders(card[part]) for part in ("settings", "data", "teacher") if part in card},
        "name": out.stem,
        "photographs": photographs,
        "licence": licence,
        "convention": CONVENTION,
        "opset": _opset(data),
        "thresholds": _thresholds(*by_label),
        "validation": {name: _measures(samples, predictions[name].scores) for name, samples in sets.items()},
        "xray": _localisation(sets["clean"], predictions["clean"]),
        "exported": without_folders(provenance("export", {"run": run, "out": out})),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    data = _with_card(data, card)
    save_model(out.with_suffix(".safetensors"), net, card)
    write_bytes(out.with_suffix(".md"), card_text(card, data).encode())
    write_bytes(out, data)  # last: where it stands, the others do too
    return card


def without_folders(value: Any) -> Any:
    """Settings with their absolute paths cut to the file's own name: a model goes to people who have other folders."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def draft_model(net: FaceXrayNet, name: str) -> tuple[bytes, XrayModel]:
    """The network as ONNX, and as a model with thresholds that decide nothing.

    Raises:
        ModelError: This torch cannot export the network.
    """
    data = _to_onnx(_Deployed(net))
    return data, XrayModel(_with_card(data, {"convention": CONVENTION, "thresholds": _thresholds([0.0], [1.0])}), name)


def check_agreement(net: FaceXrayNet, model: XrayModel, images: NDArray[np.uint8]) -> None:
    """Compare scores and X-rays of the network and of the exported model on views (N, 256, 256, 3) uint8 RGB.

    Raises:
        ModelError: They differ by more than `TOLERANCE`.
    """
    views = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        xray, score = _Deployed(net)(views)
    prediction = model.predict(images)
    difference = max(
        float(np.abs(prediction.xrays - xray.numpy()).max()), float(np.abs(prediction.scores - score.numpy()).max())
    )
    if not difference <= TOLERANCE:
        raise ModelError(f"the exported file differs from the network by {difference:.2g}, more than {TOLERANCE}")


def _samples(pairs: list[Pair]) -> list[Sample]:
    return list(chain.from_iterable(pairs))


def _images(samples: list[Sample]) -> NDArray[np.uint8]:
    return np.stack([sample.image for sample in samples])


def _to_onnx(net: nn.Module) -> bytes:
    views = torch.rand(2, 3, VIEW_SIZE, VIEW_SIZE)
    program = torch.onnx.export(
        net.eval(),
        (views,),
        input_names=["views"],
        output_names=["xray", "score"],
        dynamic_shapes={"views": {0: torch.export.Dim("batch", min=1, max=4096)}},
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise ModelError("torch gave no ONNX program; this torch is too old or too new for facexray")
    return bytes(program.model_proto.SerializeToString())


def _opset(data: bytes) -> int:
    opsets = onnx.load_model_from_string(data).opset_import
    return int(next(opset.version for opset in opsets if opset.domain in ("", "ai.onnx")))


def _with_card(data: bytes, card: dict[str, Any]) -> bytes:
    """Put the card into the file, and take out the exporter's notes, which hold this machine's paths."""
    model = onnx.load_model_from_string(data)
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(card, ensure_ascii=False)})
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.graph.metadata_props[:]
    return bytes(model.SerializeToString())


def _validation_sets(card: dict[str, Any], val_store: Path | None) -> dict[str, list[Pair]]:
    """The validation sets of the run, made again from its settings."""
    settings, data = card["settings"], card["data"]
    store = FaceStore(val_store or Path(data["validation_store"]))
    held_out = hold_out(store)[1] if data["validation_store"] == data["store"] else None
    if faces_sha256(store, held_out) != data["validation_faces_sha256"]:
        raise ModelError(
            f"{store.path}: does not hold the faces that validated the run (it has grown, or is another store); "
            "name the right one with --val_store"
        )
    count = RunConfig(**settings["run"]).validation_pairs
    return validation_sets(BlendConfig.from_dict(settings["blending"]), store, held_out, count)


def _thresholds(real: list[float], fake: list[float]) -> dict[str, float]:
    fake_above = float(np.quantile(real, 1 - FALSE_POSITIVE_RATE))
    real_below = float(np.quantile(fake, FALSE_NEGATIVE_RATE))
    return {"real_below": round(min(real_below, fake_above), 4), "fake_above": round(fake_above, 4)}


def _measures(samples: list[Sample], scores: NDArray[np.float32]) -> dict[str, Any]:
    labels, faces = [sample.label for sample in samples], [sample.recipe.background for sample in samples]
    measures: dict[str, Any] = {"images": len(labels)}
    for name, metric in METRICS.items():
        interval = bootstrap(metric, labels, scores, groups=faces)
        measures[name] = round(metric(labels, scores), 4)
        measures[f"{name}_95"] = [round(value, 4) for value in interval]
    return measures


def _localisation(samples: list[Sample], prediction: Prediction) -> dict[str, float]:
    """How well the predicted X-rays find the boundary's pixels, B > 1/2; of every fourth row and column."""
    labels = np.array([sample.label for sample in samples])
    boundary = np.stack([sample.xray[::4, ::4] > 0.5 for sample in samples]).ravel()
    means = prediction.xrays.mean((1, 2))
    return {
        "pixel_AP": round(ap(boundary, prediction.xrays[:, ::4, ::4].ravel()), 4),
        "boundary_share": round(float(boundary.mean()), 4),
        "mean_real": round(float(means[labels == 0].mean()), 4),
        "mean_fake": round(float(means[labels == 1].mean()), 4),
    }
