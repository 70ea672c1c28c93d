"""The model card as a person reads it."""

from __future__ import annotations

import json
from typing import Any

from facexray.blending.config import weights_of
from facexray.detection import WORTH

TEXT = """# {name}

Sees where a face was blended into a photograph, and scores how likely one was. {worth}

| | |
|---|---|
| file | `{name}.onnx`, SHA-256 `{sha256}` |
| input | `views`: (N, 3, 256, 256) float32 RGB in [0, 1], cut as {convention}; normalisation inside |
| output | `xray`: (N, 256, 256) predicted Face X-ray in [0, 1]; `score`: (N,) probability of fake |
| network | {backbone}, class head: {class_head}, from random weights |
| photographs | {photographs} |
| learned from | {faces} real faces, blended as they were needed ({mode}); seed {seed} |
| iterations | {iterations} of {batch_size} images; the weights are those of {iteration}, the best on validation |
| validated on | {validation_faces} real faces of people not trained on, and forgeries blended from them |
| made by | `{made_by}`, version {version}, commit `{commit}`, {date}, {machine} |
| thresholds | real below {real_below}, fake above {fake_above}; in between: cannot tell |

## Scores on the validation set, with 95 % intervals over its faces

{scores}

The validation set chose the iteration and the thresholds, so these scores lean towards the better. Its
forgeries come from the same generator as the training's; forgeries of other makes may be seen worse, or not at
all. Forgeries without a blend, such as faces generated whole, leave no trace that this model looks for.

## Settings

```json
{settings}
```
"""


def card_text(card: dict[str, Any], sha256: str) -> str:
    """The model card as Markdown, from the card inside the ONNX file."""
    settings, data = card["settings"], card["data"]
    return TEXT.format(
        name=card["name"],
        worth=WORTH,
        sha256=sha256,
        convention=", ".join(f"{key} {value}" for key, value in card["convention"].items()),
        **settings["network"],
        photographs=card["photographs"],
        faces=data["faces"],
        validation_faces=data["validation_faces"],
        mode=" and ".join(weights_of(settings["blending"]["mode"])),
        iterations=settings["optim"]["iterations"],
        batch_size=settings["optim"]["batch_size"],
        seed=settings["seed"],
        iteration=card["iteration"],
        made_by=card["made_by"],
        version=card["facexray_version"],
        commit=card["commit"],
        date=card["date"],
        machine=card["machine"],
        **card["thresholds"],
        scores=_scores(card["validation"]),
        settings=json.dumps(settings, indent=1),
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
