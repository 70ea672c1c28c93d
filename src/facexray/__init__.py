"""facexray: learn from real photographs alone where a face was blended in, and show it.

Each command of the command line is a function of the same name here, with the same options:

    import facexray
    facexray.prepare("photos", "store")
    facexray.Detector().image("photo.jpg").verdict
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facexray.bench.blend import bench_blend
    from facexray.bench.detect import bench_detect
    from facexray.bench.train import bench_train
    from facexray.blending.command import blend
    from facexray.blending.config import BlendConfig
    from facexray.demonstration import demo
    from facexray.detection.detector import Detector
    from facexray.errors import FaceXrayError
    from facexray.evaluation.command import evaluate
    from facexray.evaluation.compare import compare
    from facexray.faces.aligned import landmarks
    from facexray.faces.embedding import identify
    from facexray.faces.prepare import prepare
    from facexray.faces.store import FaceStore
    from facexray.report.command import detect
    from facexray.runtime.model import XrayModel
    from facexray.training.command import export, push, train, validate

__version__ = version("facexray")

_HOMES = {
    "BlendConfig": "facexray.blending.config",
    "Detector": "facexray.detection.detector",
    "FaceStore": "facexray.faces.store",
    "FaceXrayError": "facexray.errors",
    "XrayModel": "facexray.runtime.model",
    "bench_blend": "facexray.bench.blend",
    "bench_detect": "facexray.bench.detect",
    "bench_train": "facexray.bench.train",
    "blend": "facexray.blending.command",
    "compare": "facexray.evaluation.compare",
    "demo": "facexray.demonstration",
    "detect": "facexray.report.command",
    "evaluate": "facexray.evaluation.command",
    "export": "facexray.training.command",
    "identify": "facexray.faces.embedding",
    "landmarks": "facexray.faces.aligned",
    "prepare": "facexray.faces.prepare",
    "push": "facexray.training.command",
    "train": "facexray.training.command",
    "validate": "facexray.training.command",
}

__all__ = [
    "BlendConfig",
    "Detector",
    "FaceStore",
    "FaceXrayError",
    "XrayModel",
    "bench_blend",
    "bench_detect",
    "bench_train",
    "blend",
    "compare",
    "demo",
    "detect",
    "evaluate",
    "export",
    "identify",
    "landmarks",
    "prepare",
    "push",
    "train",
    "validate",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: `import facexray` itself costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'facexray' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
