"""What a run keeps: `last.ckpt` to go on from; `best.safetensors` and `last.safetensors` to use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from facexray.errors import ModelError
from facexray.images import write_bytes
from facexray.provenance import plain
from facexray.runtime.card import ANCESTRY, METADATA_KEY, read_card, write_card
from facexray.runtime.weights import model_path, shipped_name
from facexray.training.calibration import Calibration, uncalibrate
from facexray.training.config import NetworkConfig
from facexray.training.network import FaceXrayNet

STATE = ("net", "average", "optimizer", "precision", "rng", "progress", "about")
"""What a training state holds."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a training state whole or not at all: a kill or a full disk leaves the last good one.

    Raises:
        ModelError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        torch.save(state, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch turns a full disk into the latter
        good = "the last good checkpoint is still there" if path.exists() else "there is no earlier one"
        raise ModelError(
            f"{path}: cannot be written ({error}); {good}: free space and go on with --resume auto"
        ) from error
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
    missing = set(STATE) - set(state if isinstance(state, dict) else ())
    if missing:
        raise ModelError(f"{path}: not a checkpoint that can be resumed (it lacks {', '.join(sorted(missing))})")
    return state


def check_resumable(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Where and how often the loop runs may change between sessions; what it computes may not.

    Raises:
        ModelError: It has changed; names what.
    """
    before, now = (_computed(plain(about)) for about in (old, new))
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if changed:
        raise ModelError(
            f"{path}: was made with another {', '.join(changed)}; give the same to go on, or another folder to begin "
            "anew (a store that has grown is another one)"
        )


def _computed(about: dict[str, Any]) -> dict[str, Any]:
    """What decides the numbers of a run, by the names that errors give it."""
    settings, data = dict(about["settings"]), about["data"]
    run, seed = settings.pop("run"), settings.pop("seed")
    return {
        **{f"{group}.{name}": value for group, named in settings.items() for name, value in named.items()},
        "seed": seed,
        "run.validation_pairs": run["validation_pairs"],
        "store": data["faces_sha256"],
        "val_store": data["validation_faces_sha256"],
        "grouping of the store's faces into people": data.get("people_sha256"),
        "grouping of the val_store's faces into people": data.get("validation_people_sha256"),
        "data.fakes": data.get("given_fakes_sha256"),
        "optim.teacher": about.get("teacher"),
    }


def save_model(path: Path, net: FaceXrayNet, card: dict[str, Any]) -> None:
    """Write a network and its card as one file, so that a kill leaves no weights under another's card.

    Args:
        path: The `.safetensors` file, or the folder of a run, whose `best.safetensors` it then is.
        net: The network.
        card: What it is; JSON in the file's metadata.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    write_bytes(_model_file(path), save(weights, {METADATA_KEY: write_card(card)}))


def load_model(path: Path) -> tuple[FaceXrayNet, dict[str, Any]]:
    """Read what `save_model` wrote: the network, in evaluation mode, and its card.

    Args:
        path: As for `save_model`, the `.onnx` file that the weights stand beside, or the name of a model that ships.

    Raises:
        ModelError: No such file, not one of ours or damaged, or the weights fit another network than the card says.
    """
    file = _model_file(model_path(path))
    try:
        with safe_open(file, "pt") as stored:
            card: dict[str, Any] = read_card((stored.metadata() or {})[METADATA_KEY])
            weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        net = FaceXrayNet(NetworkConfig(**{**card["settings"]["network"], "pretrained": None}))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ModelError(f"{file}: no trained network here ({error}); make one with: facexray train") from error
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"{file}: the weights fit another network than the file's card says ({error})") from error
    return net.eval(), card


def load_mean(runs: Sequence[Path]) -> tuple[FaceXrayNet, dict[str, Any]]:
    """The network whose weights and BatchNorm statistics are the means over runs, in evaluation mode, and its card.

    Runs that went on from one model can judge better together than each alone: Izmailov et al., Averaging weights
    leads to wider optima (UAI 2018); Wortsman et al., Model soups (ICML 2022).

    Args:
        runs: One or more, each as for `load_model`. The card is the first's, and names the others. What several have
            of exports' calibration is taken out first.

    Raises:
        ModelError: As `load_model`; or they are of different networks, or were validated on different faces.
    """
    (net, card), *others = map(load_model, runs)
    for path, (other, own) in zip(runs[1:], others, strict=True):
        one, two = (_kind(part.config) for part in (net, other))
        if one != two:
            raise ModelError(f"{path}: is {two}, and {runs[0]} is {one}")
        if own["data"]["validation_faces_sha256"] != card["data"]["validation_faces_sha256"]:
            raise ModelError(
                f"{path}: was validated on other faces than {runs[0]}, and may have learned from those: "
                "train both with the same stores"
            )
    if others:
        for trained, own in ((net, card), *others):
            if own.get("calibration"):  # an export's class head has it inside, and the mean gets its own
                uncalibrate(trained, Calibration(**own["calibration"]))
        states = [net.state_dict(), *(other.state_dict() for other, _ in others)]
        net.load_state_dict({name: torch.stack([s[name].double() for s in states]).mean(0) for name in states[0]})
        card = {**card, "averaged_with": [origin(own) for _, own in others]}
    return net, card


def begin(config: NetworkConfig) -> tuple[FaceXrayNet, dict[str, Any] | None]:
    """The network that a training begins with, and what the model of ours is that it goes on from, if any.

    Raises:
        SettingsError: timm has no such backbone, or its hub cannot be reached.
        ModelError: The file of weights is damaged, or of another network.
    """
    path = _our_model(config.pretrained)
    if path is None:
        return FaceXrayNet(config), None
    trained, card = load_model(path)
    wanted, found = (_kind(part) for part in (config, trained.config))
    if wanted != found:
        raise ModelError(
            f"{path}: is {found}, and the settings say {wanted}: give network.backbone and network.class_head as it "
            "has them"
        )
    net = FaceXrayNet(replace(config, pretrained=None))
    net.load_state_dict(trained.state_dict())
    return net, origin(card)


def _kind(config: NetworkConfig) -> str:
    """What must be the same for weights to fit: the pyramid and the heads."""
    return f"a {config.backbone} with the class head {config.class_head}"


def origin(card: dict[str, Any]) -> dict[str, Any]:
    """What the card of a model that learns from this one says of it."""
    names = ("commit", "iteration", "validation", "settings", "licence", *ANCESTRY)
    return {name: card[name] for name in names if name in card}


def _our_model(pretrained: str | None) -> Path | None:
    """What `load_model` takes, where `network.pretrained` names a whole trained model of ours."""
    if pretrained is None or pretrained == "hub":
        return None
    path = Path(pretrained)
    if shipped_name(path) or path.is_dir():
        return path
    try:
        with safe_open(path, "pt") as stored:
            return path if METADATA_KEY in (stored.metadata() or {}) else None
    except (OSError, SafetensorError):  # a .pth, or what `load_backbone` says more of
        return None


def _model_file(path: Path) -> Path:
    return path.with_suffix(".safetensors") if path.suffix in (".safetensors", ".onnx") else path / "best.safetensors"
