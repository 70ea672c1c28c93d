"""The network: the head's algebra, shapes, normalisation."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from facexray.errors import SettingsError
from facexray.training.config import NetworkConfig
from facexray.training.losses import face_xray_loss
from facexray.training.network import IMAGENET_MEAN, IMAGENET_STD, FaceXrayNet, pool_xray


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


POOLED = ["mean", "max", "top_k"]
HEADS = ["paper", "features", *POOLED]


@pytest.mark.parametrize("how", POOLED)
@pytest.mark.parametrize("side", [256, 128])
def test_pooled_scores_equal_numpy_s(how, side):
    xrays = np.random.default_rng(0).random((3, side, side), dtype=np.float32) ** 4
    highest = np.sort(xrays.reshape(3, -1))[:, ::-1]
    count = {"mean": side * side, "max": 1, "top_k": round(side * side / 100)}[how]
    np.testing.assert_allclose(pool_xray(torch.tensor(xrays), how), highest[:, :count].mean(1), rtol=1e-5)


@pytest.mark.parametrize("head", POOLED)
def test_a_pooled_score_is_the_probability_of_fake(head):
    net = FaceXrayNet(NetworkConfig(class_head=head)).eval()
    assert net.class_head is None
    with torch.no_grad():
        output = net(torch.rand(2, 3, 128, 128))
    pooled = pool_xray(output.xray_logits.sigmoid(), head)
    torch.testing.assert_close(output.class_logits.softmax(1), torch.stack([1 - pooled, pooled], 1))


@pytest.mark.parametrize("head", POOLED)
@pytest.mark.parametrize("xray", [-100.0, 0.0, 100.0])
def test_a_saturated_xray_has_a_finite_class_loss(head, xray):
    net = FaceXrayNet(NetworkConfig(class_head=head))
    for part in net.xray_head:
        nn.init.zeros_(part.weight)
    nn.init.constant_(net.xray_head[0].bias, xray)
    output = net(torch.rand(2, 3, 64, 64))
    loss = functional.cross_entropy(output.class_logits, torch.tensor([0, 1]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(net.xray_head[0].bias.grad).all()


@pytest.mark.parametrize("head", HEADS)
def test_the_class_loss_alone_reaches_the_xray_head_where_the_class_hangs_on_it(head):
    torch.manual_seed(0)
    net = FaceXrayNet(NetworkConfig(class_head=head))
    functional.cross_entropy(net(torch.rand(2, 3, 128, 128)).class_logits, torch.tensor([1, 1])).backward()
    reached = [part.weight.grad is not None and bool(part.weight.grad.any()) for part in net.xray_head]
    assert reached == [head != "features"] * 4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("head", HEADS)
def test_half_precision_gives_finite_losses_near_the_exact_ones(head, dtype):
    torch.manual_seed(0)
    net = FaceXrayNet(NetworkConfig(class_head=head))
    views, xray, labels = torch.rand(2, 3, 64, 64), torch.rand(2, 64, 64), torch.tensor([0, 1])
    with torch.no_grad():
        exact = face_xray_loss(net(views), xray, labels, 100.0)
    with torch.autocast("cpu", dtype):
        output = net(views)
        rough = face_xray_loss(output, xray, labels, 100.0)
    rough.total.backward()
    assert output.xray_logits.dtype == dtype
    for got, wanted in zip(rough, exact, strict=True):
        torch.testing.assert_close(got.float(), wanted, rtol=0.02, atol=0.01)
    assert all(torch.isfinite(weight.grad).all() for weight in net.parameters() if weight.grad is not None)


@pytest.mark.parametrize(
    "backbone", ["efficientnet_b0", "convnext_atto", "vit_tiny_patch16_224", "eva02_tiny_patch14_224"]
)
def test_pyramids_and_vits_serve_too_for_views_and_patches(backbone):
    torch.manual_seed(0)
    net = FaceXrayNet(NetworkConfig(backbone=backbone, class_head="features"))
    with torch.no_grad():
        assert net.eval()(torch.rand(1, 3, 256, 256)).xray_logits.shape == (1, 256, 256)
    output = net.train()(torch.rand(2, 3, 128, 128))
    assert output.xray_logits.shape == (2, 128, 128)
    face_xray_loss(output, torch.rand(2, 128, 128), torch.tensor([0, 1]), 100.0).total.backward()
    first = next(net.backbone.parameters())
    assert all(part.weight.grad.any() for part in net.xray_head)
    assert torch.isfinite(first.grad).all()
    assert first.grad.any()


@pytest.mark.parametrize(("backbone", "stride"), [("hrnet_w18_small", 4), ("eva02_tiny_patch14_224", 14)])
def test_the_xray_lies_where_the_features_lie(backbone, stride):
    """Feature maps that hold the place of each cell's middle must give an X-ray that holds each pixel's place."""
    net = FaceXrayNet(NetworkConfig(backbone=backbone))
    assert net.stride == stride
    cells = -(-256 // stride)  # 19 patches of 14 pixels: the last one hangs over
    middles = (torch.arange(cells) + 0.5) * stride
    places = torch.stack(torch.meshgrid(middles, middles, indexing="ij"))
    for axis in (0, 1):
        features = [places[axis].expand(1, c, cells, cells) for c in net.channels]
        net.backbone.forward = lambda views, features=features: features
        for i, part in enumerate(net.xray_head):
            nn.init.constant_(part.weight, 1 / features[0].shape[1] if i == 0 else 0)
        nn.init.zeros_(net.xray_head[0].bias)
        with torch.no_grad():
            xray = net(torch.rand(1, 3, 256, 256)).xray_logits[0]
        expected = (torch.arange(256) + 0.5).expand(256, 256)
        inner = slice(stride, 256 - stride)
        expected = expected.T if axis == 0 else expected
        torch.testing.assert_close(xray[inner, inner], expected[inner, inner], atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("backbone", "pattern"), [("hrnet_w18_small", r"bn\d|\.1\.(weight|bias)"), ("vit_tiny_patch16_224", "norm")]
)
def test_tune_norms_leaves_the_rest_of_the_backbone_as_it_was(backbone, pattern):
    torch.manual_seed(0)
    net = FaceXrayNet(NetworkConfig(backbone=backbone, tune="norms"))
    before = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    learning = [weight for weight in net.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-3, weight_decay=0.1)
    output = net(torch.rand(2, 3, 128, 128))
    face_xray_loss(output, torch.rand(2, 128, 128), torch.tensor([0, 1]), 100.0).total.backward()
    optimizer.step()
    for name, weight in net.named_parameters():
        learns = not name.startswith("backbone.") or re.search(pattern, name) is not None
        assert weight.requires_grad == learns, name
        assert learns or torch.equal(weight, before[name]), name
    changed = sum(not torch.equal(weight, before[name]) for name, weight in net.named_parameters())
    assert changed > 0.9 * len(learning)
