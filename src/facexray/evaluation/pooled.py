"""Scores pooled from a predicted Face X-ray: each is a face's one number, the higher the rather fake."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.metrics.localisation import enclosed_region

TOP_SHARE = 0.01
"""Of the pixels, whose mean is `xray_top_k`."""
NETWORK_STRIDE = 4
"""The network predicts X-rays at a quarter of the view's size and enlarges them: a boundary needs no finer look."""


def pool_xray(xray: NDArray[np.float32]) -> dict[str, float]:
    """The scores of `SCORES` that come from the X-ray (H, W) in [0, 1], each in [0, 1]."""
    top = max(1, round(TOP_SHARE * xray.size))
    highest = np.partition(xray, xray.size - top, axis=None)[-top:]
    return {
        "xray_mean": float(xray.mean(dtype=np.float64)),
        "xray_max": float(highest.max()),
        "xray_top_k": float(highest.mean(dtype=np.float64)),
        "xray_boundary": boundary_energy(xray),
    }


def boundary_energy(xray: NDArray[np.float32]) -> float:
    """Mean of the X-ray (H, W) along the boundary of the region that it encloses.

    Blots add little to it, a closed contour all of its height.
    """
    height, width = (max(1, side // NETWORK_STRIDE) for side in xray.shape)
    coarse = cv2.resize(xray, (width, height), interpolation=cv2.INTER_AREA)
    region = enclosed_region(np.asarray(coarse, np.float32)).astype(np.uint8)
    around = cv2.morphologyEx(region, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    return float(coarse[around].mean(dtype=np.float64)) if around.any() else 0.0
