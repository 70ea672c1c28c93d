"""An exported model → the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import CommitOperationAdd, HfApi, get_token
from safetensors import SafetensorError, safe_open

from facexray.errors import ModelError, SettingsError
from facexray.runtime.card import METADATA_KEY, read_card
from facexray.runtime.model import XrayModel

TAGS = ["face-x-ray", "deepfake-detection", "face-forgery-detection", "onnx", "safetensors"]


def push_model(model: Path, repo: str) -> str:
    """Push an exported model; see `facexray.training.command.push`."""
    weights, text = model.with_suffix(".safetensors"), model.with_suffix(".md")
    readme = _front_matter(_checked_card(model, weights, text)) + text.read_text(encoding="utf-8")
    if not get_token():
        raise SettingsError(
            "no token for the Hugging Face hub: make one that may write at https://huggingface.co/settings/tokens, "
            "and give it to: hf auth login (or set HF_TOKEN)"
        )
    api = HfApi(library_name="facexray")
    files: dict[str, Path | bytes] = {model.name: model, weights.name: weights, "README.md": readme.encode()}
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    try:
        url = str(api.create_repo(repo, exist_ok=True))
        api.create_commit(repo, operations, commit_message=f"Push {model.stem}")
    except Exception as error:  # the hub's client and its network library raise nearly anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SettingsError(
            f"{repo}: the Hugging Face hub did not take the model ({reason}); check the network, the name "
            "(OWNER/NAME), and that the token may write there"
        ) from error
    return url


def _checked_card(model: Path, weights: Path, text: Path) -> dict[str, Any]:
    """The card of a model, where its weights and its card's text are of the same export."""
    loaded = XrayModel.load(model)
    card: Any = None
    try:
        with safe_open(weights, "np") as stored:
            card = read_card((stored.metadata() or {})[METADATA_KEY])
        of_one_export = card == loaded.card and loaded.sha256 in text.read_text(encoding="utf-8")
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"{model}: {weights.name} and {text.name} must stand beside it as export wrote them ({error}); "
            "export the run again"
        ) from error
    if not of_one_export:
        raise ModelError(f"{model}: {weights.name} or {text.name} is of another export; export the run again")
    return loaded.card


def _front_matter(card: dict[str, Any]) -> str:
    """What the hub reads of a card: the licence, what the model is for, and its scores."""
    results = [
        {
            "task": {"type": "image-classification", "name": "Face forgery detection"},
            "dataset": {"type": "blended", "name": f"blended images, {name} (validation)"},
            "metrics": [{"type": metric.lower(), "name": metric, "value": scores[metric]} for metric in ("AUC", "AP")],
        }
        for name, scores in card["validation"].items()
    ]
    data = {
        "license": card["licence"],
        "library_name": "facexray",
        "pipeline_tag": "image-classification",
        "tags": TAGS,
        "model-index": [{"name": card["name"], "results": results}],
    }
    return f"---\n{yaml.safe_dump(data, sort_keys=False, allow_unicode=True)}---\n\n"
