"""An X-ray model behind one call, on any of the engines."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facexray.errors import ModelError
from facexray.faces.crop import CROP_SIZE, FACE_MARGIN, VIEW_SIZE
from facexray.images import printable
from facexray.runtime.card import METADATA_KEY, read_card
from facexray.runtime.engines import EngineName, load_engine
from facexray.runtime.metadata import read_metadata
from facexray.runtime.weights import SHA256, model_path, shipped_name

CONVENTION = {"crop_size_px": CROP_SIZE, "face_margin": FACE_MARGIN, "view_size_px": VIEW_SIZE}
"""The crop convention that a model must have been trained with."""
BATCH = 16
"""Views that go through the network at once."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of N views."""

    scores: NDArray[np.float32]
    """(N,) probability of fake."""
    xrays: NDArray[np.float32]
    """(N, 256, 256) predicted Face X-rays, in [0, 1]."""


@dataclass(frozen=True)
class Thresholds:
    """Where a score becomes a verdict; between the two nothing can be told."""

    real_below: float
    fake_above: float


class XrayModel:
    """A trained model. `XrayModel.load()` gives the one that ships. Not to be shared between threads."""

    def __init__(self, data: bytes, name: str, engine: EngineName = "onnxruntime", path: Path | None = None) -> None:
        """Load a model from the bytes of an ONNX file.

        Args:
            data: The file's bytes.
            name: What errors and reports call the model.
            engine: What runs it; see `load`.
            path: The file; the engine torch reads the weights beside it.

        Raises:
            ModelError: Not ONNX, not exported by facexray, or trained with another crop convention.
            MissingExtraError: The engine is not installed.
        """
        metadata = read_metadata(data, name)
        try:
            self.card: dict[str, Any] = read_card(metadata[METADATA_KEY])
            convention = self.card["convention"]
            self.thresholds = Thresholds(**self.card["thresholds"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{name}: not a model that facexray exported (its card is missing or broken); "
                "make one with facexray export"
            ) from error
        if convention != CONVENTION:
            raise ModelError(f"{name}: was trained on faces cut as {convention}; this version cuts {CONVENTION}")
        self._engine = load_engine(engine, data, name, path, self.card)
        self.engine = f"{self._engine.name}, {self._engine.precision}"
        """What runs it, for reports: the engine and the precision in which it computes."""
        self.name = printable(name)
        self.sha256 = hashlib.sha256(data).hexdigest()

    @classmethod
    def load(cls, model: str | Path = "default", engine: EngineName = "onnxruntime") -> XrayModel:
        """Load a model by the path of its file, or by the name of one that ships.

        Args:
            model: The file, or the name.
            engine: What runs it. onnxruntime, which is always there, computes in fp32, on a GPU where its CUDA
                provider is installed and finds one; openvino computes in bf16 where the CPU does, else in fp32; torch
                runs the weights that stand beside the file as .safetensors. auto is openvino where it is installed,
                else onnxruntime. Their results agree within `facexray.runtime.engines.TOLERANCE`.

        Raises:
            ModelError: No such model, or not ours, or a shipped file that was changed.
            MissingExtraError: The engine is not installed.
        """
        name, path = shipped_name(model), model_path(model)
        try:
            data = path.read_bytes()
        except OSError as error:
            known = ", ".join(["default", *SHA256])
            raise ModelError(f"{model}: no such model ({error.strerror}); name a file, or one of: {known}") from error
        if name and hashlib.sha256(data).hexdigest() != SHA256[name]:
            raise ModelError(f"{path}: is not the file that was shipped (its SHA-256 differs); install facexray again")
        return cls(data, name or path.name, engine, path)

    def predict(self, views: NDArray[np.uint8]) -> Prediction:
        """Score views (N, 256, 256, 3) uint8 RGB, and predict their Face X-rays."""
        scores = [np.zeros(0, np.float32)]
        xrays = [np.zeros((0, VIEW_SIZE, VIEW_SIZE), np.float32)]
        for start in range(0, len(views), BATCH):
            batch = np.ascontiguousarray(views[start : start + BATCH].transpose(0, 3, 1, 2), np.float32)
            batch /= 255
            xray, score = self._engine.run(batch)
            xrays.append(xray)
            scores.append(score)
        return Prediction(np.concatenate(scores), np.concatenate(xrays))
