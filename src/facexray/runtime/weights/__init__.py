"""The weights that ship with facexray, and their SHA-256."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

DEFAULT = "mobilenetv2_100.portraits"
"""What the name `default` stands for."""

SHA256 = {
    "mobilenetv2_100.portraits": "67c0c70b5ca2c38c35e193484c1d5abed2b45965d0c9ac1764faaa3e000a0b8c",
    "hrnet_w18_small.portraits": "3830a280a362965d53f41a2b88bd2e2c282e57e0e276fc173028548db9823f36",
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
