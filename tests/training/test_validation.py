"""Validation: what its sets hold, what it measures, and that it leaves the network alone."""

from dataclasses import replace
from itertools import chain

import pytest
import torch
from lightning.fabric import Fabric
from sklearn.metrics import roc_auc_score

from facexray.blending.config import BlendConfig, weights_of
from facexray.images import read_image
from facexray.training.checkpoint import load_model
from facexray.training.datasets import collate
from facexray.training.validation import draw_predictions, unseen, validate, validation_sets


@pytest.fixture(scope="module")
def sets(tiny, store):
    return validation_sets(tiny["blending"], store, None, count=4)


@pytest.fixture(scope="module")
def net(tiny_run):
    return load_model(tiny_run)[0]


@pytest.fixture(scope="module")
def fabric():
    return Fabric(accelerator="cpu", devices=1)


def test_the_sets_are_fixed_and_paired(sets, tiny, store):
    again = validation_sets(tiny["blending"], store, None, count=4)
    assert list(sets) == ["degraded", "clean", "unseen"]
    for name, pairs in sets.items():
        assert [(real.label, fake.label) for real, fake in pairs] == [(0, 1)] * 4
        for one, other in zip(chain(*pairs), chain(*again[name]), strict=True):
            assert one.recipe == other.recipe
            assert (one.image == other.image).all()


def test_the_clean_set_is_not_degraded(sets):
    assert not any(sample.recipe.degradations for sample in chain(*sets["clean"]))
    assert any(sample.recipe.degradations for sample in chain(*sets["degraded"]))


def test_the_unseen_set_is_blended_by_what_training_leaves_out(sets, tiny):
    trained = tiny["blending"]
    for _, fake in sets["unseen"]:
        assert fake.recipe.blend not in weights_of(trained.blend)
        assert fake.recipe.hull not in weights_of(trained.hull)
        assert fake.recipe.soften not in weights_of(trained.soften)
    config = unseen(BlendConfig())
    assert set(weights_of(config.blend)) == {"poisson", "multiband"}
    assert set(weights_of(config.hull)) == {"extended", "inner_without_brows"}
    assert set(weights_of(config.soften)) == {"feather"}


def test_where_training_leaves_nothing_out_there_is_no_unseen_set(store):
    every = {"alpha": 1.0, "poisson": 1.0, "multiband": 1.0}
    everything = BlendConfig(soften={"gaussian": 1, "feather": 1}, blend=every)
    everything = replace(everything, hull=dict(**everything.hull, extended=1.0, inner_without_brows=1.0))
    assert list(validation_sets(everything, store, None, count=1)) == ["degraded", "clean"]


def test_a_weight_of_0_leaves_a_method_out():
    assert unseen(BlendConfig(blend={"alpha": 1, "poisson": 0, "multiband": 2})).blend == {"poisson": 1.0}


def test_it_measures_the_network_as_it_will_be_used_and_leaves_it_alone(sets, net, fabric, tiny):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    result = validate(net, fabric, sets, tiny["optim"])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    for name, pairs in sets.items():
        views, xrays, labels = collate(pairs).batch
        with torch.no_grad():
            output = net(views)
        p = output.xray_logits.double().sigmoid()
        divergence = torch.xlogy(xrays, xrays / p) + torch.xlogy(1 - xrays, (1 - xrays) / (1 - p))
        assert result[f"excess_{name}"] == pytest.approx(divergence.mean().item(), rel=1e-3)
        assert result[f"auc_{name}"] == pytest.approx(roc_auc_score(labels, output.class_logits.softmax(1)[:, 1]))
        assert result[f"auc_xray_mean_{name}"] == pytest.approx(roc_auc_score(labels, p.mean((1, 2))))
        assert result[f"auc_xray_max_{name}"] == pytest.approx(roc_auc_score(labels, p.amax((1, 2)).float()))


def test_the_picture_shows_fakes_their_xrays_and_the_predictions(sets, net, fabric, tmp_path):
    draw_predictions(net, fabric, sets["clean"], tmp_path / "pictures" / "000003.png")
    picture = read_image(tmp_path / "pictures" / "000003.png")
    tile = picture.shape[1] // 5
    rows = picture[24:].reshape(len(sets["clean"]), -1, 5, tile, 3)[:, : tile - 4]  # beneath, a line of text
    assert rows[:, :, 1, :-4].max(axis=(1, 2, 3)).min() > 200  # every true X-ray has its bright line
    assert rows[:, :, 2, :-4].std() < rows[:, :, 1, :-4].std()  # a network of six iterations has none
