"""The int8 copy of an exported model: smaller, near the original, with its own card; refused where it is worse."""

import numpy as np
import onnx
import pytest

from facexray.errors import MissingExtraError, ModelError, StoreError
from facexray.runtime.model import XrayModel
from facexray.training.checkpoint import load_model, save_model
from facexray.training.command import export

PHOTOGRAPHS = "two portraits, public domain"


def measures(**auc):
    return {name: {"AUC": value} for name, value in auc.items()}


def test_a_copy_that_judges_worse_is_refused(tmp_path):
    pytest.importorskip("nncf", reason="needs the extra: pip install 'facexray[int8]'")
    from facexray.training.quantize import check_drop

    before = measures(clean=0.95, degraded=0.9)
    said = check_drop(before, measures(clean=0.9451, degraded=0.93), tmp_path)
    assert said == "AUC clean 0.9500 → 0.9451, AUC degraded 0.9000 → 0.9300"
    with pytest.raises(ModelError, match=r"refused.*0\.005 of AUC.*clean 0\.9500 → 0\.9449.*use it as it is"):
        check_drop(before, measures(clean=0.9449, degraded=0.93), tmp_path)


def test_without_nncf_it_says_how_to_get_it_and_writes_nothing(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr("facexray.training.command.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs nncf: pip install 'facexray\[int8\]'"):
        export([tiny_run], tmp_path / "model.onnx", PHOTOGRAPHS, int8=True)
    assert not list(tmp_path.iterdir())


def test_where_the_runs_stores_are_gone_it_says_so_before_it_writes(tiny_run, tmp_path):
    pytest.importorskip("nncf", reason="needs the extra: pip install 'facexray[int8]'")
    net, card = load_model(tiny_run)
    save_model(tmp_path, net, {**card, "data": {**card["data"], "store": "gone"}})
    out = tmp_path / "out" / "model.onnx"
    with pytest.raises(StoreError, match=r"gone: the run's store is not there; say where it is now by --calibration"):
        export([tmp_path], out, PHOTOGRAPHS, int8=True)
    assert not out.parent.exists()


def test_the_copy_stands_beside_the_model_with_its_own_card(tiny_run, tmp_path, monkeypatch, capsys):
    pytest.importorskip("nncf", reason="needs the extra: pip install 'facexray[int8]'")
    from facexray.training import quantize

    monkeypatch.setattr(quantize, "CALIBRATION_PAIRS", 4)
    monkeypatch.setattr(quantize, "LARGEST_DROP", 1.0)  # a network that learned for six iterations tells nothing apart
    exported = export([tiny_run], tmp_path / "tiny.onnx", PHOTOGRAPHS, int8=True)
    copy = tmp_path / "tiny.int8.onnx"
    assert "int8: AUC degraded" in capsys.readouterr().out
    operators = {node.op_type for node in onnx.load(copy).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    original, quantised = XrayModel.load(exported, "onnxruntime"), XrayModel.load(copy, "onnxruntime")
    assert quantised.card["name"] == "tiny.int8"
    assert quantised.card["quantised"] == {"from_sha256": original.sha256, "calibration_views": 8}
    assert set(quantised.card["validation"]) == set(original.card["validation"])
    assert str(tiny_run.parent).encode() not in copy.read_bytes()
    views = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)
    assert np.abs(quantised.predict(views).xrays - original.predict(views).xrays).max() < 0.1
    with pytest.raises(ModelError, match=r"tiny\.int8\.safetensors: no trained network here"):
        XrayModel.load(copy, "torch")
