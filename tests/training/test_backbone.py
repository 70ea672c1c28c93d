"""Backbones: their feature maps, and the files that their first weights come from."""

import copy
import os
import pickle

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from facexray.errors import ModelError, SettingsError
from facexray.training.backbone import load_backbone, make_backbone, tune_norms
from facexray.training.config import NetworkConfig

SMALL = "hrnet_w18_small"
# The official networks: width, then blocks and planes of stage 1, blocks of a branch, modules of stages 2, 3 and 4.
OFFICIAL = {
    SMALL: (16, 1, 32, 2, (1, 1, 1)),
    "hrnet_w18_small_v2": (18, 2, 64, 2, (1, 3, 2)),
    **{f"hrnet_w{width}": (width, 4, 64, 4, (1, 4, 3)) for width in (18, 30, 32, 40, 44, 48, 64)},
}


class Shapes(dict):
    """Names and shapes of weights, written down layer by layer."""

    def conv(self, name, out, into, size, bias=False):
        self[f"{name}.weight"] = (out, into, size, size)
        if bias:
            self[f"{name}.bias"] = (out,)

    def norm(self, name, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            self[f"{name}.{part}"] = (channels,)
        self[f"{name}.num_batches_tracked"] = ()

    def conv_norm(self, name, out, into, size, bias=False):
        self.conv(f"{name}.0", out, into, size, bias)
        self.norm(f"{name}.1", out)

    def block(self, name, sizes):
        for i, (out, into, size) in enumerate(sizes, 1):
            self.conv(f"{name}.conv{i}", out, into, size)
            self.norm(f"{name}.bn{i}", out)

    def bottleneck(self, name, into, planes):
        self.block(name, [(planes, into, 1), (planes, planes, 3), (4 * planes, planes, 1)])
        if into != 4 * planes:
            self.conv_norm(f"{name}.downsample", 4 * planes, into, 1)

    def module(self, name, channels, blocks):
        for i, own in enumerate(channels):
            for b in range(blocks):
                self.block(f"{name}.branches.{i}.{b}", [(own, own, 3)] * 2)
            for j in range(i + 1, len(channels)):  # from the coarser branches
                self.conv_norm(f"{name}.fuse_layers.{i}.{j}", own, channels[j], 1)
            for j in range(i):  # from the finer ones, halved step by step
                for step in range(i - j):
                    last = step == i - j - 1
                    out = own if last else channels[j]
                    self.conv_norm(f"{name}.fuse_layers.{i}.{j}.{step}", out, channels[j], 3)


def official_shapes(network):
    """Those of hrnetv2_w*_imagenet_pretrained.pth."""
    width, blocks_1, planes_1, blocks, modules = OFFICIAL[network]
    channels = [width, 2 * width, 4 * width, 8 * width]
    shapes = Shapes()
    for i, into in ((1, 3), (2, 64)):
        shapes.conv(f"conv{i}", 64, into, 3)
        shapes.norm(f"bn{i}", 64)
    for i in range(blocks_1):
        shapes.bottleneck(f"layer1.{i}", 64 if i == 0 else 4 * planes_1, planes_1)
    shapes.conv_norm("transition1.0", width, 4 * planes_1, 3)
    shapes.conv_norm("transition1.1.0", 2 * width, 4 * planes_1, 3)
    shapes.conv_norm("transition2.2.0", 4 * width, 2 * width, 3)
    shapes.conv_norm("transition3.3.0", 8 * width, 4 * width, 3)
    for branches, count in zip((2, 3, 4), modules, strict=True):
        for m in range(count):
            shapes.module(f"stage{branches}.{m}", channels[:branches], blocks)
    for i, planes in enumerate((32, 64, 128, 256)):
        shapes.bottleneck(f"incre_modules.{i}.0", channels[i], planes)
    for i, out in enumerate((256, 512, 1024)):
        shapes.conv_norm(f"downsamp_modules.{i}", out, out // 2, 3, bias=True)
    shapes.conv_norm("final_layer", 2048, 1024, 1, bias=True)
    return {**shapes, "classifier.weight": (1000, 2048), "classifier.bias": (1000,)}


def official_weights(network):
    """Each weight full of a number of its own; as one stored number, so that the files are small."""
    shapes = official_shapes(network)
    return {
        name: torch.tensor(i if name.endswith("tracked") else i / 1000).expand(shape)
        for i, (name, shape) in enumerate(shapes.items(), 1)
    }


@pytest.fixture(scope="module")
def weights():
    return official_weights(SMALL)


@pytest.fixture(scope="module")
def backbone():
    return make_backbone(NetworkConfig(backbone=SMALL))[0]


@pytest.fixture
def load(backbone, tmp_path):
    """A function that saves what it gets as a .pth file, and loads that into the small HRNet."""

    def save_and_load(content):
        torch.save(content, tmp_path / "weights.pth")
        load_backbone(backbone, SMALL, tmp_path / "weights.pth")

    return save_and_load


@pytest.mark.parametrize("network", OFFICIAL)
def test_timm_s_hrnets_have_the_official_names_and_shapes(network):
    with torch.device("meta"):
        state = timm.create_model(network).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == official_shapes(network)


@pytest.mark.parametrize("network", [SMALL, "hrnet_w18_small_v2"])
def test_an_official_file_fills_every_weight_of_the_branches(network, tmp_path):
    weights, path = official_weights(network), tmp_path / "hrnetv2_imagenet_pretrained.pth"
    torch.save(weights, path)
    backbone, channels = make_backbone(NetworkConfig(backbone=network, pretrained=str(path)))
    assert channels == [OFFICIAL[network][0] << i for i in range(4)]
    state = backbone.state_dict()
    head = ("incre_modules", "downsamp_modules", "final_layer", "classifier")
    assert state.keys() == {name for name in weights if not name.startswith(head)}
    for name, value in state.items():
        assert (value == weights[name]).all(), name


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")},
        lambda weights: {f"module.{k}": v for k, v in weights.items()},
        lambda weights: {"epoch": 90, "model": "cls_hrnet", "state_dict": weights, "perf": 75.1, "optimizer": {}},
        lambda weights: {k: v for k, v in weights.items() if "classifier" not in k and "_modules" not in k},
        lambda weights: {**weights, "classifier.weight": torch.zeros(21841, 2048)},
        lambda weights: {k: v.half() for k, v in weights.items()},
    ],
    ids=["old, without counters", "DataParallel", "of tools/train.py", "without head", "other head", "half precision"],
)
def test_official_files_come_in_these_forms_too(change, load, backbone, weights):
    with torch.no_grad():
        for weight in backbone.parameters():
            weight.zero_()
    load(change(weights))
    for name, weight in backbone.named_parameters():
        torch.testing.assert_close(weight, weights[name].expand(weight.shape).clone(), rtol=1e-3, atol=0)


KEY = "stage4.0.fuse_layers.3.0.2.0.weight"  # official_shapes gives it (128, 16, 3, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {k: v for k, v in w.items() if k != KEY}, f"1 missing: {KEY}$"),
        (lambda w: {**w, "last_layer.0.weight": w[KEY]}, r"1 unknown: last_layer\.0\.weight$"),
        (lambda w: {**w, KEY: torch.ones(1, 2)}, rf"1 of another shape: {KEY} \(1, 2\), not \(128, 16, 3, 3\)$"),
        (lambda w: {**w, KEY: w[KEY] * torch.nan}, f"1 not finite: {KEY}$"),
        (
            lambda w: {"stem.0.weight" if k == "conv1.weight" else k: v for k, v in w.items()},
            r"1 missing: conv1\.weight; 1 unknown: stem\.0\.weight$",
        ),
        (lambda w: {}, r"missing: bn1\.bias, .*, … \(\d{3} more\)$"),
        (
            lambda w: official_weights("hrnet_w18_small_v2"),
            r"unknown: layer1\.1\..*shape: layer1\.0\.bn1\.bias \(64,\), not \(32,\)",
        ),
    ],
    ids=["missing", "unknown", "shape", "not finite", "renamed", "empty", "another width"],
)
def test_what_does_not_match_is_listed_with_the_file(change, message, load, backbone, weights):
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(ModelError, match=rf"weights\.pth: not the weights of {SMALL}: .*{message}"):
        load(change(weights))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_weights_of_another_network_are_refused(load):
    with pytest.raises(ModelError, match=r"missing: .*unknown: .*blocks\.0\.0\.bn1\.bias"):
        load(timm.create_model("mobilenetv2_035").state_dict())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(3)], "holds a list"),
        (torch.ones(3), "holds a Tensor"),
        ({"model": {"conv1.weight": torch.ones(3)}, "epoch": 3}, "holds epoch, model"),
    ],
)
def test_a_file_that_is_not_names_and_tensors_says_what_it_holds(content, message, load):
    with pytest.raises(ModelError, match=rf"weights\.pth: {message}; a dictionary of names and tensors was expected"):
        load(content)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(suffix, share, backbone, weights, tmp_path):
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    if suffix == ".pth":
        torch.save(weights, whole)
    else:
        save_file({name: value.clone() for name, value in weights.items() if value.numel() < 5000}, whole)
    data = whole.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelError, match=rf"cut\{suffix}: cannot be read as weights .*\.safetensors or \.pth file"):
        load_backbone(backbone, SMALL, path)


@pytest.mark.parametrize("name", ["none.pth", "none.safetensors", "Hub", "."])
def test_a_file_that_is_not_there_is_named_and_the_other_choice_too(name, backbone, tmp_path):
    with pytest.raises(ModelError, match=r"cannot be read as weights .*network\.pretrained is hub, or a"):
        load_backbone(backbone, SMALL, tmp_path / name)


class _Code:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize(
    "save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2))]
)
def test_code_in_a_file_is_not_run(save, backbone, weights, tmp_path):
    save({**weights, "code": _Code(tmp_path / "ran")}, tmp_path / "code.pth")
    with pytest.raises(ModelError, match=r"code\.pth: cannot be read as weights"):
        load_backbone(backbone, SMALL, tmp_path / "code.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("mobilenetv2_100", {}),
        ("convnext_atto", {}),  # whose feature maps' modules timm names otherwise than in its files
        ("vit_tiny_patch16_224", {"dynamic_img_size": True}),  # positions of 14 × 14 patches, for 16 × 16
    ],
)
def test_timm_s_files_give_the_whole_network_s_feature_maps(network, options, tmp_path):
    torch.manual_seed(0)
    whole = timm.create_model(network, **options).eval()
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
    path = tmp_path / "model.safetensors"
    save_file(whole.state_dict(), path)
    backbone, channels = make_backbone(NetworkConfig(backbone=network, pretrained=str(path)))
    views = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        maps = backbone.eval()(views)
        expected = whole.forward_intermediates(views, intermediates_only=True, norm=False)[-len(maps) :]
    assert [m.shape[1] for m in maps] == channels
    for got, wanted in zip(maps, expected, strict=True):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("in_order", [True, False], ids=["as saved", "sorted by name"])
def test_torchvision_s_mobilenet_is_read(in_order, tmp_path):
    torch.manual_seed(0)
    theirs = torchvision.models.mobilenet_v2().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
    state, path = theirs.state_dict(), tmp_path / "mobilenet_v2-b0353104.pth"
    torch.save(state if in_order else dict(sorted(state.items())), path)
    ours = make_backbone(NetworkConfig(backbone="mobilenetv2_100", pretrained=str(path)))[0].eval()
    views = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(ours(views)[-1], theirs.features[:18](views))
    torch.save({name: value for name, value in state.items() if not name.startswith("features.9.")}, path)
    with pytest.raises(ModelError, match=r"mobilenet_v2-b0353104\.pth.*: 15 missing: blocks\.3\.2\."):
        load_backbone(ours, "mobilenetv2_100", path)


def test_only_maps_of_stride_4_and_more_are_kept_and_timm_s_tables_stay():
    tables = copy.deepcopy(timm.models.hrnet.cfg_cls)
    for network in (SMALL, "efficientnet_b0", "resnet18"):
        backbone, channels = make_backbone(NetworkConfig(backbone=network))
        with torch.no_grad():
            maps = backbone.eval()(torch.zeros(1, 3, 128, 128))
        assert [tuple(m.shape[1:]) for m in maps] == [(c, 32 >> i, 32 >> i) for i, c in enumerate(channels)]
    assert timm.models.hrnet.cfg_cls == tables


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("swin_tiny_patch4_window7_224", r"swin_\S+ gives no feature maps \(N, C, H, W\).*64, 64, 96.*choose an HRNet"),
        ("crossvit_tiny_240", "crossvit_tiny_240 gives no feature maps.*choose an HRNet"),
        ("hrnet_w18.ms_in1K", r"timm has no 'hrnet_w18\.ms_in1K'; it has, for instance: .*hrnet_w18\.ms_in1k"),
        ("vit_tiny_patch16_224.x", r"timm has no 'vit_tiny_patch16_224\.x'; .* vit_tiny_patch16_224"),
        ("efficentnet_b4", "timm has no 'efficentnet_b4'; it has, for instance: efficientnet_b4"),
        ("hf-hub:timm/hrnet_w18.ms_in1k", "timm has no 'hf-hub:timm"),
    ],
)
def test_a_backbone_that_cannot_serve_is_refused_with_the_reason(network, message):
    with pytest.raises(SettingsError, match=f"network.backbone: .*{message}"):
        make_backbone(NetworkConfig(backbone=network))


def test_without_a_network_the_hub_s_error_names_the_other_way(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SettingsError, match=rf"network\.pretrained: .*hub.* {SMALL} .*--network\.pretrained .*\.safet"):
        make_backbone(NetworkConfig(backbone=SMALL, pretrained="hub"))


def test_a_backbone_without_norms_cannot_be_tuned_by_them():
    with pytest.raises(SettingsError, match=r"network\.tune: plain has no normalisation layers"):
        tune_norms(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()), "plain")
