"""The weights that ship with facexray, and their SHA-256."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

DEFAULT = "mobilenetv2_100.portraits"
"""What the name `default` stands for."""

SHA256 = {
    "mobilenetv2_100.portraits": "b0af24a868d3a71959aa23a52419a3edef286d330364c02a01404e5286e44452",
    "hrnet_w18_small.portraits": "d283ffa226d880697697cda16f66f4489e95f775b62eed2ed537bfb59975de6a",
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
