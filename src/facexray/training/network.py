"""The network: a backbone's feature maps, the X-ray head, the class head (paper, section 3.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from facexray.training.backbone import make_backbone, norms
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


class FaceXrayNet(nn.Module):
    """Predicts the Face X-ray and the class of views (N, 3, 256, 256), float RGB in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network; its heads begin with random weights.

        Raises:
            SettingsError: timm has no such backbone.
            ModelError: The backbone's file of weights is damaged or of another network.
        """
        super().__init__()
        self.config = config
        self.backbone, channels = make_backbone(config)
        # A 1 × 1 convolution commutes with bilinear upsampling: one per feature map, then a sum of one-channel
        # maps, is the paper's concatenation followed by one 1 × 1 convolution. The bias stands once.
        self.xray_head = nn.ModuleList(nn.Conv2d(c, 1, 1, bias=i == 0) for i, c in enumerate(channels))
        inputs = {"paper": 1, "features": 2 * sum(channels)}
        self.class_head = nn.Linear(inputs[config.class_head], 2) if config.class_head in inputs else None
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        if config.tune == "norms":
            self.backbone.requires_grad_(False)
            for norm in norms(self.backbone):
                norm.requires_grad_(True)

    def forward(self, views: Tensor) -> FaceXrayOutput:
        """Views (N, 3, 256, 256), or patches of them, float RGB in [0, 1]; the normalisation is in here."""
        features = self.backbone((views - self.mean) / self.std)
        size = features[0].shape[-2:]  # 64 × 64 for an HRNet
        maps = [head(feature) for head, feature in zip(self.xray_head, features, strict=True)]
        xray = torch.stack(
            [functional.interpolate(m, size=size, mode="bilinear", align_corners=False) for m in maps]
        ).sum(0)
        xray = functional.interpolate(xray, size=views.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
        return FaceXrayOutput(xray, self._classify(xray, features))

    def _classify(self, xray: Tensor, features: list[Tensor]) -> Tensor:
        if self.class_head is None:
            pooled = pool_xray(xray.float().sigmoid(), self.config.class_head)
            return torch.stack([1 - pooled, pooled], 1).clamp(min=1e-6).log()
        if self.config.class_head == "paper":
            return torch.Tensor(self.class_head(xray.sigmoid().mean((1, 2))[:, None]))
        pooled = torch.cat([pool for f in features for pool in (f.mean((2, 3)), f.amax((2, 3)))], dim=1)
        return torch.Tensor(self.class_head(pooled))


def pool_xray(xrays: Tensor, how: str) -> Tensor:
    """Scores (N,) of predicted X-rays (N, 256, 256): their mean, max, or top_k, the mean of their highest 1 %."""
    pixels = xrays.flatten(1)
    if how == "mean":
        return pixels.mean(1)
    return pixels.topk(1 if how == "max" else round(TOP_SHARE * pixels.shape[1])).values.mean(1)
