"""The mean of several runs' weights, as one model."""

import copy
import re
from dataclasses import asdict

import pytest
import torch

from facexray.errors import ModelError, SettingsError
from facexray.runtime.model import XrayModel
from facexray.training.calibration import Calibration, calibrate
from facexray.training.card import card_text
from facexray.training.checkpoint import load_mean, load_model, origin, save_model
from facexray.training.command import export
from facexray.training.export import licence_of


@pytest.fixture
def other_run(tiny_run, tmp_path):
    """Make a run whose weights lie beside the tiny run's, its card changed."""

    def make(**changes):
        net, card = load_model(tiny_run)
        card = copy.deepcopy(card)
        for part, change in changes.items():
            card.setdefault(part, {}).update(change)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weight in net.parameters():
                weight.add_(1e-3 * torch.randn(weight.shape, generator=generator))
        save_model(tmp_path, net, {**card, "commit": "0" * 12})
        return tmp_path

    return make


def test_weights_and_statistics_are_the_means(tiny_run, other_run):
    runs = tiny_run, other_run()
    net, card = load_mean(runs)
    one, two = (load_model(run)[0].state_dict() for run in runs)
    assert not net.training
    for name, weight in net.state_dict().items():
        assert weight.dtype == one[name].dtype
        torch.testing.assert_close(weight.double(), (one[name].double() + two[name].double()) / 2, rtol=1e-6, atol=1e-9)
    assert card["commit"] == load_model(tiny_run)[1]["commit"]
    assert [part["commit"] for part in card["averaged_with"]] == ["0" * 12]


def test_one_run_is_itself(tiny_run):
    net, card = load_mean([tiny_run])
    trained, own = load_model(tiny_run)
    assert card == own
    assert all(torch.equal(weight, trained.state_dict()[name]) for name, weight in net.state_dict().items())


def test_the_export_is_of_the_mean_and_its_card_names_all(tiny_run, other_run, tmp_path):
    runs = [tiny_run, other_run()]
    out = export(runs, tmp_path / "mean.onnx", "drawn for a test")
    mean, one, two = (load_model(path)[0].backbone.state_dict() for path in (out.with_suffix(".safetensors"), *runs))
    for name, weight in mean.items():
        torch.testing.assert_close(weight.double(), (one[name].double() + two[name].double()) / 2, rtol=1e-6, atol=1e-9)
    card = XrayModel.load(out).card
    said = card_text(card, b"model")
    assert f"\n- averaged with: test_efficientnet, commit `{'0' * 12}`, iteration" in said
    assert origin(card)["averaged_with"] == card["averaged_with"], "who goes on from it says so, too"


def test_the_calibration_of_an_export_stays_out_of_the_mean(tiny_run, other_run, tmp_path):
    run, calibration = other_run(), Calibration(0.5, 0.7, 0.2, 0.1)
    net, card = load_model(tiny_run)
    calibrate(net, calibration)
    save_model(tmp_path / "export.safetensors", net, {**card, "calibration": asdict(calibration)})
    for place in (0, 1):
        runs, with_export = [run], [run]
        runs.insert(place, tiny_run)
        with_export.insert(place, tmp_path / "export.safetensors")
        raw, found = (load_mean(those)[0].class_head for those in (runs, with_export))
        torch.testing.assert_close(found.weight, raw.weight)
        torch.testing.assert_close(found.bias, raw.bias)


def test_a_mean_has_the_licence_of_what_it_came_from(tiny_run, other_run, tmp_path):
    run = other_run()
    exports = {}
    for licence in ("cc-by-nc-4.0", "mit"):
        exports[licence] = export([tiny_run], tmp_path / f"{licence}.onnx", "drawn for a test", licence)
    card = XrayModel.load(export([run, exports["mit"]], tmp_path / "mean.onnx", "drawn for a test")).card
    assert card["licence"] == "mit"
    both = load_mean([run, *exports.values()])[1]
    with pytest.raises(SettingsError, match=r"came from weights under cc-by-nc-4\.0, mit; say which"):
        licence_of(both)


def test_a_card_names_once_the_model_that_a_run_began_from_and_is_averaged_with(tiny_run, other_run, tmp_path):
    beginning = tiny_run
    run = other_run(pretrained=origin(load_model(beginning)[1]))
    card = XrayModel.load(export([run, beginning], tmp_path / "mean.onnx", "drawn for a test")).card
    said = card_text(card, b"model")
    assert re.search(r"^- averaged with: test_efficientnet, .*, told above$", said, re.MULTILINE)
    assert said.count("  - begun from random weights") == 1


@pytest.mark.parametrize("change", [{"backbone": "test_resnet"}, {"class_head": "top_k"}])
def test_runs_of_different_networks_are_refused(change, tiny_run, tmp_path):
    net, card = load_model(tiny_run)
    config = type(net.config)(**{**vars(net.config), "pretrained": None, **change})
    card["settings"] = {**card["settings"], "network": vars(config)}
    save_model(tmp_path, type(net)(config), card)
    with pytest.raises(ModelError, match=r"a test_\w+ with the class head \w+, and .* is a test_efficientnet"):
        load_mean([tiny_run, tmp_path])


def test_runs_that_other_faces_validated_are_refused(tiny_run, other_run):
    with pytest.raises(ModelError, match=r"validated on other faces.*the same stores"):
        load_mean([tiny_run, other_run(data={"validation_faces_sha256": "another"})])


def test_a_mean_that_judges_worse_than_the_first_is_refused(tiny_run, other_run, tmp_path):
    """As that of runs which did not begin from one model does."""
    better = other_run(validation={"auc_degraded": 1.1})
    with pytest.raises(ModelError, match=r"alone it has an AUC of 1\.100 .* went on from one model"):
        export([better, tiny_run], tmp_path / "mean.onnx", "drawn for a test")
    assert not list(tmp_path.glob("mean*"))
