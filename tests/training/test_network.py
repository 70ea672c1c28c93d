"""The network: the head's algebra, shapes, normalisation."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from facexray.errors import SettingsError
from facexray.training.config import NetworkConfig
from facexray.training.network import IMAGENET_MEAN, IMAGENET_STD, FaceXrayNet


@pytest.fixture(scope="module", params=["paper", "features"])
def net(request):
    torch.manual_seed(0)
    net = FaceXrayNet(NetworkConfig(class_head=request.param))
    for head in net.xray_head:  # so that the X-ray depends on every branch
        nn.init.normal_(head.weight, std=0.05)
    return net.eval()


@pytest.fixture(scope="module")
def views():
    return torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def output(net, views):
    with torch.no_grad():
        return net(views)


def branches_of(net, views):
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        return net.backbone((views - mean) / std)


def test_one_head_per_branch_is_the_paper_s_concatenation(net, views, output):
    """The paper: upsample all branches to 64 × 64, concatenate, one 1 × 1 convolution, upsample."""
    branches = branches_of(net, views)
    assert [tuple(branch.shape[2:]) for branch in branches] == [(64, 64), (32, 32), (16, 16), (8, 8)]
    upsampled = [functional.interpolate(b, (64, 64), mode="bilinear", align_corners=False) for b in branches]
    together = nn.Conv2d(sum(b.shape[1] for b in branches), 1, 1)
    with torch.no_grad():
        together.weight.copy_(torch.cat([head.weight for head in net.xray_head], dim=1))
        together.bias.copy_(net.xray_head[0].bias)
        logits = together(torch.cat(upsampled, dim=1))
        logits = functional.interpolate(logits, (256, 256), mode="bilinear", align_corners=False)
    assert output.xray_logits.std() > 0.1
    torch.testing.assert_close(output.xray_logits, logits[:, 0], atol=1e-4, rtol=1e-4)


def test_the_head_has_one_bias(net):
    assert [head.bias is None for head in net.xray_head] == [False, True, True, True]


def test_shapes_and_types(output):
    assert output.xray_logits.shape == (2, 256, 256)
    assert output.class_logits.shape == (2, 2)
    assert output.xray_logits.dtype == output.class_logits.dtype == torch.float32
    assert torch.isfinite(output.xray_logits).all()


def test_the_class_head_reads_what_its_name_says(net, views, output):
    if net.config.class_head == "paper":
        pooled = output.xray_logits.sigmoid().mean((1, 2))[:, None]
    else:
        branches = branches_of(net, views)
        pooled = torch.cat([p for b in branches for p in (b.mean((2, 3)), b.flatten(2).max(2).values)], dim=1)
    expected = pooled @ net.class_head.weight.T + net.class_head.bias
    torch.testing.assert_close(output.class_logits, expected, atol=1e-4, rtol=1e-4)


def test_both_losses_reach_every_weight():
    torch.manual_seed(0)
    net = FaceXrayNet(NetworkConfig())
    output = net(torch.rand(2, 3, 256, 256))
    (output.xray_logits.square().mean() + output.class_logits.square().sum()).backward()
    without = [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not without


def test_the_normalisation_is_inside_and_saved(net):
    state = net.state_dict()
    np.testing.assert_allclose(state["mean"].ravel(), [0.485, 0.456, 0.406])
    np.testing.assert_allclose(state["std"].ravel(), [0.229, 0.224, 0.225])
    seen = []
    hook = net.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.no_grad():
        net((state["mean"] + state["std"]).expand(1, 3, 256, 256))
    hook.remove()
    torch.testing.assert_close(seen[0], torch.ones(1, 3, 256, 256), atol=1e-5, rtol=0)


def test_batch_norm_learns_in_training_and_rests_in_evaluation(views):
    net = FaceXrayNet(NetworkConfig())
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) > 50
    before = norms[0].running_mean.clone()
    with torch.no_grad():
        net.eval()(views)
        torch.testing.assert_close(norms[0].running_mean, before)
        net.train()(views)
    assert (norms[0].running_mean - before).abs().max() > 1e-3


def test_in_evaluation_a_view_stands_for_itself(net, views, output):
    with torch.no_grad():
        alone = net(views[1:])
    torch.testing.assert_close(alone.xray_logits[0], output.xray_logits[1], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(alone.class_logits[0], output.class_logits[1], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("backbone", ["hrnet_w19", "w48", ""])
def test_an_unknown_backbone_is_answered_with_the_known_ones(backbone):
    with pytest.raises(SettingsError, match=rf"'{backbone}'.*hrnet_w18_small.*hrnet_w48"):
        FaceXrayNet(NetworkConfig(backbone=backbone))
