"""Going on from a trained model of ours: `network.pretrained` names a run, a file or a shipped model."""

from dataclasses import replace

import pytest
import torch

from facexray.errors import ModelError
from facexray.runtime.weights import SHA256, shipped_name
from facexray.training.checkpoint import begin, load_model
from facexray.training.command import train
from facexray.training.config import NetworkConfig, OptimConfig


def same(net, other):
    own, others = net.state_dict(), other.state_dict()
    return own.keys() == others.keys() and all(torch.equal(own[name], others[name]) for name in own)


def test_a_run_gives_its_weights_heads_and_all(tiny, tiny_run):
    trained, card = load_model(tiny_run)
    for path in (tiny_run, tiny_run / "best.safetensors"):
        net, origin = begin(replace(tiny["network"], pretrained=str(path)))
        assert same(net, trained)
        assert net.training
        assert all(weight.requires_grad for weight in net.parameters())
        assert (origin["commit"], origin["iteration"]) == (card["commit"], card["iteration"])


@pytest.mark.parametrize("name", [*SHA256, "default"])
def test_a_shipped_model_gives_its_weights(name):
    net, origin = begin(NetworkConfig(shipped_name(name).partition(".")[0], pretrained=name, class_head="features"))
    assert origin["settings"]["network"]["backbone"] == net.config.backbone
    assert not same(net, begin(replace(net.config, pretrained=None))[0])


def test_other_first_weights_are_the_backbones(tmp_path):
    assert begin(NetworkConfig())[1] is None
    with pytest.raises(ModelError, match="cannot be read as weights"):
        begin(NetworkConfig(pretrained=str(tmp_path / "missing.safetensors")))


@pytest.mark.parametrize("other", [{"backbone": "test_resnet"}, {"class_head": "top_k"}])
def test_another_network_is_refused(other, tiny, tiny_run):
    with pytest.raises(ModelError, match=r"is a .* class head .*network\.backbone and network\.class_head"):
        begin(replace(tiny["network"], pretrained=str(tiny_run), **other))


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no trained network here"):
        begin(NetworkConfig(pretrained=str(tmp_path)))


def test_the_run_says_what_it_went_on_from(tiny, tiny_run, tmp_path):
    network = replace(tiny["network"], pretrained=str(tiny_run))
    optim = OptimConfig(iterations=1, batch_size=4, lr=1e-9)
    run = train(out=tmp_path / "run", **tiny | {"network": network, "optim": optim})
    (net, card), (trained, first) = load_model(run), load_model(tiny_run)
    assert card["pretrained"]["settings"] == first["settings"]
    for name, weight in net.named_parameters():
        torch.testing.assert_close(weight, trained.get_parameter(name), atol=1e-6, rtol=1e-6)
