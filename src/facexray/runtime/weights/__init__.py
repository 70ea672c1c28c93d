"""The weights that ship with facexray, and their SHA-256."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

DEFAULT = "mobilenetv2_100.portraits"
"""What the name `default` stands for."""

SHA256 = {
    "mobilenetv2_100.portraits": "5eb7b9f999cadf16c6212d8209eca0888ff118f603027a4b551b4c80902a3ab8",
    "hrnet_w18_small.portraits": "ae51e29d2168c4e747d9a1a15f07ec275d91f1c445cc689db18b517959477330",
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
