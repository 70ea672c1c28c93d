"""The robustness sweep: eight degradations at five strengths each, and where they are applied.

Seven are those of DeeperForensics-1.0 (Jiang et al., CVPR 2020), at the strengths of its authors' public code
(`perturbation/add_distortion_to_video.py` in EndlessSora/DeeperForensics-1.0): colour saturation, contrast, block-wise
distortion, Gaussian noise, Gaussian blur, down- and up-sampling (which that code calls JPEG), and video compression.
The eighth is JPEG itself. Where ours differ from theirs: contrast turns about middle grey, theirs about black; noise is
added to R, G and B, theirs to Y', Cb and Cr; blocks fall on every 256 × 256 pixels, theirs on a frame of whatever size.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from facexray.blending.degrade import Degradation, degrade
from facexray.faces.crop import CROP_SIZE, Square, cut_crop, cut_view
from facexray.images import RGB

SWEEP: dict[str, tuple[Degradation, ...]] = {
    "jpeg": tuple(Degradation("jpeg", quality, "420") for quality in (90, 70, 50, 30, 10)),
    "h264": tuple(Degradation("h264", crf) for crf in (30, 32, 35, 38, 40)),
    "resample": tuple(Degradation("resample", 1 / down, "linear-linear") for down in (2, 3, 4, 5, 6)),
    "blur": tuple(Degradation("blur", kernel / 6) for kernel in (7, 9, 13, 17, 21)),
    "gaussian_noise": tuple(
        Degradation("gaussian_noise", round(255 * variance**0.5, 1)) for variance in (0.001, 0.002, 0.005, 0.01, 0.05)
    ),
    "saturation": tuple(Degradation("saturation", factor) for factor in (0.4, 0.3, 0.2, 0.1, 0.0)),
    "contrast": tuple(Degradation("contrast", factor) for factor in (0.85, 0.725, 0.6, 0.475, 0.35)),
    "blocks": tuple(Degradation("blocks", count) for count in (16, 32, 48, 64, 80)),
}
"""Every kind by its name, from the weakest to the strongest."""

GRID_PX = 16
"""Blocks of JPEG and H.264 in 4:2:0 begin at multiples of this."""


def name_of(step: Degradation) -> str:
    """A step of the sweep as results and the cache call it, such as `jpeg 50`."""
    return f"{step.kind} {step.amount:.4g}"


@dataclass(frozen=True)
class Patch:
    """The part of a picture around a face, at the picture's own resolution."""

    image: RGB
    """(H, W, 3)."""
    square: Square | None = None
    """Of the crop, in the patch's pixels; None where the image is a crop (317, 317, 3) or a view (256, 256, 3)."""

    @classmethod
    def around(cls, image: RGB, square: Square) -> Patch:
        """The part of a picture (H, W, 3) that decides what the view of a square shows, whatever the degradation.

        To degrade it is to degrade the whole picture: pointwise changes do not look beyond a pixel; blur and
        resampling look less far than the crop reaches beyond the view, and the patch a grid's cell beyond that; codecs
        work in blocks, and the patch begins where one does; noise and lost blocks are as dense on any part. Only that
        an encoder chooses its modes with the whole picture in view is lost.
        """
        height, width = image.shape[:2]
        # At least one cell of the picture stays in hand, for the crop's border to repeat.
        x0, y0 = (
            min(max(start // GRID_PX - 1, 0), (side - 1) // GRID_PX) * GRID_PX
            for start, side in ((square.left, width), (square.top, height))
        )
        x1, y1 = (
            min(max((start + square.side) // GRID_PX + 2, first // GRID_PX + 1) * GRID_PX, side)
            for start, first, side in ((square.left, x0, width), (square.top, y0, height))
        )
        moved = Square(square.left - x0, square.top - y0, square.side)
        return cls(np.ascontiguousarray(image[y0:y1, x0:x1]), moved)

    def view(self, step: Degradation | None = None, seed: str = "") -> RGB:
        """What the network sees (256, 256, 3), of the patch as it is or degraded.

        Args:
            step: Of the sweep.
            seed: What the step's dice are seeded with, together with its name: the same for the same face.
        """
        image = self.image
        if step is not None:
            dice = int(hashlib.sha256(f"{seed} {name_of(step)}".encode()).hexdigest()[:8], 16)
            image = degrade(image, (replace(step, seed=dice),))
        if self.square is not None:
            image = cut_crop(image, self.square)
        return np.ascontiguousarray(cut_view(image) if image.shape[0] == CROP_SIZE else image)
