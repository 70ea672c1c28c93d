"""The weights that ship with facexray, and their SHA-256."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

DEFAULT = "mobilenetv2_100.portraits"
"""What the name `default` stands for."""

SHA256 = {
    "mobilenetv2_100.portraits": "2077dce6116b1c7cbe80a46f2ca7ae5bbface6701fdbf7b5e5f78e3d5b3103ce",
    "hrnet_w18_small.portraits": "fcabe9a5487e89951bb5d62fb6a8a86a89b8c7337af5b7f19628f0116dfca5f9",
}
"""Every shipped model by its name, `architecture.data`; its file is `{name}.onnx`, its card `{name}.md`;
for PyTorch the same weights are `{name}.safetensors`."""


def shipped_path(name: str) -> Path:
    """The ONNX file of a shipped model."""
    return Path(str(files(__name__).joinpath(f"{name}.onnx")))
