"""The two formulas of Face X-ray (paper, section 3.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facexray.blending.colour import Pixels
from facexray.blending.hull import Mask


def blend(foreground: Pixels, background: Pixels, mask: Mask) -> NDArray[np.uint8]:
    """The blended image I_M = M ⊙ I_F + (1 − M) ⊙ I_B (equation 1), in float32 and rounded once.

    Args:
        foreground: (H, W, 3) float32 RGB in [0, 255]: brings the inner face.
        background: (H, W, 3) float32 RGB in [0, 255]: is kept.
        mask: (H, W) M in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB; where M = 0, exactly the background.
    """
    mixed = background + mask[..., None] * (foreground - background)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def face_xray(mask: Mask) -> NDArray[np.float32]:
    """The Face X-ray B = 4 · M ⊙ (1 − M) (equation 2) of a mask M (H, W) in [0, 1]; in [0, 1] itself."""
    return (4 * mask * (1 - mask)).astype(np.float32)
