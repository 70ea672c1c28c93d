"""Backbones of timm's, as feature maps, and the files that their first weights come from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision  # type: ignore[import-untyped]
from safetensors.torch import load_file
from torch import Tensor, nn

from facexray.errors import ModelError, SettingsError
from facexray.faces.crop import VIEW_SIZE
from facexray.training.config import NetworkConfig
from facexray.training.depthwise import quicken_depthwise

FINEST = 4
"""Feature maps of a smaller stride are left out: the X-ray is predicted at a quarter of the view's side."""
NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
"""The normalisation layers; timm's own are of these kinds."""


def make_backbone(config: NetworkConfig) -> tuple[Any, list[int]]:
    """A backbone that maps views (N, 3, 256, 256) to a list of (N, C, H, W), finest first, and the list of the C.

    Raises:
        SettingsError: timm has no such network, it gives no feature maps, or its hub cannot be reached.
        ModelError: The file of weights is damaged, or of another network.
    """
    name = config.backbone
    if not timm.is_model(name) or ("." in name and not timm.is_model_pretrained(name)):  # after a dot: which weights
        near = get_close_matches(name, [*timm.list_models(), *timm.list_models(pretrained=True)], 3)
        known = [*near, *timm.list_models("hrnet_*")]
        raise SettingsError(f"network.backbone: timm has no {name!r}; it has, for instance: {', '.join(known)}")
    options = _feature_options(name)
    if config.pretrained == "hub":
        backbone = _from_hub(options)
    else:
        backbone = timm.create_model(**options)
        if config.pretrained is not None:
            load_backbone(backbone, name, Path(config.pretrained))
    quicken_depthwise(backbone)
    return backbone, list(backbone.feature_info.channels())


@cache
def _feature_options(name: str) -> Mapping[str, Any]:
    """What timm must be told for a network's feature maps of views, and where it can, of other sizes."""
    if name.startswith("hrnet_"):
        ways: list[dict[str, Any]] = [{"feature_location": ""}]  # the branches, without the classifier's wider ones
    elif getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False):
        ways = [{"dynamic_img_size": True, "dynamic_img_pad": True}, {"img_size": VIEW_SIZE}]
    else:
        ways = [{}]
    for way in ways:
        try:
            return _tried({"model_name": name, "features_only": True, **way})
        except Exception as error:  # a network that was made for something else raises nearly anything
            reason = error
    raise SettingsError(
        f"network.backbone: {name} gives no feature maps (N, C, H, W) of views of {VIEW_SIZE} px ({reason}); "
        "choose an HRNet, another pyramid of convolutions, or a ViT"
    ) from reason


def _tried(options: dict[str, Any]) -> dict[str, Any]:
    """The options, with the indices of the feature maps to keep, after a trial without memory or arithmetic."""
    with torch.device("meta"):
        info: Any = timm.create_model(**options).feature_info
        strides = zip(info.out_indices, info.reduction(), strict=True)
        options = {**options, "out_indices": [index for index, stride in strides if stride >= FINEST]}
        backbone: Any = timm.create_model(**options).eval()
        shapes = [tuple(m.shape) for m in backbone(torch.zeros(1, 3, VIEW_SIZE, VIEW_SIZE))]
    channels = backbone.feature_info.channels()
    if [(len(shape), shape[1]) for shape in shapes] != [(4, c) for c in channels]:
        raise ValueError(f"it gives {shapes}, with C {channels}")
    return options


def _from_hub(options: Mapping[str, Any]) -> Any:
    try:
        return timm.create_model(**options, pretrained=True)
    except Exception as error:  # the hub raises nearly anything
        raise SettingsError(
            f"network.pretrained: timm's hub gave no weights of {options['model_name']} ({_first_line(error)}); fetch "
            "them where there is a network, and name the file: --network.pretrained model.safetensors"
        ) from error


def load_backbone(backbone: Any, name: str, path: Path) -> None:
    """Load a backbone's weights from a file; only those of the architecture's classifier may go unused.

    Args:
        backbone: Of `make_backbone`.
        name: Its name in timm.
        path: `.safetensors`, or a `.pth` of tensors, which is read without running code from it. Its names are
            timm's, which for an HRNet are the official ones, or torchvision's for mobilenetv2_100.

    Raises:
        ModelError: The file is missing, damaged or of another network; the message lists what does not match.
    """
    inner = getattr(backbone, "model", backbone)  # a ViT stands inside what reads its features
    state = inner.state_dict()
    with torch.device("meta"):
        whole = list(timm.create_model(name).state_dict())
    names = {_flat(key): key for key in [*whole, *state]}
    if name.partition(".")[0] == "mobilenetv2_100":  # torchvision's has the same layers in the same order
        with torch.device("meta"):
            names.update(zip(map(_flat, torchvision.models.mobilenet_v2().state_dict()), whole, strict=True))
    found = {names.get(_flat(key), key): value for key, value in _read_weights(path).items()}
    common = state.keys() & found.keys()
    faults = {
        "missing": {key for key in state.keys() - common if not key.endswith("num_batches_tracked")},
        "unknown": found.keys() - names.values(),
        "of another shape": {
            f"{key} {tuple(found[key].shape)}, not {tuple(state[key].shape)}"
            for key in common
            if found[key].shape != state[key].shape
        },
        "not finite": {key for key in common if not found[key].isfinite().all()},
    }
    if any(faults.values()):
        listed = "; ".join(f"{len(keys)} {fault}: {_some(keys)}" for fault, keys in faults.items() if keys)
        raise ModelError(f"{path}: not the weights of {name}: {listed}")
    inner.load_state_dict({**state, **{key: found[key] for key in common}})


def _flat(key: str) -> str:
    """A weight's name without its dots, some of which timm's feature nets replace: stages.0 becomes stages_0."""
    return key.replace(".", "_")


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            weights: Any = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
            if isinstance(weights, dict) and isinstance(weights.get("state_dict"), dict):
                weights = weights["state_dict"]  # a checkpoint of HRNet's tools/train.py, and of many others
    except Exception as error:  # torch.load raises nearly anything on a damaged file
        raise ModelError(
            f"{path}: cannot be read as weights ({_first_line(error)}); network.pretrained is hub, or a .safetensors "
            "or .pth file that holds tensors alone"
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        holds = _some([str(key) for key in weights]) if isinstance(weights, dict) else f"a {type(weights).__name__}"
        raise ModelError(f"{path}: holds {holds}; a dictionary of names and tensors was expected")
    return {key.removeprefix("module."): value for key, value in weights.items()}


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _some(keys: Collection[str], most: int = 20) -> str:
    ordered = sorted(keys)
    return ", ".join(ordered[:most]) + (f", … ({len(ordered) - most} more)" if len(ordered) > most else "")


def tune_norms(backbone: nn.Module, name: str) -> None:
    """Let nothing of a backbone learn but its normalisation layers.

    Raises:
        SettingsError: It has none.
    """
    norms = [module for module in backbone.modules() if isinstance(module, NORMS)]
    if not norms:
        raise SettingsError(f"network.tune: {name} has no normalisation layers to tune; say all, or choose another")
    backbone.requires_grad_(False)
    for norm in norms:
        norm.requires_grad_(True)
