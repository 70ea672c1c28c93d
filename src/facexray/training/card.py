"""The model card as a person reads it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from facexray.blending.config import weights_of
from facexray.detection.verdict import WORTH

TEXT = """# {name}

Sees where a face was blended into a photograph, and scores how likely one was. {worth}

Runs with facexray: `facexray detect PHOTO --model {name}.onnx`.

| | |
|---|---|
| file | `{name}.onnx`, {megabytes:.1f} MB, opset {opset}, SHA-256 `{sha256}`; the same weights for PyTorch: \
`{name}.safetensors` |
| input | `views`: (N, 3, 256, 256) float32 RGB in [0, 1], cut as {convention}; normalisation inside |
| output | `xray`: (N, 256, 256) predicted Face X-ray in [0, 1]; `score`: (N,) probability of fake |
| network | {backbone}; class head: {class_head} |
| photographs | {photographs} |
| learned from | {faces} real faces, blended as they were needed ({mode}); seed {seed} |
| iterations | {iterations} of {batch_size} images; the weights are those of {iteration}, {weights} |
| validated on | {validation_faces} real faces of people not trained on, and forgeries blended from them |
| made by | `{made_by}`, version {version}{commit}, {date}, {machine} |
| licence | {licence}, of the weights; the photographs keep their own |
| calibration | {calibration} |
| thresholds | real below {real_below}, fake above {fake_above}; in between: cannot tell{reals} |

## What it began from

{lineage}

## Scores on the validation sets, with 95 % intervals over their people

{scores}

Degraded is as in training, clean without degradations; unseen, where there is one, was blended by hulls, softenings
and blends that training left out.

On the clean set the predicted X-ray finds the pixels of the blending boundary (B > 1/2) with an AP of
{pixel_AP:.3f}, where chance gives {boundary_share:.3f}. Its mean is {mean_real:.4f} on real images
and {mean_fake:.4f} on fake ones.

## Limits

The validation sets chose the thresholds, and the iteration where the weights are the best on them, so these scores
lean towards the better. Their forgeries come from the same generator as the training's; forgeries of other makes may
be seen worse, or not at all. Forgeries without a blend, such as faces generated whole, leave no trace that this
model looks for.

## Settings

```json
{settings}
```
"""
WEIGHTS = {"best": "the best on validation", "last": "the last that were validated"}
"""Which of a run's weights these are."""


def card_text(card: dict[str, Any], model: bytes) -> str:
    """The model card as Markdown, from the card inside the ONNX file and the bytes of that file."""
    settings, data = card["settings"], card["data"]
    return TEXT.format(
        name=card["name"],
        worth=WORTH,
        sha256=hashlib.sha256(model).hexdigest(),
        megabytes=len(model) / 1e6,
        opset=card["opset"],
        convention=", ".join(f"{key} {value}" for key, value in card["convention"].items()),
        backbone=settings["network"]["backbone"],
        lineage="\n".join(_lineage(card, [])),
        class_head=settings["network"]["class_head"],
        photographs=card["photographs"],
        faces=data["faces"],
        validation_faces=data["validation_faces"],
        mode=", ".join(weights_of(settings["blending"]["mode"])),
        iterations=settings["optim"]["iterations"],
        batch_size=settings["optim"]["batch_size"],
        seed=settings["seed"],
        iteration=card["iteration"],
        weights=WEIGHTS[card.get("weights", "best")],
        made_by=card["made_by"],
        version=card["facexray_version"],
        commit=_commit(card),
        date=card["date"],
        machine=card["machine"],
        licence=card["licence"],
        calibration=_calibration(card["calibration"]),
        **card["thresholds"],
        reals=_reals(card.get("reals")),
        **card["xray"],
        scores=_scores(card["validation"]),
        settings=json.dumps(settings, indent=1),
    )


def validation_auc(card: dict[str, Any]) -> float:
    """AUC on the degraded validation set, of a run or of an export."""
    validation = card["validation"]
    return float(validation["auc_degraded"] if "auc_degraded" in validation else validation["degraded"]["AUC"])


def _lineage(card: dict[str, Any], told: list[dict[str, Any]]) -> list[str]:
    """What weights began from, who taught them, whose mean they are: a Markdown list, each one's own in it once."""
    name = card["settings"]["network"].get("pretrained")
    known = {None: "random weights", "hub": "timm's weights of its hub"}
    first = known[name] if name in known else f"the weights of `{Path(name).name}`"
    lines = [] if "pretrained" in card else [f"- begun from {first}"]
    others = [(f"begun from {first}", card.get("pretrained")), ("taught by", card.get("teacher"))]
    others += [("averaged with", other) for other in card.get("averaged_with", [])]
    for how, other in others:
        if other is None:
            continue
        backbone, auc = other["settings"]["network"]["backbone"], validation_auc(other)
        line = f"- {how}: {backbone}{_commit(other)}, iteration {other['iteration']}, validation AUC {auc:.3f}"
        if other in told:
            lines.append(f"{line}, told above")
        else:
            told.append(other)
            lines += [line, *(f"  {own}" for own in _lineage(other, told))]
    return lines


def _commit(card: dict[str, Any]) -> str:
    """From which commit the code was, where it was a checkout's."""
    return f", commit `{card['commit']}`" if card["commit"] else ""


def _calibration(calibration: dict[str, float] | None) -> str:
    if calibration is None:
        return "none: the score is pooled from the X-ray"
    return (
        "{scale:.3f} × the score's logit {shift:+.3f}, fitted on the validation sets, half of whose images are fake; "
        "expected calibration error {ece_before:.3f} before, {ece_after:.3f} after, on people whom the fit had not seen"
    ).format(**calibration)


def _reals(reals: dict[str, Any] | None) -> str:
    """Of the photographs that raised the threshold, beside the validation sets."""
    if reals is None:
        return ""
    return (
        f". Chosen on the validation sets and on {reals['faces']} more real photographs, of which "
        f"{reals['fake_by_validation']:.0%} would be called fake by the validation sets' threshold, and no more than "
        "5 % are now"
    )


def _scores(validation: dict[str, Any]) -> str:
    lines = ["| images | AUC | AP | EER |", "|---|---|---|---|"]
    for name, measures in validation.items():
        cells = [
            f"{measures[metric]:.3f} [{measures[f'{metric}_95'][0]:.3f}, {measures[f'{metric}_95'][1]:.3f}]"
            for metric in ("AUC", "AP", "EER")
        ]
        lines.append(f"| {measures['images']}, {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
