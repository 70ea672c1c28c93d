"""PyTorch as an engine of the runtime: it runs the weights that stand beside an exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facexray.errors import ModelError
from facexray.runtime.engines import Outputs
from facexray.training.checkpoint import load_model
from facexray.workers import granted_cores


class TorchEngine:
    """Eager PyTorch on the CPU, in fp32: the network as it was trained, to compare the others with."""

    name = "torch"
    precision = "fp32"

    def __init__(self, path: Path, card: dict[str, Any]) -> None:
        """Load the weights beside a model's ONNX file, which carry the same card.

        Raises:
            ModelError: They are missing, damaged, or of another export.
        """
        weights = path.with_suffix(".safetensors")
        net, own = load_model(weights)
        if own != card:
            raise ModelError(f"{weights}: its card is not that of {path.name}; export the run again")
        torch.set_num_threads(granted_cores())
        self._net = net.to(memory_format=torch.channels_last)

    def run(self, views: NDArray[np.float32]) -> Outputs:
        """See `facexray.runtime.engines.Engine`."""
        with torch.inference_mode():
            output = self._net(torch.from_numpy(views).contiguous(memory_format=torch.channels_last))
            scores = output.class_logits.softmax(1)[:, 1]
            return output.xray_logits.sigmoid().numpy(), scores.numpy()
