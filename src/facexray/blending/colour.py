"""Transfer of the foreground's colour to the background's before blending (paper, section 3.2, step 3)."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.blending.hull import Mask

Pixels = NDArray[np.float32]
"""(H, W, 3) float32 RGB in [0, 255]."""


LEAST_STD = 0.5
"""Standard deviation, in grey levels or L*a*b* units, under which a channel is shifted only."""


def keep(foreground: Pixels, background: Pixels, mask: Mask) -> Pixels:
    """The foreground as it is."""
    return foreground


def match_rgb(foreground: Pixels, background: Pixels, mask: Mask) -> Pixels:
    """Give the foreground the background's mean and standard deviation inside the mask, per RGB channel."""
    return np.clip(_match(foreground, background, mask), 0, 255)


def match_lab(foreground: Pixels, background: Pixels, mask: Mask) -> Pixels:
    """The same in CIE L*a*b* (Reinhard et al. 2001)."""
    lab = [cv2.cvtColor(image / np.float32(255), cv2.COLOR_RGB2LAB) for image in (foreground, background)]
    matched = _match(np.asarray(lab[0], np.float32), np.asarray(lab[1], np.float32), mask)
    return np.clip(np.asarray(cv2.cvtColor(matched, cv2.COLOR_LAB2RGB), np.float32) * 255, 0, 255)


def _match(foreground: Pixels, background: Pixels, mask: Mask) -> Pixels:
    inside = (mask > 0.5).astype(np.uint8)
    (mean_f, std_f), (mean_b, std_b) = (cv2.meanStdDev(image, mask=inside) for image in (foreground, background))
    # What varies by less than this is rounding, as a greyscale image's a* and b* are; it is not to be scaled up.
    gain = np.where(std_f > LEAST_STD, std_b / np.maximum(std_f, LEAST_STD), 1.0)
    gain32, shift = (np.float32(value).ravel() for value in (gain, mean_b - gain * mean_f))
    return foreground * gain32 + shift


COLOURS: dict[str, Callable[[Pixels, Pixels, Mask], Pixels]] = {
    "none": keep,
    "rgb": match_rgb,
    "lab": match_lab,
}
"""Every colour method by its name: foreground, background (H, W, 3), mask (H, W) → foreground."""
