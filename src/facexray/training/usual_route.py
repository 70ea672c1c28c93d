"""The usual route to a score, which `bench detect` compares with: dlib's HOG box, HRNet-W48, eager PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import dlib
import timm
import torch

from facexray.faces.crop import VIEW_SIZE
from facexray.images import RGB
from facexray.training.network import IMAGENET_MEAN, IMAGENET_STD

BACKBONE = "hrnet_w48"
"""The paper's; its weights are random here, which are as slow as any."""
MARGIN = 1.3
"""Side of the square that is cut, over the box's."""


def usual_route() -> Callable[[RGB], float]:
    """A function that scores a photograph (H, W, 3) uint8 RGB with one face, in torch's default threads and layout."""
    finder = dlib.get_frontal_face_detector()
    torch.manual_seed(0)
    net = timm.create_model(BACKBONE, num_classes=2).eval()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))

    def score(image: RGB) -> float:
        box = max(finder(image, 1), key=lambda found: found.area())
        half = round(MARGIN * box.width() / 2)
        x, y = box.center().x, box.center().y
        face = image[max(0, y - half) : y + half, max(0, x - half) : x + half]
        view = torch.from_numpy(cv2.resize(face, (VIEW_SIZE, VIEW_SIZE))).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            return float(net((view - mean) / std).softmax(1)[0, 1])

    return score
