"""The weights that ship with facexray, and their SHA-256."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

DEFAULT = "mobilenetv2_100.portraits"
"""What the name `default` stands for."""

SHA256 = {
    "mobilenetv2_100.portraits": "642db30c4b66bb2311e0ece3b497682b9211c4707ca9fde9298e12d4be0e5c3b",
    "hrnet_w18_small.portraits": "485a6e654151a1a0018843fba66720d324554d14b478066949d895bb4ce3d61c",
}
"""Every shipped model by its name, `architecture.data`; its file is `{name}.onnx`, its card `{name}.md`;
for PyTorch the same weights are `{name}.safetensors`."""


def shipped_name(model: str | Path) -> str | None:
    """Which shipped model is meant, by its name or by `default`; None where it must be a file."""
    name = DEFAULT if str(model) == "default" else str(model)
    return name if name in SHA256 else None


def shipped_path(name: str) -> Path:
    """The ONNX file of a shipped model."""
    return Path(str(files(__name__).joinpath(f"{name}.onnx")))


def model_path(model: str | Path) -> Path:
    """The path that is meant: a shipped model's file, by its name or by `default`, or the path itself."""
    name = shipped_name(model)
    return shipped_path(name) if name else Path(model)
