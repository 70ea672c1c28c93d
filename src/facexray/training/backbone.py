"""Backbones of timm's, as feature maps, and the files that their first weights come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from facexray.errors import ModelError, SettingsError
from facexray.faces.crop import VIEW_SIZE
from facexray.training.config import NetworkConfig

FINEST = 4
"""Feature maps of a smaller stride are left out: the X-ray is predicted at a quarter of the view's side."""


def make_backbone(config: NetworkConfig) -> tuple[Any, list[int]]:
    """A backbone that maps views (N, 3, 256, 256) to a list of (N, C, H, W), finest first, and the list of the C.

    Raises:
        SettingsError: timm has no such network, or it gives no feature maps; or its hub cannot be reached.
        ModelError: The file of weights is damaged, or of another network.
    """
    hub = config.pretrained == "hub"
    try:
        backbone = _feature_maps(config.backbone, pretrained=hub)
    except Exception as error:  # timm and its hub raise nearly anything
        raise SettingsError(
            f"network: no backbone {config.backbone!r}{' with weights of the hub' if hub else ''} ({error}); "
            f"known are, for instance: {', '.join(timm.list_models('hrnet_*'))}"
        ) from error
    if config.pretrained and not hub:
        load_backbone(backbone, config.backbone, Path(config.pretrained))
    return backbone, list(backbone.feature_info.channels())


def _feature_maps(name: str, pretrained: bool) -> Any:
    options: dict[str, Any] = {"features_only": True, "pretrained": pretrained}
    if name.startswith("hrnet_"):
        options["feature_location"] = ""  # the four branches themselves, without the classifier's wider ones
    elif getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False):
        options["img_size"] = VIEW_SIZE
    probe: Any = timm.create_model(name, **{**options, "pretrained": False})
    strides = probe.feature_info.reduction()
    if strides[0] < FINEST:
        options["out_indices"] = [index for index, stride in enumerate(strides) if stride >= FINEST]
    return timm.create_model(name, **options)


def load_backbone(backbone: Any, name: str, path: Path) -> None:
    """Load a backbone's weights from a file; only those of the architecture's classifier may go unused.

    Args:
        backbone: Of `make_backbone`.
        name: Its name in timm.
        path: `.safetensors`, or a `.pth` of tensors, which is read without running code from it.

    Raises:
        ModelError: The file is missing, damaged or of another network; the message lists what does not match.
    """
    found = _read_weights(path)
    inner = getattr(backbone, "model", backbone)  # a ViT stands inside what reads its features
    wanted = inner.state_dict()
    whole = timm.create_model(name).state_dict()
    if "features.0.0.weight" in found and name.startswith("mobilenetv2"):
        # torchvision's names; both list the same layers in the same order.
        found = dict(zip(whole, found.values(), strict=len(whole) == len(found)))
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}
    missing = wanted.keys() - found.keys() - counters
    strange = found.keys() - whole.keys() - wanted.keys()
    wrong = [
        f"{key} is {tuple(found[key].shape)}, not {tuple(wanted[key].shape)}"
        for key in wanted.keys() & found.keys()
        if found[key].shape != wanted[key].shape
    ]
    if missing or strange or wrong:
        faults = {"missing": missing, "unknown": strange, "of another shape": wrong}
        raise ModelError(
            f"{path}: not the weights of {name}: "
            + "; ".join(f"{len(keys)} {fault}: {_some(keys)}" for fault, keys in faults.items() if keys)
        )
    inner.load_state_dict({**{key: wanted[key] for key in counters}, **{k: found[k] for k in wanted if k in found}})


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            weights: Any = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        if "state_dict" in weights:
            weights = weights["state_dict"]
        if not all(isinstance(value, Tensor) for value in weights.values()):
            raise TypeError("it holds more than tensors")
    except Exception as error:  # torch.load raises nearly anything on a damaged file
        raise ModelError(f"{path}: no weights to begin from ({error})") from error
    return {key.removeprefix("module."): value for key, value in weights.items()}


def _some(keys: Any, most: int = 20) -> str:
    ordered = sorted(keys)
    return ", ".join(ordered[:most]) + (f", … ({len(ordered) - most} more)" if len(ordered) > most else "")


def norms(backbone: nn.Module) -> list[nn.Module]:
    """The normalisation layers."""
    kinds = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
    return [module for module in backbone.modules() if isinstance(module, kinds)]
