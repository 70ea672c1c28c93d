"""The weights that ship with facexray, and their SHA-256."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

DEFAULT = "mobilenetv2_100.portraits"
"""What the name `default` stands for."""

SHA256 = {
    "mobilenetv2_100.portraits": "bceb4e192c13fd36c5d030bb1d14b63c23d9c373be60dc7c561624a11988a2c0",
    "hrnet_w18_small.portraits": "11e556e7c376a4c66c4ebb29c8cb67056988467c7b0f71028ecdf949913cae8b",
}
"""Every shipped model by its name, `architecture.data`; its file is `{name}.onnx`, its card `{name}.md`;
for PyTorch the same weights are `{name}.safetensors`."""


def shipped_path(name: str) -> Path:
    """The ONNX file of a shipped model."""
    return Path(str(files(__name__).joinpath(f"{name}.onnx")))
