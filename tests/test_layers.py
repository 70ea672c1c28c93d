"""The layers: what a module may import, and what the base install does without."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import facexray

ROOT = Path(facexray.__file__).parent
LAYERS = [
    "errors",
    "locks",
    "provenance",
    "workers",
    "media",
    "images",
    "metrics",
    "faces",
    "blending",
    "runtime",
    "detection",
    "report",
    "training",
    "evaluation",
    "demonstration",
    "bench",
    "cli",
]
"""From the bottom up: a module imports only from layers above its own in this list, or from its own."""
TRAINING_ONLY = {"torch", "torchvision", "lightning", "timm", "safetensors", "onnx", "onnxscript"}
MAX_LINES = 300

MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")
EACH_MODULE = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())


def layer_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """Dotted names of all that a module imports, anywhere in it; `from a import b` gives a.b."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def module_name(path):
    return ".".join(["facexray", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


def test_there_is_something_to_check():
    assert len(MODULES) > 20
    assert "facexray.images" in {module_name(path) for path in MODULES}
    assert "facexray.faces.store.FaceStore" in imported(ROOT / "faces" / "neighbours.py")


@EACH_MODULE
def test_stands_in_a_known_layer(path):
    assert layer_of(path) in LAYERS, f"give {layer_of(path)!r} its place in LAYERS here and in the design"


@EACH_MODULE
def test_imports_only_from_layers_above(path):
    own = layer_of(path)
    above = LAYERS[: LAYERS.index(own)]
    for name in imported(path):
        package, *rest = name.split(".")
        if package == "facexray" and rest and rest[0] != own:
            assert rest[0] in above, f"{own} may not import {name}"


@EACH_MODULE
def test_only_training_needs_its_extra(path):
    needed = {name.split(".")[0] for name in imported(path)} & TRAINING_ONLY
    assert not needed or layer_of(path) == "training"


@EACH_MODULE
def test_is_at_most_300_lines_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_the_base_install_loads_no_torch():
    """Every module but those of training, and training's commands, which the command line imports."""
    names = [module_name(path) for path in MODULES if layer_of(path) != "training"]
    names += ["facexray", "facexray.training.command", "facexray.training.config"]
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        f"    loaded = {TRAINING_ONLY} & sys.modules.keys()\n"
        "    assert not loaded, f'{name} loads {loaded}'\n"
    )
    child = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
