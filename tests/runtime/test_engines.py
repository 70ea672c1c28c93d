"""The engines: that they agree, that they compute with the cores they are granted, and what they say of bad files."""

import builtins
import os
import shutil
import sys

import numpy as np
import onnxruntime
import pytest
import torch

from facexray.errors import MissingExtraError, ModelError
from facexray.faces.crop import cut_view
from facexray.runtime import card, engines
from facexray.runtime.engines import TOLERANCE, OnnxRuntime, OpenVino
from facexray.runtime.model import XrayModel
from facexray.runtime.weights import DEFAULT, SHA256, shipped_path
from facexray.training import engine as engine_of_torch

ENGINES = ["onnxruntime", "openvino", "torch"]
openvino = pytest.importorskip("openvino", reason="needs the extra: pip install 'facexray[openvino]'")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """On a busy machine torch's threads wait for one another; the tests after these find them as they were."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_of_torch, "granted_cores", lambda: 1)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def views(store):
    """The six packaged faces as the network sees them."""
    return np.stack([cut_view(store.crop(i)) for i in range(len(store))])


@pytest.fixture(scope="module", params=sorted(SHA256))
def reference(request, views):
    """A shipped model on ONNX Runtime and its prediction."""
    loaded = XrayModel.load(request.param, "onnxruntime")
    return loaded, loaded.predict(views)


def differences(prediction, expected):
    scores, xrays = np.abs(prediction.scores - expected.scores), np.abs(prediction.xrays - expected.xrays)
    assert prediction.xrays.shape == expected.xrays.shape
    return max(scores.max(), xrays.max()), scores.mean()


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_engines_agree_within_their_tolerance(engine, reference, views):
    loaded, expected = reference
    other = XrayModel.load(loaded.name, engine)
    name, precision = other.engine.split(", ")
    assert name == engine
    assert other.card == loaded.card
    largest, mean = differences(other.predict(views), expected)
    assert largest <= TOLERANCE[precision]
    assert mean <= (0.02 if precision == "bf16" else 1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_openvino_agrees_in_both_precisions(precision, reference, views, monkeypatch):
    loaded, expected = reference
    monkeypatch.setattr(engines, "OpenVino", lambda data: OpenVino(data, precision))
    other = XrayModel.load(loaded.name, "openvino")
    told = other.engine.removeprefix("openvino, ")
    if told != precision:
        assert (precision, told) == ("bf16", "fp32")
        assert "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    largest, _ = differences(other.predict(views), expected)
    assert largest <= TOLERANCE[told]
    if told == "bf16":
        assert largest > TOLERANCE["fp32"], "it should not be fp32 under another name"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_prediction_stays_what_it_was_when_the_next_is_made(engine, views):
    """Engines use their memory again."""
    loaded = XrayModel.load(DEFAULT, engine)
    first = loaded.predict(views[:1])
    kept = first.xrays.copy(), first.scores.copy()
    loaded.predict(views[1:2])
    np.testing.assert_array_equal(first.xrays, kept[0])
    np.testing.assert_array_equal(first.scores, kept[1])


@pytest.mark.parametrize(("installed", "chosen"), [(True, "openvino"), (False, "onnxruntime")])
def test_auto_is_openvino_where_it_is_installed(installed, chosen, monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: object() if installed else None)
    assert XrayModel.load(engine="auto").engine.startswith(chosen)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_gets_the_granted_cores(engine, monkeypatch):
    asked = []
    monkeypatch.setattr(
        engine_of_torch if engine == "torch" else engines, "granted_cores", lambda: asked.append(engine) or 3
    )
    if engine == "onnxruntime":
        made = onnxruntime.InferenceSession
        monkeypatch.setattr(
            onnxruntime,
            "InferenceSession",
            lambda data, options, **more: asked.append(options.intra_op_num_threads) or made(data, options, **more),
        )
    elif engine == "openvino":
        compiled = openvino.Core.compile_model
        monkeypatch.setattr(
            openvino.Core,
            "compile_model",
            lambda core, read, device, settings: (
                asked.append(settings["INFERENCE_NUM_THREADS"]) or compiled(core, read, device, settings)
            ),
        )
    else:
        monkeypatch.setattr(torch, "set_num_threads", asked.append)
    XrayModel.load(DEFAULT, engine)
    assert asked == [engine, 3]


def test_onnx_runtime_prefers_cuda_where_it_is_installed(monkeypatch):
    asked = []
    available = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda data, options, providers: asked.extend(providers))
    OnnxRuntime(b"")
    assert asked == [("CUDAExecutionProvider", {"use_tf32": 0}), ("CPUExecutionProvider", {})]


@pytest.mark.gpu
def test_cuda_agrees(reference, views):
    loaded, _ = reference
    assert "CUDAExecutionProvider" in loaded._engine._session.get_providers()
    largest, _ = differences(loaded.predict(views), XrayModel.load(loaded.name, "torch").predict(views))
    assert largest <= TOLERANCE["fp32"]


@pytest.mark.parametrize(
    ("engine", "package", "extra"), [("openvino", "openvino", "openvino"), ("torch", "torch", "train")]
)
def test_an_engine_that_is_not_installed_is_named_with_its_extra(engine, package, extra, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == package or name == "facexray.training.engine"]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=package)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=rf"{engine} needs {package}: pip install 'facexray\[{extra}\]'"):
        XrayModel.load(DEFAULT, engine)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Files that are no model of ours, each with what its error must say."""
    folder = tmp_path_factory.mktemp("hostile")
    whole = shipped_path(DEFAULT).read_bytes()
    metadata = whole.index(card.METADATA_KEY.encode())
    (folder / "empty.onnx").touch()
    (folder / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    (folder / "cut_in_the_card.onnx").write_bytes(whole[: metadata + 100])
    (folder / "network.xml").write_text('<?xml version="1.0"?><net name="x" version="11"><layers/></net>')
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(1000))
    # The card is whole, the network is not: only the engine can tell.
    (folder / "garbled.onnx").write_bytes(b"\x3a\x05\xff\xff\xff\xff\xff" + whole[_start_of_metadata(whole) :])
    shutil.copytree(folder, folder / "folder.onnx")
    return {
        folder / "empty.onnx": "empty.onnx: not an ONNX model that can be loaded.*empty",
        folder / "cut.onnx": "cut.onnx: not an ONNX model that can be loaded.*cut off",
        folder / "cut_in_the_card.onnx": "cut_in_the_card.onnx: not an ONNX model that can be loaded.*cut off",
        folder / "network.xml": "network.xml: not an ONNX model that can be loaded",
        folder / "photo.jpg": "photo.jpg: not an ONNX model that can be loaded",
        folder / "garbled.onnx": "garbled.onnx: not an ONNX model that can be loaded",
        folder / "folder.onnx": "folder.onnx: no such model.*directory",
    }


def _start_of_metadata(data):
    """Of ModelProto's last field: its tag, its length in three bytes, the key's own tag and length."""
    start = data.index(b"\x0a" + bytes([len(card.METADATA_KEY)]) + card.METADATA_KEY.encode())
    return data.rindex(b"\x72", start - 6, start)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_what_is_no_model_is_refused_by_each_engine(engine, hostile):
    for path, message in hostile.items():
        with pytest.raises(ModelError, match=f"(?s){message}"):
            XrayModel.load(path, engine)


def test_torch_wants_the_weights_of_the_same_export(tmp_path):
    moved = shutil.copy(shipped_path(DEFAULT), tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"model\.safetensors: no trained network here"):
        XrayModel.load(moved, "torch")
    other = next(name for name in SHA256 if name != DEFAULT)
    shutil.copy(shipped_path(other).with_suffix(".safetensors"), tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors: its card is not that of model\.onnx"):
        XrayModel.load(moved, "torch")


def test_torch_needs_a_file():
    with pytest.raises(ModelError, match="needs the model's file"):
        XrayModel(shipped_path(DEFAULT).read_bytes(), "bytes", "torch")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot pin processes")
def test_other_threads_of_the_process_keep_their_cores():
    """OpenVINO pins its threads where it is not told otherwise."""
    before = os.sched_getaffinity(0)
    loaded = XrayModel.load(DEFAULT, "openvino")
    loaded.predict(np.zeros((1, 256, 256, 3), np.uint8))
    assert os.sched_getaffinity(0) == before
