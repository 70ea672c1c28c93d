"""The weights that ship with facexray, and their SHA-256."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

DEFAULT = "hrnet_w18_small.bi_portraits"
"""What the name `default` stands for."""

SHA256 = {
    "hrnet_w18_small.bi_portraits": "8140e548af120d2f4f938a3cbf4eb5e06e9a3140bb2938847c7da92618f93070",
}
"""Every shipped model by its name, `architecture.data`; its file is `{name}.onnx`, its card `{name}.md`."""


def shipped_path(name: str) -> Path:
    """The ONNX file of a shipped model."""
    return Path(str(files(__name__).joinpath(f"{name}.onnx")))
