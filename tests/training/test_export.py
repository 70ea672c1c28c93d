"""Export: one ONNX file that says what torch says and carries its card; and what is refused."""

import hashlib
import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import facexray
from facexray.errors import ModelError, SettingsError, StoreError
from facexray.metrics import METRICS, bootstrap
from facexray.runtime.model import CONVENTION, METADATA_KEY, XrayModel
from facexray.runtime.weights import SHA256
from facexray.training import export as exporting
from facexray.training.checkpoint import load_model
from facexray.training.command import export

PHOTOGRAPHS = "two portraits, public domain"


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    """The tiny run as an ONNX file; its intervals from few resamples, to save time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "bootstrap", partial(bootstrap, resamples=20))
        return export(tiny_run, tmp_path_factory.mktemp("models") / "tiny.onnx", PHOTOGRAPHS)


@pytest.fixture(scope="module")
def model(exported):
    return XrayModel.load(exported)


@pytest.mark.parametrize("count", [1, 5, 17])
def test_says_what_torch_says(count, model, tiny_run):
    """17 is one more than the batch that the model works in."""
    views = np.random.default_rng(count).integers(0, 256, (count, 256, 256, 3), np.uint8)
    net, _ = load_model(tiny_run)
    with torch.no_grad():
        output = net(torch.from_numpy(views).permute(0, 3, 1, 2) / 255)
    prediction = model.predict(views)
    np.testing.assert_allclose(prediction.xrays, output.xray_logits.sigmoid(), atol=1e-3)
    np.testing.assert_allclose(prediction.scores, output.class_logits.softmax(1)[:, 1], atol=1e-3)
    assert prediction.xrays.shape == (count, 256, 256)
    assert prediction.scores.shape == (count,)


def test_no_views_give_no_predictions(model):
    prediction = model.predict(np.zeros((0, 256, 256, 3), np.uint8))
    assert prediction.scores.shape == (0,)
    assert prediction.xrays.shape == (0, 256, 256)


def test_carries_its_card(model, tiny_run, exported):
    card = json.loads((tiny_run / "best.json").read_text(encoding="utf-8"))
    assert model.card["name"] == "tiny"
    assert model.card["photographs"] == PHOTOGRAPHS
    assert model.card["convention"] == CONVENTION == {"crop_size_px": 317, "face_margin": 1.6, "view_size_px": 256}
    assert model.card["settings"] == card["settings"]
    assert model.card["data"] == card["data"]
    assert model.card["iteration"] == card["iteration"]
    assert model.card["exported"]["made_by"] == "facexray export"
    in_file = {prop.key: prop.value for prop in onnx.load(exported).metadata_props}
    assert json.loads(in_file[METADATA_KEY]) == model.card


def test_the_card_stands_beside_it_for_people_to_read(model, exported):
    text = exported.with_suffix(".md").read_text(encoding="utf-8")
    assert text.startswith("# tiny\n")
    assert PHOTOGRAPHS in text
    assert f"`{hashlib.sha256(exported.read_bytes()).hexdigest()}`" in text
    assert f"real below {model.thresholds.real_below}, fake above {model.thresholds.fake_above}" in text
    for name, measures in model.card["validation"].items():
        assert re.search(rf"^\| {measures['images']}, {name} \| {measures['AUC']:.3f} ", text, re.MULTILINE)


def test_the_card_holds_the_scores_of_the_validation_set(model, tiny):
    validation = model.card["validation"]
    assert set(validation) == {"degraded", "clean"}
    for measures in validation.values():
        assert measures["images"] == 2 * tiny["run"].validation_pairs
        for name in METRICS:
            low, high = measures[f"{name}_95"]
            assert 0 <= low <= high <= 1
            assert 0 <= measures[name] <= 1


def test_thresholds_are_probabilities_in_order(model):
    assert 0 <= model.thresholds.real_below <= model.thresholds.fake_above <= 1


@pytest.mark.parametrize(
    ("real", "fake", "real_below", "fake_above"),
    [
        (np.linspace(0, 0.5, 101), np.linspace(0.4, 1, 101), 0.46, 0.475),  # 95 % of reals, 10 % of fakes
        (np.linspace(0, 0.2, 101), np.linspace(0.8, 1, 101), 0.19, 0.19),  # apart: nothing lies between
        (np.linspace(0, 1, 101), np.linspace(0, 1, 101), 0.1, 0.95),  # told apart by nothing: nearly all between
    ],
)
def test_thresholds_are_quantiles(real, fake, real_below, fake_above):
    thresholds = exporting._thresholds(real.tolist(), fake.tolist())
    assert thresholds == pytest.approx({"real_below": real_below, "fake_above": fake_above}, abs=1e-3)


def test_an_export_that_differs_from_torch_is_refused(tiny_run, exported):
    net, _ = load_model(tiny_run)
    with torch.no_grad():
        net.xray_head[0].bias += 0.1
    with pytest.raises(ModelError, match="differs from the network"):
        exporting._check_agreement(net, XrayModel.load(exported), np.full((1, 256, 256, 3), 90, np.uint8))


def test_the_validation_set_is_made_again_from_the_card(tiny, tiny_run, tmp_path):
    """Also where the store has moved since."""
    elsewhere = shutil.copytree(tiny["val_store"], tmp_path / "moved")
    card = json.loads((tiny_run / "best.json").read_text(encoding="utf-8"))
    there, moved = exporting._validation_set(card, None), exporting._validation_set(card, elsewhere)
    assert [len(pairs) for pairs in there.values()] == [4, 4]
    for name, pairs in there.items():
        assert [sample.recipe for pair in pairs for sample in pair] == [s.recipe for pair in moved[name] for s in pair]
    card["data"]["validation_store"] = "nowhere"
    with pytest.raises(StoreError, match="nowhere"):
        exporting._validation_set(card, None)


def test_a_missing_run_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no trained run here.*facexray train"):
        export(tmp_path, tmp_path / "model.onnx", PHOTOGRAPHS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"settings": {"network": {"colour": 1}}}', "no JSON"])
def test_a_run_with_a_broken_card_is_refused(content, tmp_path):
    (tmp_path / "best.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match="no trained run here"):
        export(tmp_path, tmp_path / "model.onnx", PHOTOGRAPHS)


def test_a_run_with_other_weights_is_refused(tiny_run, tmp_path):
    card = json.loads((tiny_run / "best.json").read_text(encoding="utf-8"))
    card["settings"]["network"]["class_head"] = "paper"
    (tmp_path / "best.json").write_text(json.dumps(card), encoding="utf-8")
    (tmp_path / "best.safetensors").write_bytes((tiny_run / "best.safetensors").read_bytes())
    with pytest.raises(ModelError, match="another network"):
        load_model(tmp_path)


def test_a_run_with_damaged_weights_is_refused(tiny_run, tmp_path):
    (tmp_path / "best.json").write_bytes((tiny_run / "best.json").read_bytes())
    (tmp_path / "best.safetensors").write_bytes((tiny_run / "best.safetensors").read_bytes()[:5000])
    with pytest.raises(ModelError, match="no trained run here"):
        load_model(tmp_path)


def plain_onnx(card=None):
    """A model that doubles its input, with a card or without."""
    views, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("views", "score"))
    graph = helper.make_graph([helper.make_node("Add", ["views", "views"], ["score"])], "double", [views], [out])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if card is not None:
        helper.set_model_props(made, {METADATA_KEY: card})
    return made.SerializeToString()


GOOD = {"convention": CONVENTION, "thresholds": {"real_below": 0.2, "fake_above": 0.8}}


def test_a_good_card_is_accepted():
    model = XrayModel(plain_onnx(json.dumps(GOOD)), "double")
    assert (model.thresholds.real_below, model.thresholds.fake_above) == (0.2, 0.8)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"not a model", "not an ONNX model", id="text"),
        pytest.param(b"", "not an ONNX model", id="empty"),
        pytest.param(plain_onnx()[:40], "not an ONNX model", id="cut off"),
        pytest.param(plain_onnx(), "not a model that facexray exported.*facexray export", id="of others"),
        pytest.param(plain_onnx("no JSON"), "not a model that facexray exported", id="broken card"),
        pytest.param(plain_onnx("[]"), "not a model that facexray exported", id="list as card"),
        pytest.param(plain_onnx('{"convention": {}}'), "not a model that facexray exported", id="no thresholds"),
        pytest.param(
            plain_onnx(json.dumps(GOOD | {"convention": CONVENTION | {"face_margin": 1.3}})),
            r"trained on faces cut as .*1\.3.*this version cuts .*1\.6",
            id="other convention",
        ),
    ],
)
def test_what_is_not_ours_is_refused(data, message, tmp_path):
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=rf"(?s)model\.onnx: .*{message}"):
        XrayModel.load(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["hrnet_w99.unknown", "missing.onnx"])
def test_an_unknown_name_is_answered_with_the_known_ones(name):
    with pytest.raises(ModelError, match=rf"{name}: no such model.*default.*{next(iter(SHA256))}"):
        XrayModel.load(name)


def test_the_file_holds_no_path_of_the_machine_that_made_it(exported):
    assert str(Path(facexray.__file__).parent).encode() not in exported.read_bytes()


def test_refuses_a_validation_store_that_is_not_the_runs(tiny, tiny_run, tmp_path):
    with pytest.raises(ModelError, match="does not hold the faces that validated the run"):
        export(tiny_run, tmp_path / "model.onnx", "drawn for a test", val_store=tiny["store"])


def test_the_file_must_be_called_onnx(tiny_run, tmp_path):
    with pytest.raises(SettingsError, match=r"must end in \.onnx"):
        export(tiny_run, tmp_path / "README", "drawn for a test")
