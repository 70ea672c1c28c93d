"""The weights that ship with facexray, and their SHA-256."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

DEFAULT = "hrnet_w18_small.bi_portraits"
"""What the name `default` stands for."""

SHA256 = {
    "hrnet_w18_small.bi_portraits": "926670fa3be0337c1e7dec901d16efe6741c33ef1467702d04207ee849ae3da5",
}
"""Every shipped model by its name, `architecture.data`; its file is `{name}.onnx`, its card `{name}.md`."""


def shipped_path(name: str) -> Path:
    """The ONNX file of a shipped model."""
    return Path(str(files(__name__).joinpath(f"{name}.onnx")))
