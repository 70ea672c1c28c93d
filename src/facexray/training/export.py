"""From a run's best weights to one ONNX file that carries its card, checked and measured; and its weights and card."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facexray.blending.generate import Sample
from facexray.errors import ModelError, SettingsError
from facexray.faces.crop import VIEW_SIZE
from facexray.images import write_bytes
from facexray.metrics.classification import METRICS, ap
from facexray.metrics.summary import summary
from facexray.provenance import provenance
from facexray.runtime.card import ANCESTRY, METADATA_KEY, write_card
from facexray.runtime.model import CONVENTION, Prediction, XrayModel
from facexray.runtime.weights import model_path
from facexray.training.calibration import calibrate, fit_calibration
from facexray.training.card import card_text, validation_auc
from facexray.training.checkpoint import load_mean, save_model
from facexray.training.network import FaceXrayNet
from facexray.training.thresholds import raised_by_reals, thresholds_by_validation, thresholds_of
from facexray.training.validation import Sets, validation_sets_of

if TYPE_CHECKING:
    from facexray.training.quantize import Quantisation

TOLERANCE = 1e-3
"""Largest difference of scores and X-rays between torch and the exported file."""
LARGEST_LOSS = 0.02
"""Of the AUC on the degraded validation set, by which the mean of runs may stay behind the first of them."""
LICENCE = "apache-2.0"
"""Of the weights, where none is given."""


class _Deployed(nn.Module):
    """The network with its outputs as probabilities."""

    def __init__(self, net: FaceXrayNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        output = self.net(views)
        return output.xray_logits.sigmoid(), output.class_logits.softmax(1)[:, 1]


def export_runs(
    runs: Sequence[Path],
    out: Path,
    photographs: str | None,
    licence: str | None,
    val_store: Path | None,
    reals: Path | None,
) -> dict[str, Any]:
    """Export a run, or the mean of several, or an export anew; see `facexray.training.command.export`."""
    net, card = load_mean(runs)
    exported = len(runs) == 1 and "thresholds" in card
    photographs = photographs or (card["photographs"] if exported else None)
    if photographs is None:
        raise SettingsError("photographs: say whose the model learned from and was validated on, for its card")
    if exported:
        data, model = _exported(runs[0], card)
        found = {"thresholds": thresholds_by_validation(card)}
    else:
        data, model, found = _measured(net, card, runs[0], out.stem, val_store)
    learned = ("settings", "data", *ANCESTRY)
    card = {
        **card,
        **{part: without_folders(card[part]) for part in learned if part in card},
        "name": out.stem,
        "photographs": photographs,
        "licence": licence or licence_of(card),
        **found,
        **raised_by_reals(found["thresholds"], model, reals),
        "exported": without_folders(provenance("export", {"runs": list(runs), "out": out})),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    data = _with_card(data, card)
    save_model(out.with_suffix(".safetensors"), net, card)
    write_bytes(out.with_suffix(".md"), card_text(card, data).encode())
    write_bytes(out, data)  # last: where it stands, the others do too
    return card


def licence_of(card: dict[str, Any]) -> str:
    """The licence of a model's weights, or else of those that they came from, or else ours."""
    if "licence" in card:
        return str(card["licence"])
    begun = [card["pretrained"]] if card.get("pretrained") else []
    found = {licence_of(other) for other in (*begun, *card.get("averaged_with", []))}
    if len(found) > 1:
        raise SettingsError(f"licence: the model came from weights under {', '.join(sorted(found))}; say which is its")
    return found.pop() if found else LICENCE


def _exported(name: Path, card: dict[str, Any]) -> tuple[bytes, XrayModel]:
    """The ONNX file of an export, named as for `load_model`, and the model in it."""
    path = model_path(name).with_suffix(".onnx")
    model = XrayModel.load(path)
    if model.card != card:
        raise ModelError(f"{path}: the weights beside it have another card; export the run again")
    return path.read_bytes(), model


def _measured(
    net: FaceXrayNet, card: dict[str, Any], first: Path, name: str, val_store: Path | None
) -> tuple[bytes, XrayModel, dict[str, Any]]:
    """The network, calibrated, as ONNX; and what the validation sets say of it, for the card."""
    sets, people = validation_sets_of(card, val_store)
    # The card needs scores, and the scores a model: the first pass has thresholds that decide nothing.
    data, draft = draft_model(net, name)
    predictions = _predictions(draft, sets)
    everything = list(chain.from_iterable(sets.values()))
    fitted = fit_calibration(_labels(sets), _all_scores(predictions), _shown(everything, people))
    calibrated = calibrate(net, fitted)
    if calibrated:
        data, draft = draft_model(net, name)
        predictions = _predictions(draft, sets)
    check_agreement(net, draft, _images(everything[:4]))
    found = _judged(sets, people, predictions)
    if "averaged_with" in card:
        _check_mean(first, validation_auc(card), found["validation"]["degraded"]["AUC"])
    calibration = asdict(fitted) if calibrated else None
    return data, draft, {"convention": CONVENTION, "opset": _opset(data), "calibration": calibration, **found}


def _check_mean(first: Path, alone: float, mean: float) -> None:
    if alone - mean > LARGEST_LOSS:
        raise ModelError(
            f"{first}: alone it has an AUC of {alone:.3f} on its degraded validation set, and the mean of all runs has "
            f"{mean:.3f}: average only runs that went on from one model"
        )


def int8_copy(exported: Path, made_with: Quantisation, reals: Path | None) -> Path:
    """Write the int8 copy of an exported run beside it; see `facexray.training.command.export`."""
    from facexray.training.quantize import check_drop, quantize

    out, data = exported.with_suffix(".int8.onnx"), exported.read_bytes()
    card = XrayModel(data, exported.name).card
    quantised = quantize(data, made_with.views)
    draft = XrayModel(_with_card(quantised, card), out.name)
    found = _judged(made_with.sets, made_with.people, _predictions(draft, made_with.sets))
    print(f"int8: {check_drop(card['validation'], found['validation'], exported)}")
    own = {
        "name": out.stem,
        **found,
        **raised_by_reals(found["thresholds"], draft, reals),
        "quantised": {"from_sha256": hashlib.sha256(data).hexdigest(), "calibration_views": len(made_with.views)},
    }
    write_bytes(out, _with_card(quantised, {**card, **own}))
    return out


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
    return data, XrayModel(
        _with_card(data, {"convention": CONVENTION, "thresholds": thresholds_of([0.0], [1.0])}), name
    )


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


def _shown(samples: list[Sample], people: dict[str, str]) -> list[str]:
    """Whom each sample shows."""
    return [people[sample.recipe.background] for sample in samples]


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
    onnx.helper.set_model_props(model, {METADATA_KEY: write_card(card)})
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.graph.metadata_props[:]
    return bytes(model.SerializeToString())


def _predictions(model: XrayModel, sets: Sets) -> dict[str, Prediction]:
    return {name: model.predict(_images(samples)) for name, samples in sets.items()}


def _judged(sets: Sets, people: dict[str, str], predictions: dict[str, Prediction]) -> dict[str, Any]:
    """What a card says of the validation sets: thresholds, measures, and how well the X-ray finds the boundary."""
    labels, scores = _labels(sets), _all_scores(predictions)
    return {
        "thresholds": thresholds_of(scores[labels == 0], scores[labels == 1]),
        "validation": {name: _measures(samples, predictions[name].scores, people) for name, samples in sets.items()},
        "xray": _localisation(sets["clean"], predictions["clean"]),
    }


def _labels(sets: Sets) -> NDArray[np.int64]:
    return np.array([sample.label for sample in chain.from_iterable(sets.values())])


def _all_scores(predictions: dict[str, Prediction]) -> NDArray[np.float32]:
    return np.concatenate([prediction.scores for prediction in predictions.values()])


def _measures(samples: list[Sample], scores: NDArray[np.float32], people: dict[str, str]) -> dict[str, Any]:
    labels = [sample.label for sample in samples]
    numbers = summary(labels, scores, _shown(samples, people))
    measures: dict[str, Any] = {"images": len(labels)}
    for name in METRICS:
        measures[name] = round(numbers[name]["value"], 4)
        measures[f"{name}_95"] = [round(numbers[name][end], 4) for end in ("low_95", "high_95")]
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
