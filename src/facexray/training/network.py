"""The network: HRNet's four branches, the X-ray head, the class head (paper, section 3.3)."""

from __future__ import annotations

from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from facexray.errors import SettingsError
from facexray.faces.crop import VIEW_SIZE
from facexray.training.config import NetworkConfig

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


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
        """Build the network with random weights.

        Raises:
            SettingsError: The backbone is no HRNet that timm knows.
        """
        super().__init__()
        if not config.backbone.startswith("hrnet_") or not timm.is_model(config.backbone):
            known = ", ".join(name for name in timm.list_models("hrnet_*"))
            raise SettingsError(f"network: backbone {config.backbone!r} is not one of: {known}")
        self.config = config
        backbone: Any = timm.create_model(
            config.backbone,
            pretrained=False,
            features_only=True,
            feature_location="",
            out_indices=(1, 2, 3, 4),
        )
        self.backbone = backbone
        channels: list[int] = backbone.feature_info.channels()
        # A 1 × 1 convolution commutes with bilinear upsampling: one per branch, then a sum of one-channel
        # maps, is the paper's concatenation followed by one 1 × 1 convolution. The bias stands once.
        self.xray_head = nn.ModuleList(nn.Conv2d(c, 1, 1, bias=i == 0) for i, c in enumerate(channels))
        self.class_head = nn.Linear(1 if config.class_head == "paper" else 2 * sum(channels), 2)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, views: Tensor) -> FaceXrayOutput:
        """Views (N, 3, 256, 256), float RGB in [0, 1]; the normalisation is in here."""
        branches = self.backbone((views - self.mean) / self.std)
        size = branches[0].shape[-2:]  # 64 × 64
        maps = [head(branch) for head, branch in zip(self.xray_head, branches, strict=True)]
        xray = torch.stack(
            [functional.interpolate(m, size=size, mode="bilinear", align_corners=False) for m in maps]
        ).sum(0)
        xray = functional.interpolate(xray, size=(VIEW_SIZE, VIEW_SIZE), mode="bilinear", align_corners=False)
        if self.config.class_head == "paper":
            pooled = xray.sigmoid().mean((2, 3))  # (N, 1)
        else:
            pooled = torch.cat([pool for b in branches for pool in (b.mean((2, 3)), b.amax((2, 3)))], dim=1)
        return FaceXrayOutput(xray[:, 0], self.class_head(pooled))
