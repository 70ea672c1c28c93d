"""The network: a backbone's feature maps, the X-ray head, the class head (paper, section 3.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from facexray.training.backbone import make_backbone, tune_norms
from facexray.training.config import NetworkConfig

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
TOP_SHARE = 0.01
"""Of the X-ray's pixels, whose mean is the pooled score top_k."""


class FaceXrayOutput(NamedTuple):
    """What the network says of a batch of N views."""

    xray_logits: Tensor
    """(N, 256, 256); their sigmoid is the predicted X-ray."""
    class_logits: Tensor
    """(N, 2); their softmax is the probability of real, fake."""
    features: list[Tensor]
    """The backbone's feature maps, each (N, C, H, W), finest first."""


class FaceXrayNet(nn.Module):
    """Predicts the Face X-ray and the class of views (N, 3, 256, 256), float RGB in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network; its heads begin with random weights.

        Raises:
            SettingsError: timm has no such backbone, or its hub cannot be reached.
            ModelError: The backbone's file of weights is damaged or of another network.
        """
        super().__init__()
        self.config = config
        self.backbone, self.channels = make_backbone(config)
        self.stride: int = self.backbone.feature_info.reduction()[0]
        # A 1 × 1 convolution commutes with bilinear upsampling: one per feature map, then a sum of one-channel
        # maps, is the paper's concatenation followed by one 1 × 1 convolution. The bias stands once.
        self.xray_head = nn.ModuleList(nn.Conv2d(c, 1, 1, bias=i == 0) for i, c in enumerate(self.channels))
        inputs = {"paper": 1, "features": 2 * sum(self.channels)}
        self.class_head = nn.Linear(inputs[config.class_head], 2) if config.class_head in inputs else None
        _quieten(self.xray_head, self.class_head)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        if config.tune == "norms":
            tune_norms(self.backbone, config.backbone)

    def forward(self, views: Tensor) -> FaceXrayOutput:
        """Views (N, 3, 256, 256), float RGB in [0, 1]; the normalisation is in here."""
        features = self.backbone((views - self.mean) / self.std)
        size = features[0].shape[-2:]  # 64 × 64 for an HRNet
        maps = [head(feature) for head, feature in zip(self.xray_head, features, strict=True)]
        xray = torch.stack(
            [functional.interpolate(m, size=size, mode="bilinear", align_corners=False) for m in maps]
        ).sum(0)
        # The map covers whole strides: a ViT pads the views at their right and bottom where they are not whole patches.
        height, width = views.shape[-2:]
        covered = [-(-side // self.stride) * self.stride for side in (height, width)]
        xray = functional.interpolate(xray, size=covered, mode="bilinear", align_corners=False)
        xray = xray[:, 0, :height, :width]
        return FaceXrayOutput(xray, self._classify(xray, features), features)

    def _classify(self, xray: Tensor, features: list[Tensor]) -> Tensor:
        if self.class_head is None:
            pooled = pool_xray(xray.float().sigmoid(), self.config.class_head)
            return torch.stack([1 - pooled, pooled], 1).clamp(min=1e-6).log()
        if self.config.class_head == "paper":
            pooled = xray.sigmoid().mean((1, 2))[:, None]
        else:
            pooled = torch.cat([pool for f in features for pool in (f.mean((2, 3)), f.amax((2, 3)))], dim=1)
        logits: Tensor = self.class_head(pooled)
        return logits


def _quieten(xray_head: nn.ModuleList, class_head: nn.Linear | None) -> None:
    """Begin with even predictions: an X-ray of 0.05 everywhere, which is about its mean, and classes half and half.

    Feature maps of large values would else begin with huge losses, and those would spoil the backbone's first weights.
    """
    with torch.no_grad():
        for head in (*xray_head, *([class_head] if class_head else [])):
            for parameter in head.parameters():
                parameter.mul_(0.01)
        next(iter(xray_head)).bias.fill_(-3)  # type: ignore[operator]


def pool_xray(xrays: Tensor, how: str) -> Tensor:
    """Scores (N,) of predicted X-rays (N, 256, 256): their mean, max, or top_k, the mean of their highest 1 %."""
    pixels = xrays.flatten(1)
    if how == "mean":
        return pixels.mean(1)
    return pixels.topk(1 if how == "max" else round(TOP_SHARE * pixels.shape[1])).values.mean(1)
