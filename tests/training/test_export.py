"""Export: one ONNX file that says what torch says and carries its card; and what is refused."""

import copy
import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file
from sklearn.metrics import average_precision_score

import facexray
from facexray.errors import ModelError, SettingsError, StoreError
from facexray.faces.store import FaceStore
from facexray.faces.store_writer import StoreWriter
from facexray.metrics.classification import METRICS
from facexray.runtime.card import METADATA_KEY
from facexray.runtime.model import CONVENTION, XrayModel
from facexray.runtime.weights import SHA256
from facexray.training import export as exporting
from facexray.training import thresholds as choosing
from facexray.training.calibration import Calibration, calibrate
from facexray.training.card import card_text
from facexray.training.checkpoint import load_model, save_model
from facexray.training.command import export
from facexray.training.config import NetworkConfig
from facexray.training.datasets import faces_sha256
from facexray.training.network import FaceXrayNet
from facexray.training.thresholds import thresholds_of
from facexray.training.validation import validation_sets_of

PHOTOGRAPHS = "two portraits, public domain"


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    """The tiny run as an ONNX file."""
    return export(tiny_run, tmp_path_factory.mktemp("models") / "tiny.onnx", PHOTOGRAPHS)


@pytest.fixture(scope="module")
def model(exported):
    return XrayModel.load(exported)


@pytest.mark.parametrize("count", [1, 5, 17])
def test_says_what_torch_says(count, model, tiny_run):
    """17 is one more than the batch that the model works in."""
    views = np.random.default_rng(count).integers(0, 256, (count, 256, 256, 3), np.uint8)
    net, _ = load_model(tiny_run)
    calibrate(net, Calibration(**model.card["calibration"]))
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
    _, card = load_model(tiny_run)
    assert model.card["name"] == "tiny"
    assert model.card["photographs"] == PHOTOGRAPHS
    assert model.card["convention"] == CONVENTION == {"crop_size_px": 317, "face_margin": 1.6, "view_size_px": 256}
    assert model.card["settings"] == card["settings"]
    assert model.card["data"]["faces_sha256"] == card["data"]["faces_sha256"]
    assert model.card["iteration"] == card["iteration"]
    assert model.card["exported"]["made_by"] == "facexray export"
    in_file = {prop.key: prop.value for prop in onnx.load(exported).metadata_props}
    assert json.loads(in_file[METADATA_KEY]) == model.card


def test_the_card_stands_beside_it_for_people_to_read(model, exported):
    text = exported.with_suffix(".md").read_text(encoding="utf-8")
    assert text.startswith("# tiny\n")
    assert PHOTOGRAPHS in text
    assert f"`{hashlib.sha256(exported.read_bytes()).hexdigest()}`" in text
    assert f"{exported.stat().st_size / 1e6:.1f} MB, opset {onnx.load(exported).opset_import[0].version}" in text
    assert "| licence | apache-2.0" in text
    assert f"real below {model.thresholds.real_below}, fake above {model.thresholds.fake_above}" in text
    assert f"expected calibration error {model.card['calibration']['ece_before']:.3f} before" in text
    assert "none: the score is pooled" in card_text({**model.card, "calibration": None}, exported.read_bytes())
    for name, measures in model.card["validation"].items():
        assert re.search(rf"^\| {measures['images']}, {name} \| {measures['AUC']:.3f} ", text, re.MULTILINE)


def test_the_card_holds_the_scores_of_the_validation_set(model, tiny):
    validation = model.card["validation"]
    assert set(validation) == {"degraded", "clean", "unseen"}
    for measures in validation.values():
        assert measures["images"] == 2 * tiny["run"].validation_pairs
        for name in METRICS:
            low, high = measures[f"{name}_95"]
            assert 0 <= low <= high <= 1
            assert 0 <= measures[name] <= 1


def test_the_card_says_how_well_the_xray_finds_the_boundary(model, tiny_run):
    """Against scikit-learn on the pixels themselves."""
    _, card = load_model(tiny_run)
    samples = validation_sets_of(card, None)[0]["clean"]
    predicted = model.predict(np.stack([sample.image for sample in samples])).xrays
    true = np.stack([sample.xray for sample in samples])
    every_fourth = np.s_[:, ::4, ::4]
    expected = average_precision_score(true[every_fourth].ravel() > 0.5, predicted[every_fourth].ravel())
    assert model.card["xray"]["pixel_AP"] == pytest.approx(expected, abs=1e-3)
    assert model.card["xray"]["boundary_share"] == pytest.approx((true > 0.5).mean(), rel=0.05)
    assert model.card["xray"]["mean_real"] == pytest.approx(predicted[::2].mean(), abs=1e-4)
    assert model.card["xray"]["mean_fake"] == pytest.approx(predicted[1::2].mean(), abs=1e-4)


@pytest.mark.parametrize(
    ("pretrained", "said"),
    [(None, "random weights"), ("hub", "hub"), ("/home/me/mobilenet_v2.pth", "the weights of `mobilenet_v2.pth`")],
)
def test_the_card_says_what_the_network_began_from(pretrained, said, model):
    card = copy.deepcopy(model.card)
    card["settings"]["network"]["pretrained"] = pretrained
    assert re.search(rf"^- begun from .*{said}$", card_text(card, b"model"), re.MULTILINE)


@pytest.mark.parametrize("validation", [{"auc_degraded": 0.75}, {"degraded": {"AUC": 0.75}}], ids=["run", "export"])
def test_the_card_says_what_it_went_on_from_and_who_taught_it(validation, model):
    settings = copy.deepcopy(model.card["settings"])
    settings["network"]["pretrained"] = "runs/first"
    other = {"settings": model.card["settings"], "commit": "abc", "iteration": 3, "validation": validation}
    card = {**model.card, "settings": settings, "pretrained": other, "teacher": {**other, "commit": "def"}}
    said = """
- begun from the weights of `first`: test_efficientnet, commit `abc`, iteration 3, validation AUC 0.750
  - begun from random weights
- taught by: test_efficientnet, commit `def`, iteration 3, validation AUC 0.750
  - begun from random weights
"""
    assert said in card_text(card, b"model")


def test_the_card_tells_of_each_model_once_and_of_no_commit_where_there_was_none(model):
    other = {"settings": model.card["settings"], "commit": None, "iteration": 3, "validation": {"auc_degraded": 0.75}}
    said = card_text({**model.card, "commit": None, "pretrained": other, "averaged_with": [other]}, b"model")
    assert said.count("  - begun from random weights") == 1
    assert "- averaged with: test_efficientnet, iteration 3, validation AUC 0.750, told above\n" in said
    assert "commit" not in said
    assert "None" not in said


def test_thresholds_are_probabilities_in_order(model):
    assert 0 <= model.thresholds.real_below <= model.thresholds.fake_above <= 1


@pytest.mark.parametrize("count", [20, 21, 30, 119, 188, 1500])
def test_no_larger_share_lies_beyond_a_threshold(count):
    real, fake = np.random.default_rng(count).random((2, count)).astype(np.float32)
    thresholds = thresholds_of(real / 2, fake)
    above, below = (real / 2 > thresholds["fake_above"]).sum(), (fake < thresholds["real_below"]).sum()
    assert above == int(0.05 * count), "as many as may be"
    assert int(0.1 * count) - 1 <= below <= 0.1 * count


@pytest.mark.parametrize(
    ("real", "fake", "real_below", "fake_above"),
    [
        (np.linspace(0, 0.5, 101), np.linspace(0.4, 1, 101), 0.46, 0.475),  # 95 % of reals, 10 % of fakes
        (np.linspace(0, 0.2, 101), np.linspace(0.8, 1, 101), 0.19, 0.19),  # apart: nothing lies between
        (np.linspace(0, 1, 101), np.linspace(0, 1, 101), 0.1, 0.95),  # told apart by nothing: nearly all between
    ],
)
def test_thresholds_are_quantiles(real, fake, real_below, fake_above):
    thresholds = thresholds_of(real.tolist(), fake.tolist())
    assert thresholds == pytest.approx({"real_below": real_below, "fake_above": fake_above}, abs=1e-3)


def test_an_export_that_differs_from_torch_is_refused(tiny_run, exported):
    net, _ = load_model(tiny_run)
    with torch.no_grad():
        net.xray_head[0].bias += 0.1
    with pytest.raises(ModelError, match="differs from the network"):
        exporting.check_agreement(net, XrayModel.load(exported), np.full((1, 256, 256, 3), 90, np.uint8))


def test_the_validation_sets_are_made_again_from_the_card(tiny, tiny_run, tmp_path):
    """Also where the store has moved since."""
    elsewhere = shutil.copytree(tiny["val_store"], tmp_path / "moved")
    _, card = load_model(tiny_run)
    (there, people), (moved, _) = validation_sets_of(card, None), validation_sets_of(card, elsewhere)
    assert [len(samples) for samples in there.values()] == [8, 8, 8]
    for name, samples in there.items():
        assert [sample.recipe for sample in samples] == [sample.recipe for sample in moved[name]]
        assert {sample.recipe.background for sample in samples} <= people.keys()
    card["data"]["validation_store"] = "nowhere"
    with pytest.raises(StoreError, match="nowhere: the run's store is not there; say where it is now by --val_store"):
        validation_sets_of(card, None)


def test_a_missing_run_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"best\.safetensors: no trained network here.*facexray train"):
        export([tmp_path], tmp_path / "model.onnx", PHOTOGRAPHS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("card", [None, "", "{}", "[]", '{"settings": {"network": {"colour": 1}}}', "no JSON"])
def test_a_run_with_a_broken_card_is_refused(card, tmp_path):
    save_file({"weight": torch.zeros(1)}, tmp_path / "best.safetensors", None if card is None else {METADATA_KEY: card})
    with pytest.raises(ModelError, match="no trained network here"):
        export([tmp_path], tmp_path / "model.onnx", PHOTOGRAPHS)


def test_weights_of_another_network_are_refused(tiny_run, tmp_path):
    net, card = load_model(tiny_run)
    other = copy.deepcopy(card)
    other["settings"]["network"]["class_head"] = "paper"
    save_model(tmp_path, net, other)
    with pytest.raises(ModelError, match="another network"):
        load_model(tmp_path)


@pytest.mark.parametrize("length", [0, 5, 5000])
def test_damaged_weights_are_refused(length, tiny_run, tmp_path):
    (tmp_path / "best.safetensors").write_bytes((tiny_run / "best.safetensors").read_bytes()[:length])
    with pytest.raises(ModelError, match="no trained network here"):
        load_model(tmp_path)


def test_a_kill_while_saving_leaves_the_weights_and_the_card_that_were_there(tiny_run, tmp_path, monkeypatch):
    net, card = load_model(tiny_run)
    save_model(tmp_path, net, {**card, "iteration": 1})
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    with torch.no_grad():
        net.xray_head[0].bias += 1
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_model(tmp_path, net, {**card, "iteration": 2})
    monkeypatch.undo()
    kept, kept_card = load_model(tmp_path)
    assert kept_card["iteration"] == 1
    assert all(torch.equal(weight, before[name]) for name, weight in kept.state_dict().items())


def test_the_weights_stand_beside_it_with_the_same_card(tiny_run, exported, model):
    net, card = load_model(exported.with_suffix(".safetensors"))
    trained = load_model(tiny_run)[0].state_dict()
    assert card == model.card
    assert all(torch.equal(weight, trained[name]) for name, weight in net.state_dict().items())


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors", ".md"])
def test_a_file_that_is_there_is_never_overwritten(suffix, tiny_run, tmp_path):
    (tmp_path / f"model{suffix}").write_text("precious")
    with pytest.raises(SettingsError, match=rf"model\{suffix}: is there already.*delete it or name another"):
        export([tiny_run], tmp_path / "model.onnx", PHOTOGRAPHS)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(f"model{suffix}", "precious")]


@pytest.mark.parametrize(
    ("backbone", "class_head"),
    [
        # The tiny run is an HRNet with the head on the features; test_check exports the paper's head.
        ("mobilenetv2_100", "top_k"),
        ("test_vit", "max"),  # its feature maps are a 16th of the view's side
        pytest.param("test_resnet", "mean", marks=pytest.mark.slow),
        pytest.param("hrnet_w18_small", "paper", marks=pytest.mark.slow),
    ],
)
def test_every_head_and_kind_of_backbone_says_what_torch_says(backbone, class_head):
    torch.manual_seed(1)
    net = FaceXrayNet(NetworkConfig(backbone=backbone, class_head=class_head)).eval()
    _, draft = exporting.draft_model(net, "draft")
    views = np.random.default_rng(1).integers(0, 256, (3, 256, 256, 3), np.uint8)
    for count in (1, 3):  # the number of views is free
        exporting.check_agreement(net, draft, views[:count])


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


def test_the_files_hold_no_path_of_the_machine_that_made_them(exported, tiny, tiny_run):
    for path in (Path(facexray.__file__).parent, tiny["store"].parent, tiny_run.parent, exported.parent):
        for suffix in (".onnx", ".safetensors", ".md"):
            assert str(path).encode() not in exported.with_suffix(suffix).read_bytes()


def test_settings_keep_the_names_of_files_without_their_folders():
    settings = {"network": {"pretrained": "/home/me/net.pth", "depth": 3}, "files": ["/a/b", "c/d"], "none": None}
    assert exporting.without_folders(settings) == {
        "network": {"pretrained": "net.pth", "depth": 3},
        "files": ["b", "c/d"],
        "none": None,
    }


def test_refuses_a_validation_store_that_is_not_the_runs(tiny, tiny_run, tmp_path):
    with pytest.raises(ModelError, match="does not hold the faces that validated the run"):
        export([tiny_run], tmp_path / "model.onnx", "drawn for a test", val_store=tiny["store"])


def test_two_stores_of_one_name_are_not_taken_for_one(tiny, model):
    data = model.card["data"]  # an export's card names no folders
    card = {**model.card, "data": {**data, "store": data["validation_store"]}}
    sets, _ = validation_sets_of(card, tiny["val_store"])
    assert {sample.recipe.background for sample in sets["clean"]} <= set(FaceStore(tiny["val_store"]).column("id"))


def reals_store(path, store, count):
    """A face store of `count` real faces: the packaged portraits', each with its own noise."""
    faces, rng = FaceStore(store), np.random.default_rng(0)
    with StoreWriter(path, {}) as writer:
        for number in range(count):
            source, crop = number % len(faces), faces.crop(number % len(faces))
            noisy = (crop + rng.integers(-9, 10, crop.shape, np.int16)).clip(0, 255).astype(np.uint8)
            sha256 = f"{number:064d}"
            writer.add(replace(faces[source], id=str(number), source=f"{number}.png", sha256=sha256), noisy)
            writer.end_source(sha256)
    return path


def test_people_are_what_is_held_out_and_drawn_anew(tiny, tiny_run, tmp_path, monkeypatch):
    """Not their pictures, of which each of the two has two."""
    groups = []
    fit, measure = exporting.fit_calibration, exporting.summary
    monkeypatch.setattr(exporting, "fit_calibration", lambda *given: groups.append(given[2]) or fit(*given))
    monkeypatch.setattr(exporting, "summary", lambda *given: groups.append(given[2]) or measure(*given))
    export(tiny_run, tmp_path / "model.onnx", PHOTOGRAPHS)
    people = set(FaceStore(tiny["val_store"]).people)
    assert len(people) == 2
    assert [set(shown) for shown in groups] == [people] * 4


def test_more_reals_raise_the_threshold_until_few_lie_above(tiny, exported, tmp_path, monkeypatch):
    predict = XrayModel.predict

    def louder(self, views):
        """A model that suspects the photographs of the store, which are 40, and nothing else."""
        prediction = predict(self, views)
        return replace(prediction, scores=np.linspace(0, 1, 40, dtype=np.float32)) if len(views) == 40 else prediction

    monkeypatch.setattr(XrayModel, "predict", louder)
    reals = reals_store(tmp_path / "reals", tiny["store"], 40)
    out = export(exported, tmp_path / "model.onnx", reals=reals)
    card, before = XrayModel.load(out).card, XrayModel.load(exported).card
    scores = np.linspace(0, 1, 40)
    assert card["thresholds"]["fake_above"] == pytest.approx(scores[-3], abs=1e-4)
    assert (scores > card["thresholds"]["fake_above"]).sum() == 2
    assert card["thresholds"]["real_below"] >= before["thresholds"]["real_below"]
    above = (scores > before["thresholds"]["fake_above"]).mean()
    assert card["reals"] == {
        "faces": 40,
        "faces_sha256": faces_sha256(FaceStore(reals), None),
        "fake_by_validation": pytest.approx(above, abs=1e-4),
        "fake_above_by_validation": before["thresholds"]["fake_above"],
    }
    said = f"on 40 more real photographs, of which {above:.0%} would be called fake"
    assert said in out.with_suffix(".md").read_text(encoding="utf-8")


def test_reals_that_the_model_does_not_suspect_leave_the_threshold(tiny, tiny_run, exported, tmp_path, monkeypatch):
    predict = XrayModel.predict
    monkeypatch.setattr(
        XrayModel, "predict", lambda self, v: replace(p := predict(self, v), scores=p.scores * (len(v) != 20))
    )
    reals = reals_store(tmp_path / "reals", tiny["store"], 20)
    card = XrayModel.load(export(tiny_run, tmp_path / "model.onnx", PHOTOGRAPHS, reals=reals)).card
    assert card["thresholds"] == XrayModel.load(exported).card["thresholds"]
    assert card["reals"]["fake_by_validation"] == 0


def test_an_export_gets_another_threshold_without_its_validation_faces(exported, tiny, tmp_path, monkeypatch):
    """As who has a model and photographs, and neither the run nor its stores."""
    monkeypatch.setattr(exporting, "validation_sets_of", None)
    reals = reals_store(tmp_path / "reals", tiny["store"], 20)
    out = tmp_path / "again.onnx"
    export(exported, out, reals=reals)
    again, first = XrayModel.load(out).card, XrayModel.load(exported).card
    assert again["reals"]["faces"] == 20
    assert again["reals"]["fake_above_by_validation"] == first["thresholds"]["fake_above"]
    assert {part for part in first if again[part] != first[part]} <= {"name", "reals", "thresholds", "exported"}
    one, two = (load_model(path)[0].state_dict() for path in (exported, out))
    assert all(torch.equal(one[name], two[name]) for name in one)
    views = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)
    assert np.array_equal(*(XrayModel.load(path).predict(views).scores for path in (exported, out)))
    assert out.with_suffix(".md").read_text(encoding="utf-8") == card_text(again, out.read_bytes())


def test_a_shipped_model_gets_another_threshold(tiny, tmp_path):
    out = export("default", tmp_path / "mine.onnx", reals=reals_store(tmp_path / "reals", tiny["store"], 20))
    mine, shipped = XrayModel.load(out), XrayModel.load()
    assert mine.card["validation"] == shipped.card["validation"]
    assert mine.card["reals"]["faces"] == 20
    assert mine.thresholds.fake_above >= mine.card["reals"]["fake_above_by_validation"]


def test_a_threshold_without_reals_is_the_validations_again(exported, tiny, tmp_path, monkeypatch):
    predict = XrayModel.predict
    monkeypatch.setattr(
        XrayModel, "predict", lambda self, v: replace(p := predict(self, v), scores=np.ones_like(p.scores))
    )
    raised, back = tmp_path / "raised.onnx", tmp_path / "back.onnx"
    export(exported, raised, reals=reals_store(tmp_path / "reals", tiny["store"], 20))
    export(raised, back)
    first, one, two = (XrayModel.load(path) for path in (exported, raised, back))
    assert one.thresholds.fake_above == 1
    assert two.thresholds == first.thresholds
    said = [path.with_suffix(".md").read_text(encoding="utf-8") for path in (raised, back)]
    assert ["more real photographs" in text for text in said] == [True, False]


def test_reals_in_parts_are_the_same_reals(exported, tiny, tmp_path, monkeypatch):
    reals = reals_store(tmp_path / "reals", tiny["store"], 20)
    cards = []
    for at_once in (20, 7):
        monkeypatch.setattr(choosing, "AT_ONCE", at_once)
        cards.append(XrayModel.load(export(exported, tmp_path / f"{at_once}.onnx", reals=reals)).card)
    for part in ("thresholds", "reals"):
        assert cards[0][part] == pytest.approx(cards[1][part])


def test_an_export_keeps_what_its_card_says_of_photographs_and_licence(exported, tmp_path):
    first = XrayModel.load(exported).card
    kept = XrayModel.load(export(exported, tmp_path / "kept.onnx")).card
    other = XrayModel.load(export(exported, tmp_path / "other.onnx", "others", licence="mit")).card
    assert (kept["photographs"], kept["licence"]) == (first["photographs"], first["licence"])
    assert (other["photographs"], other["licence"]) == ("others", "mit")


def test_the_photographs_of_runs_must_be_named(tiny_run, exported, tmp_path):
    """Also of an export and others together: its card does not know theirs."""
    for runs in ([tiny_run], [exported, tiny_run]):
        with pytest.raises(SettingsError, match="photographs: say whose the model learned from"):
            export(runs, tmp_path / "model.onnx")


def test_refuses_an_export_whose_weights_are_of_another(tiny_run, exported, tmp_path):
    for suffix in (".onnx", ".safetensors"):
        shutil.copy(exported.with_suffix(suffix), tmp_path / f"mixed{suffix}")
    net, card = load_model(exported)
    save_model(tmp_path / "mixed.safetensors", net, {**card, "seed": 8})
    with pytest.raises(ModelError, match=r"mixed\.onnx: the weights beside it have another card"):
        export(tmp_path / "mixed.onnx", tmp_path / "again.onnx")


def test_refuses_reals_too_few_or_faked(tiny, exported, fakes, tmp_path):
    few = reals_store(tmp_path / "reals", tiny["store"], 19)
    with pytest.raises(StoreError, match=r"5% of its 19 faces is less than one; at least 20 are needed"):
        export(exported, tmp_path / "model.onnx", reals=few)
    with pytest.raises(StoreError, match="holds given fakes"):
        export(exported, tmp_path / "model.onnx", reals=fakes.path)
    assert not list(tmp_path.glob("model*"))


def test_the_file_must_be_called_onnx(tiny_run, tmp_path):
    with pytest.raises(SettingsError, match=r"must end in \.onnx"):
        export([tiny_run], tmp_path / "README", "drawn for a test")


def test_the_card_names_the_teacher(model):
    card = copy.deepcopy(model.card)
    settings = {"network": {"backbone": "mobilenetv2_100", "pretrained": "hub"}}
    card["teacher"] = {"commit": "abc", "iteration": 7, "validation": {"auc_degraded": 0.91}, "settings": settings}
    taught = "- taught by: mobilenetv2_100, commit `abc`, iteration 7, validation AUC 0.910"
    assert f"{taught}\n  - begun from timm's weights of its hub\n" in card_text(card, b"model")
