"""Learning from a trained network."""

from pathlib import Path

import pytest
import torch
from torch import nn

from facexray.errors import ModelError
from facexray.runtime.weights import DEFAULT
from facexray.training.checkpoint import load_model
from facexray.training.command import train
from facexray.training.config import NetworkConfig, OptimConfig
from facexray.training.network import FaceXrayNet
from facexray.training.teacher import Pupil, Teacher, feature_loss


@pytest.fixture(scope="module")
def teacher(tiny_run):
    return Teacher(tiny_run, torch.device("cpu"))


@pytest.fixture(scope="module")
def views():
    return torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(1))


def test_its_feature_maps_are_standardised_by_channel(teacher, views):
    taught = teacher.features(views)
    raw = teacher.net(views).features
    for own, truth in zip(taught, raw, strict=True):
        values, expected = (m.detach().transpose(0, 1).flatten(1).double() for m in (own, truth))
        torch.testing.assert_close(values.mean(1), torch.zeros(len(values), dtype=torch.float64), atol=1e-4, rtol=0)
        corrected = (expected - expected.mean(1, keepdim=True)) / (expected.var(1, correction=0) + 1e-5).sqrt()[:, None]
        torch.testing.assert_close(values, corrected, atol=1e-3, rtol=1e-3)


def test_it_does_not_learn(teacher, views):
    assert not teacher.net.training
    assert not any(weight.requires_grad for weight in teacher.net.parameters())
    assert not any(f.requires_grad for f in teacher.features(views))


def test_a_pupil_guesses_maps_of_the_teachers_shape(teacher, views):
    pupil = Pupil(FaceXrayNet(NetworkConfig()), teacher)
    output, guesses = pupil(views)
    assert [guess.shape for guess in guesses] == [truth.shape for truth in teacher.features(views)]
    torch.testing.assert_close(output.class_logits, pupil.net(views).class_logits, atol=1e-4, rtol=1e-4)


def test_without_a_teacher_a_pupil_is_the_network_alone(views):
    pupil = Pupil(FaceXrayNet(NetworkConfig(backbone="test_efficientnet")), None)
    assert pupil(views)[1] == []
    assert {name.split(".")[0] for name in pupil.state_dict()} == {"net"}


def test_the_loss_is_0_where_all_is_known_and_1_where_nothing_is(teacher, views):
    taught = teacher.features(views)
    assert feature_loss(taught, taught).item() == 0
    assert feature_loss([torch.zeros_like(t) for t in taught], taught).item() == pytest.approx(1, abs=0.01)


def test_other_sizes_of_maps_are_compared_at_the_teachers():
    guess, truth = torch.full((1, 2, 4, 4), 3.0), torch.full((1, 2, 8, 8), 1.0)
    assert feature_loss([guess], [truth]).item() == 4


def test_the_run_keeps_the_network_alone(tiny, tiny_run, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("facexray.training.loop.feature_loss", lambda *a: seen.append(feature_loss(*a)) or seen[-1])
    network = NetworkConfig(backbone="test_resnet")
    optim = OptimConfig(iterations=3, batch_size=4, lr=1e-3, teacher=tiny_run)
    run = train(out=tmp_path / "run", **tiny | {"network": network, "optim": optim})
    assert len(seen) == 3
    assert seen[0].requires_grad
    assert load_model(run)[1]["teacher"]["settings"]["network"]["backbone"] == tiny["network"].backbone
    kept = Pupil(FaceXrayNet(network), None).net.state_dict().keys()
    from safetensors import safe_open

    with safe_open(run / "best.safetensors", "pt") as file:
        assert set(file.keys()) == set(kept)


def test_a_shipped_model_teaches(views):
    taught = Teacher(Path(DEFAULT), torch.device("cpu"))
    assert taught.net.config.backbone == DEFAULT.partition(".")[0]
    assert [f.shape[2:] for f in taught.features(views)] == [(32, 32), (16, 16), (8, 8), (4, 4)]


def test_a_folder_without_a_run_teaches_nothing(tmp_path):
    with pytest.raises(ModelError, match="no trained network here"):
        Teacher(tmp_path, torch.device("cpu"))


def test_a_pupil_with_another_number_of_maps_is_refused(teacher):
    net = FaceXrayNet(NetworkConfig(backbone="test_vit"))
    assert isinstance(net, nn.Module)
    with pytest.raises(ModelError, match=r"4 feature maps.*3"):
        Pupil(net, teacher)
