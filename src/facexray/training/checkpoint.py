"""What a run keeps: `last.ckpt` to go on from, `best.safetensors` and `best.json` to use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from facexray.errors import ModelError
from facexray.images import write_bytes
from facexray.training.config import NetworkConfig
from facexray.training.network import FaceXrayNet


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a training state whole or not at all: a kill or a full disk leaves the last good one."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        torch.save(state, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote, without running code from it.

    Raises:
        ModelError: Missing, damaged, or not a checkpoint.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises nearly anything on a damaged file
        raise ModelError(f"{path}: not a checkpoint that can be resumed ({error})") from error
    missing = {"net", "optimizer", "progress", "about"} - set(state if isinstance(state, dict) else ())
    if missing:
        raise ModelError(f"{path}: not a checkpoint that can be resumed (it lacks {', '.join(sorted(missing))})")
    return state


def save_model(folder: Path, net: FaceXrayNet, card: dict[str, Any]) -> None:
    """Write `best.safetensors` and, beside it, what it is: `best.json`."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    write_bytes(folder / "best.safetensors", save(weights))
    write_bytes(folder / "best.json", json.dumps(card, indent=2, ensure_ascii=False).encode())


def load_model(folder: Path) -> tuple[FaceXrayNet, dict[str, Any]]:
    """The best network of a run, and its card.

    Raises:
        ModelError: The folder holds no run, or the weights fit another network.
    """
    try:
        card: dict[str, Any] = json.loads((folder / "best.json").read_text(encoding="utf-8"))
        network = NetworkConfig(**{**card["settings"]["network"], "pretrained": None})
        net = FaceXrayNet(network)
        weights = load_file(folder / "best.safetensors")
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ModelError(f"{folder}: no trained run here ({error}); make one with: facexray train") from error
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"{folder}: the weights fit another network than best.json says ({error})") from error
    return net.eval(), card
