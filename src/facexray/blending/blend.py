"""The two formulas of Face X-ray (paper, section 3.1), and the blends of the paper's ablation."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.blending.colour import Pixels
from facexray.blending.hull import Mask
from facexray.images import RGB

LEVELS = 5
"""Levels of the multi-band blend's pyramids: its coarsest band is blended over about 2⁵ pixels."""


def blend_alpha(foreground: Pixels, background: RGB, mask: Mask, ratio: float = 1.0) -> RGB:
    """The blended image I_M = M ⊙ I_F + (1 − M) ⊙ I_B (equation 1), in float32 and rounded once.

    Args:
        foreground: (H, W, 3) float32 RGB in [0, 255]: brings the inner face.
        background: (H, W, 3) uint8 RGB: is kept.
        mask: (H, W) M in steps of 1/255.
        ratio: Factor on M, for self-blended images.

    Returns:
        (H, W, 3) uint8 RGB; where M = 0, exactly the background.
    """
    below = background.astype(np.float32)
    change = cv2.multiply(cv2.subtract(foreground, below), _alpha(mask, ratio))
    return np.asarray(cv2.convertScaleAbs(cv2.add(below, change)), np.uint8)


def blend_poisson(foreground: Pixels, background: RGB, mask: Mask, ratio: float = 1.0) -> RGB:
    """Blend a foreground whose gradients were first continued from the background's border (Pérez et al. 2003).

    The foreground is cloned seamlessly into the region M > 0, and the clone is blended with M by equation 1:
    the same M makes the image and its X-ray, as with every other blend, and where M = 0 the background stays.
    """
    region = cv2.copyMakeBorder((mask > 0).view(np.uint8) * np.uint8(255), 2, 2, 2, 2, cv2.BORDER_CONSTANT)
    left, top, width, height = cv2.boundingRect(region)
    if width < 3 or height < 3:
        return background.copy()
    above, below = (
        cv2.copyMakeBorder(image, 2, 2, 2, 2, cv2.BORDER_REPLICATE)
        for image in (cv2.convertScaleAbs(foreground), background)
    )
    # OpenCV lays the centre of the region's bounding box on this point.
    centre = (left + width // 2, top + height // 2)
    clone = cv2.seamlessClone(above, below, region, centre, cv2.NORMAL_CLONE)[2:-2, 2:-2]
    return blend_alpha(clone.astype(np.float32), background, mask, ratio)


def blend_multiband(foreground: Pixels, background: RGB, mask: Mask, ratio: float = 1.0) -> RGB:
    """Blend each octave of detail over its own width: fine ones by M, coarse ones more widely (Burt & Adelson 1983).

    The X-ray is that of M, by which the finest band is blended; far outside M the background stays.
    """
    below = background.astype(np.float32)
    # A pyramid is linear: that of the blend is the background's plus the masked one of the difference.
    mixed = below + _bands(foreground - below, _alpha(mask, ratio))
    return np.asarray(cv2.convertScaleAbs(np.maximum(mixed, 0)), np.uint8)


def _bands(change: Pixels, alpha: Pixels, level: int = 0) -> Pixels:
    """Sum over the bands of a difference, each times its own level of the mask's Gaussian pyramid."""
    if level == LEVELS or min(change.shape[:2]) < 4:
        return np.asarray(cv2.multiply(change, alpha), np.float32)
    size = (change.shape[1], change.shape[0])
    coarse = cv2.pyrDown(change)
    band = cv2.subtract(change, cv2.pyrUp(coarse, dstsize=size))
    rest = _bands(np.asarray(coarse, np.float32), np.asarray(cv2.pyrDown(alpha), np.float32), level + 1)
    return np.asarray(cv2.add(cv2.multiply(band, alpha), cv2.pyrUp(rest, dstsize=size)), np.float32)


def _alpha(mask: Mask, ratio: float) -> Pixels:
    """The factor of each pixel's three channels, ratio · M in [0, 1]."""
    alpha = mask * np.float32(ratio / 255)
    return np.asarray(cv2.merge([alpha, alpha, alpha]), np.float32)


BLENDS: dict[str, Callable[[Pixels, RGB, Mask, float], RGB]] = {
    "alpha": blend_alpha,
    "poisson": blend_poisson,
    "multiband": blend_multiband,
}
"""Every blend by its name: foreground, background (H, W, 3), mask (H, W), ratio → blended image (H, W, 3)."""


def as_float(mask: Mask) -> NDArray[np.float32]:
    """M as numbers in [0, 1] (H, W)."""
    return np.asarray(cv2.LUT(mask, _M), np.float32)


def face_xray(mask: Mask) -> NDArray[np.float32]:
    """The Face X-ray B = 4 · M ⊙ (1 − M) (equation 2) of a mask M (H, W); in [0, 1] itself."""
    return np.asarray(cv2.LUT(mask, _B), np.float32)


_M = (np.arange(256) / 255).astype(np.float32)
_B = (4 * _M * (1 - _M)).astype(np.float32)
