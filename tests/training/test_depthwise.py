"""Depthwise convolutions that take their gradients in float32."""

import copy

import pytest
import torch
from torch import nn

from facexray.training.backbone import make_backbone
from facexray.training.config import NetworkConfig
from facexray.training.depthwise import quicken_depthwise

SHAPES = [(3, 2, False), (5, 1, False), (5, 2, True)]


def plain_and_quickened(kernel, stride, bias):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=8, bias=bias))
    quickened = copy.deepcopy(plain)
    quicken_depthwise(quickened)
    return plain, quickened


def gradients(net, dtype=torch.float32, autocast=False):
    """Of the views and of the parameters, with the output first."""
    torch.manual_seed(1)
    views = torch.randn(2, 8, 16, 16).to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = net(views)
    (output.float() * torch.randn(output.shape)).sum().backward()
    return [output, views.grad, *(parameter.grad for parameter in net.parameters())]


@pytest.mark.parametrize("shape", SHAPES)
def test_in_float32_nothing_changes(shape):
    for one, other in zip(*map(gradients, plain_and_quickened(*shape)), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("shape", SHAPES)
def test_in_bfloat16_the_output_stays_and_the_gradients_come_nearer_to_float64(shape):
    plain, quickened = plain_and_quickened(*shape)
    # The truth: of the very numbers that bfloat16 sees.
    exact = copy.deepcopy(plain).bfloat16().double()
    truth = gradients(Rounded(exact), torch.float64)
    usual, ours = gradients(plain, autocast=True), gradients(quickened, autocast=True)
    assert torch.equal(usual[0], ours[0])
    assert ours[0].dtype == torch.bfloat16
    for true, theirs, own in zip(truth[1:], usual[1:], ours[1:], strict=True):
        assert own.dtype == torch.float32
        assert (own - true).norm() <= 1.01 * (theirs - true).norm()
        assert (own - true).norm() < 0.01 * true.norm()


class Rounded(nn.Module):
    """A network in float64 of views and gradients that are rounded to bfloat16."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, views):
        output = self.net(views.bfloat16().double())
        output.register_hook(lambda grad: grad.bfloat16().double())
        return output


def test_only_wide_or_strided_depthwise_convolutions_change():
    net = nn.Sequential(
        nn.Conv2d(8, 8, 3, 1, 1, groups=8),
        nn.Conv2d(8, 16, 5, 2, 2),
        nn.Conv2d(8, 16, 3, 2, 1, groups=8),
        nn.Conv2d(8, 8, 3, 2, 1, groups=4),
        nn.Conv2d(1, 1, 5),
        nn.Conv2d(8, 8, 5, padding="same", groups=8),
        nn.Conv2d(8, 8, 5, padding=2, padding_mode="reflect", groups=8),
    )
    quicken_depthwise(net)
    assert all(type(module) is nn.Conv2d for module in net)


def test_a_backbone_keeps_its_weights_names():
    with torch.device("meta"):
        backbone, _ = make_backbone(NetworkConfig("mobilenetv2_100"))
    changed = [name for name, module in backbone.named_modules() if type(module).__name__ == "_DepthwiseConv2d"]
    assert len(changed) == 4  # the strided ones; all of its kernels are 3 x 3
    assert f"{changed[0]}.weight" in backbone.state_dict()
