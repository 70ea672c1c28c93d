"""Degradations that real and fake images share: the same code, from the same distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from facexray.images import RGB, encode_image

KERNELS = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR}


@dataclass(frozen=True)
class Degradation:
    """One step of an image's way through cameras, platforms and codecs."""

    kind: Literal["resample", "jpeg"]
    """`resample`: down to `amount` pixels a side by `kernel`, and up again, bilinear; `jpeg`: encode and decode."""
    amount: int
    """Pixels, or JPEG quality in [1, 100]."""
    kernel: Literal["nearest", "bilinear"] = "bilinear"
    """How `resample` goes down."""


def degrade(image: RGB, steps: tuple[Degradation, ...]) -> RGB:
    """Apply the steps in order to an image (H, W, 3)."""
    for step in steps:
        image = _jpeg(image, step.amount) if step.kind == "jpeg" else _resample(image, step.amount, step.kernel)
    return image


def _resample(image: RGB, side: int, kernel: str) -> RGB:
    height, width = image.shape[:2]
    small = cv2.resize(image, (side, side), interpolation=KERNELS[kernel])
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _jpeg(image: RGB, quality: int) -> RGB:
    encoded = np.frombuffer(encode_image(image, ".jpg", quality), np.uint8)
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB), np.uint8)
