"""What runs a model's network: ONNX Runtime, OpenVINO where its extra is there, PyTorch where training's is."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from facexray.errors import MissingExtraError, ModelError
from facexray.workers import granted_cores

EngineName = Literal["auto", "onnxruntime", "openvino", "torch"]
"""The engines by name; auto is OpenVINO where it is installed, else ONNX Runtime."""
TOLERANCE = {"fp32": 1e-3, "bf16": 0.2}
"""Largest difference of a score, and of an X-ray's pixel, from those of ONNX Runtime on a CPU, by precision."""

Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]
"""X-rays (N, 256, 256) and scores (N,)."""


class Engine(Protocol):
    """A loaded network. Not to be shared between threads."""

    name: str
    """Of the engine, as `EngineName` has it."""
    precision: str
    """In which it computes: fp32 or bf16."""

    def run(self, views: NDArray[np.float32]) -> Outputs:
        """Predict views (N, 3, 256, 256) float32 RGB in [0, 1], N ≥ 1."""


def load_engine(engine: EngineName, data: bytes, name: str, path: Path | None, card: dict[str, Any]) -> Engine:
    """Load a network.

    Args:
        engine: Which engine.
        data: The bytes of an ONNX file.
        name: What errors call the model.
        path: The ONNX file; PyTorch reads the weights beside it.
        card: The model's card, which is that of its weights too.

    Raises:
        ModelError: The engine cannot load the network.
        MissingExtraError: The engine is not installed.
    """
    if engine == "auto":
        engine = "openvino" if find_spec("openvino") else "onnxruntime"
    if engine == "torch":
        return _torch(path, name, card)
    try:
        return OpenVino(data) if engine == "openvino" else OnnxRuntime(data)
    except ImportError as error:
        raise MissingExtraError(f"the engine {engine} needs {error.name}: pip install 'facexray[openvino]'") from error
    except Exception as error:  # both raise unrelated exceptions of their own
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line for line in lines if not line.startswith("Exception from")), type(error).__name__)
        raise ModelError(f"{name}: not an ONNX model that can be loaded ({reason}); get it again") from error


def _torch(path: Path | None, name: str, card: dict[str, Any]) -> Engine:
    """The engine of the layer below, which alone knows PyTorch: loaded by name, when it is asked for."""
    if path is None:
        raise ModelError(f"{name}: the engine torch needs the model's file, and its .safetensors beside it")
    try:
        module = import_module("facexray.training.engine")
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"the engine torch needs {error.name}: pip install 'facexray[train]'") from error
    engine: Engine = module.TorchEngine(path, card)
    return engine


class OnnxRuntime:
    """ONNX Runtime: on a GPU where its CUDA provider is installed and finds one, else on the CPU."""

    name = "onnxruntime"
    precision = "fp32"

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = granted_cores()
        # A thread that spins between two calls takes its core from whoever decodes and finds faces.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # that there is no GPU is no error
        # TF32, the CUDA provider's own choice, would differ from the CPU by more than the tolerance.
        preferred: dict[str, dict[str, Any]] = {"CUDAExecutionProvider": {"use_tf32": 0}, "CPUExecutionProvider": {}}
        available = onnxruntime.get_available_providers()
        providers = [(name, settings) for name, settings in preferred.items() if name in available]
        self._session = onnxruntime.InferenceSession(data, options, providers=providers)

    def run(self, views: NDArray[np.float32]) -> Outputs:
        """See `Engine`."""
        xrays, scores = self._session.run(["xray", "score"], {"views": views})
        return xrays, scores


class OpenVino:
    """OpenVINO on the CPU, in bf16 where the CPU computes in it natively (AVX-512 BF16, AMX), else in fp32."""

    name = "openvino"

    def __init__(self, data: bytes, precision: Literal["fp32", "bf16"] | None = None) -> None:
        """Load a network; `precision` overrides the CPU's own, where it has that."""
        import openvino

        core = openvino.Core()
        hint = "INFERENCE_PRECISION_HINT"
        types = {None: core.get_property("CPU", hint), "bf16": openvino.Type.bf16, "fp32": openvino.Type.f32}
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            hint: openvino.Type.bf16 if types[precision] == openvino.Type.bf16 else openvino.Type.f32,
            "INFERENCE_NUM_THREADS": granted_cores(),
            "ENABLE_CPU_PINNING": False,  # a pinned thread waits for its core, whoever else is at work there
        }
        compiled = core.compile_model(core.read_model(data), "CPU", settings)
        # Not what was asked for: a CPU that has no bfloat16 computes in float32, and says so here alone.
        self.precision: str = "bf16" if compiled.get_property(hint) == openvino.Type.bf16 else "fp32"
        self._request = compiled.create_infer_request()

    def run(self, views: NDArray[np.float32]) -> Outputs:
        """See `Engine`."""
        self._request.infer({"views": views})
        xrays, scores = (self._request.get_tensor(name).data.copy() for name in ("xray", "score"))
        return xrays, scores
