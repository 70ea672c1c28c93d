"""The learning rate, what rests, and the moving average."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from facexray.training.config import NetworkConfig, OptimConfig
from facexray.training.network import FaceXrayNet
from facexray.training.schedule import Freezer, learning_rate, make_average, make_optimizer


@pytest.mark.parametrize(
    ("iterations", "iteration", "share"),
    [
        (200, 0, 0.25),  # 2 % are 4 iterations of warm-up
        (200, 3, 1),
        (200, 4, 1),
        (200, 102, 0.5),
        (200, 199, (1 + math.cos(math.pi * 195 / 196)) / 2),
        (200, 200, 0),
        (10, 0, 1),
        (1, 0, 1),
    ],
)
def test_the_learning_rate_warms_up_and_falls_to_0(iterations, iteration, share):
    optim = OptimConfig(iterations=iterations, lr=3e-4)
    assert learning_rate(optim, iteration) == pytest.approx(3e-4 * share, abs=1e-12)


def test_the_learning_rate_never_rises_after_its_warm_up():
    optim = OptimConfig(iterations=500)
    rates = [learning_rate(optim, iteration) for iteration in range(500)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-4 * optim.lr


@pytest.mark.parametrize(
    ("iteration", "share"), [(0, 1), (149_999, 1), (150_000, 1), (162_500, 0.75), (175_000, 0.5), (199_999, 1 / 50_000)]
)
def test_the_papers_learning_rate_is_constant_and_falls_in_a_line(iteration, share):
    optim = OptimConfig(schedule="linear", warm_up=0, decay=0.25)
    assert learning_rate(optim, iteration) == pytest.approx(2e-4 * share)


def test_one_cycle_rises_and_falls():
    optim = OptimConfig(iterations=100, warm_up=0.3, decay=0.7)
    rates = [learning_rate(optim, iteration) for iteration in range(100)]
    assert rates.index(max(rates)) in (29, 30)
    assert max(rates) == optim.lr
    assert rates[0] == pytest.approx(optim.lr / 30)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return FaceXrayNet(NetworkConfig(backbone="test_efficientnet", class_head="features"))


def step(net, optimizer, freezer, iteration):
    freezer.prepare(iteration)
    optimizer.zero_grad()
    output = net(torch.rand(2, 3, 64, 64))
    (output.xray_logits.square().mean() + output.class_logits.square().mean()).backward()
    optimizer.step()


def test_a_frozen_backbone_keeps_its_weights_and_statistics(net):
    """Rule 8: BatchNorm statistics rest while the backbone does."""
    optim = OptimConfig(lr=0.01, freeze_iterations=2)
    optimizer, freezer = make_optimizer(optim, net), Freezer(optim, net)
    before = {name: value.clone() for name, value in net.state_dict().items()}

    def changed():
        return {name.split(".")[0] for name, value in net.state_dict().items() if not torch.equal(value, before[name])}

    for iteration in (0, 1):
        step(net, optimizer, freezer, iteration)
    assert changed() == {"xray_head", "class_head"}
    step(net, optimizer, freezer, 2)
    assert changed() == {"xray_head", "class_head", "backbone"}
    assert net.backbone.training
    assert any(not torch.equal(v, before[n]) for n, v in net.state_dict().items() if n.endswith("running_mean"))


def test_what_never_learns_does_not_begin_to_after_the_freeze():
    net = FaceXrayNet(NetworkConfig(backbone="test_efficientnet", tune="norms"))
    freezer = Freezer(OptimConfig(freeze_iterations=1), net)
    freezer.prepare(0)
    assert not any(weight.requires_grad for weight in net.backbone.parameters())
    freezer.prepare(1)
    convolutions = [module for module in net.backbone.modules() if isinstance(module, nn.Conv2d)]
    assert not any(convolution.weight.requires_grad for convolution in convolutions)
    assert any(weight.requires_grad for weight in net.backbone.parameters())


def test_the_average_is_exponential_over_weights_and_statistics(net):
    optim = OptimConfig(ema=0.75)
    average = make_average(optim, net)
    names = ("class_head.bias", "backbone.bn1.running_mean")
    values = []
    for value in (4.0, 8.0, 16.0):
        with torch.no_grad():
            for name in names:
                net.state_dict()[name].fill_(value)
        average.update_parameters(net)
        values.append([average.module.state_dict()[name][0].item() for name in names])
    assert values == [[4.0, 4.0], [5.0, 5.0], [7.75, 7.75]]  # ¾ of the old and ¼ of the new, from the first on
    assert make_average(replace(optim, ema=0.0), net) is None


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_the_optimiser_is_the_one_named(name, kind, net):
    optimizer = make_optimizer(OptimConfig(optimizer=name, weight_decay=0.3), net)
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["weight_decay"] == (0.3 if name == "adamw" else 0)
