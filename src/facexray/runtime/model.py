"""An X-ray model behind one call, on ONNX Runtime."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from facexray.errors import ModelError
from facexray.faces.crop import CROP_SIZE, FACE_MARGIN, VIEW_SIZE
from facexray.runtime.weights import DEFAULT, SHA256, shipped_path

METADATA_KEY = "facexray"
"""Key of the model card in the ONNX file's metadata."""
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
    """A trained model. `XrayModel.load()` gives the one that ships."""

    def __init__(self, data: bytes, name: str) -> None:
        """Load a model from the bytes of an ONNX file.

        Raises:
            ModelError: Not ONNX, not exported by facexray, or trained with another crop convention.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises its own unrelated exceptions
            first_line = str(error).splitlines()[0]
            raise ModelError(f"{name}: not an ONNX model that can be loaded ({first_line})") from error
        try:
            self.card: dict[str, Any] = json.loads(self._session.get_modelmeta().custom_metadata_map[METADATA_KEY])
            convention = self.card["convention"]
            self.thresholds = Thresholds(**self.card["thresholds"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{name}: not a model that facexray exported (its card is missing or broken); "
                "make one with facexray export"
            ) from error
        if convention != CONVENTION:
            raise ModelError(f"{name}: was trained on faces cut as {convention}; this version cuts {CONVENTION}")
        self.name = name
        self.sha256 = hashlib.sha256(data).hexdigest()

    @classmethod
    def load(cls, model: str | Path = "default") -> XrayModel:
        """Load a model by the path of its file, or by the name of one that ships.

        Raises:
            ModelError: No such model, or not ours, or a shipped file that was changed.
        """
        name = DEFAULT if str(model) == "default" else str(model)
        path = shipped_path(name) if name in SHA256 else Path(model)
        try:
            data = path.read_bytes()
        except OSError as error:
            known = ", ".join(["default", *SHA256])
            raise ModelError(f"{model}: no such model ({error.strerror}); name a file, or one of: {known}") from error
        loaded = cls(data, name if name in SHA256 else path.name)
        if name in SHA256 and loaded.sha256 != SHA256[name]:
            raise ModelError(f"{path}: is not the file that was shipped (its SHA-256 differs); install facexray again")
        return loaded

    def predict(self, views: NDArray[np.uint8]) -> Prediction:
        """Score views (N, 256, 256, 3) uint8 RGB, and predict their Face X-rays."""
        scores = [np.zeros(0, np.float32)]
        xrays = [np.zeros((0, VIEW_SIZE, VIEW_SIZE), np.float32)]
        for start in range(0, len(views), BATCH):
            batch = np.ascontiguousarray(views[start : start + BATCH].transpose(0, 3, 1, 2), np.float32) / 255
            xray, score = self._session.run(["xray", "score"], {"views": batch})
            xrays.append(xray)
            scores.append(score)
        return Prediction(np.concatenate(scores), np.concatenate(xrays))
