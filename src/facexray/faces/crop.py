"""The one crop convention: training, evaluation and detection all cut faces here, by these numbers.

A face is cut as a square around its box's centre, `FACE_MARGIN` times the box's longer side, and resampled to
`CROP_SIZE` pixels: the *crop*, which the store keeps. The network sees the *view*: `VIEW_SIZE` pixels cut out
of the crop's middle without resampling, which is `FACE_MARGIN · VIEW_SIZE / CROP_SIZE` ≈ 1.29 times the box.
The rest is room for training to jitter the view and for faces that stand near a photograph's border.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.images import RGB

FACE_MARGIN = 1.6
"""Side of the crop's square over the longer side of the detector's box."""
CROP_SIZE = 317
"""Height and width of a crop in pixels, as in the authors' generator."""
VIEW_SIZE = 256
"""Height and width in pixels of what the network sees."""
VIEW_OFFSET = (CROP_SIZE - VIEW_SIZE) // 2
"""Left and top of the view in the crop, in pixels."""


@dataclass(frozen=True)
class Square:
    """A square in an image, in whole pixels; it may reach over the image's border."""

    left: int
    top: int
    side: int

    @classmethod
    def around(cls, box: NDArray[np.float32]) -> Square:
        """The crop's square for a face box (4,) xyxy in pixels."""
        x0, y0, x1, y1 = (float(value) for value in box)
        side = max(1, round(FACE_MARGIN * max(x1 - x0, y1 - y0)))
        return cls(round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2), side)

    @property
    def view(self) -> tuple[float, float, float, float]:
        """The part that the network sees, as xyxy in the image's pixels."""
        scale = self.side / CROP_SIZE
        left, top = self.left + VIEW_OFFSET * scale, self.top + VIEW_OFFSET * scale
        return left, top, left + VIEW_SIZE * scale, top + VIEW_SIZE * scale

    def to_crop(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points (N, 2) x, y from image pixels to crop pixels (pixel centres at whole numbers)."""
        corner = np.array([self.left, self.top], np.float32)
        return ((points - corner + 0.5) * (CROP_SIZE / self.side) - 0.5).astype(np.float32)

    def to_image(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points (N, 2) x, y from crop pixels back to image pixels; the inverse of `to_crop`."""
        corner = np.array([self.left, self.top], np.float32)
        return ((points + 0.5) * (self.side / CROP_SIZE) - 0.5 + corner).astype(np.float32)


def cut_crop(image: RGB, square: Square) -> RGB:
    """Cut a square out of an image (H, W, 3) and resample it to (317, 317, 3); or out of a mask (H, W).

    What lies outside the image repeats its border pixels: mirroring would make second faces, and a constant
    colour an edge. Shrinking averages areas; enlarging is bicubic, of a mask bilinear, which never overshoots.
    """
    height, width = image.shape[:2]
    left, top = square.left, square.top
    right, bottom = left + square.side, top + square.side
    # At least one row and column of the image stay in hand, for the border to repeat.
    x0, y0 = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    x1, y1 = max(min(right, width), x0 + 1), max(min(bottom, height), y0 + 1)
    part = image[y0:y1, x0:x1]
    if part.shape[:2] != (square.side, square.side):
        pads = (max(y0 - top, 0), max(bottom - y1, 0), max(x0 - left, 0), max(right - x1, 0))
        padded = cv2.copyMakeBorder(part, *pads, cv2.BORDER_REPLICATE)
        part = np.asarray(padded[: square.side, : square.side], np.uint8)
    enlarging = cv2.INTER_CUBIC if image.ndim == 3 else cv2.INTER_LINEAR
    how = cv2.INTER_AREA if square.side > CROP_SIZE else enlarging
    return np.asarray(cv2.resize(part, (CROP_SIZE, CROP_SIZE), interpolation=how), np.uint8)


def cut_view(crop: RGB) -> RGB:
    """The middle (256, 256, 3) of a crop (317, 317, 3): what the network sees."""
    return crop[VIEW_OFFSET : VIEW_OFFSET + VIEW_SIZE, VIEW_OFFSET : VIEW_OFFSET + VIEW_SIZE]
