"""Transfer of the foreground's colour to the background's before blending (paper, section 3.2, step 3).

Statistics are those of the pixels with M > ½ of the final mask; the whole foreground is changed by them.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.blending.hull import Mask
from facexray.images import RGB

Pixels = NDArray[np.float32]
"""(H, W, 3) float32 RGB in [0, 255]."""
Image = NDArray[np.uint8] | NDArray[np.float32]

LOCAL_PX = 61
"""Side of a pixel's neighbourhood in `match_local`: about a third of a face's width."""
LEAST_STD = 0.5
"""Standard deviation, in grey levels or L*a*b* units, under which a channel is shifted only.

What varies by less is rounding, as a greyscale image's a* and b* are; it is not to be scaled up.
"""


def keep(foreground: RGB, background: RGB, inside: Mask) -> Pixels:
    """The foreground as it is."""
    return foreground.astype(np.float32)


def match_mean(foreground: RGB, background: RGB, inside: Mask) -> Pixels:
    """Shift the foreground to the background's mean, per RGB channel: what the authors' generator does."""
    shift = np.subtract(cv2.mean(background, inside), cv2.mean(foreground, inside))[:3]
    return _look_up(foreground, _LEVELS + shift)


def match_rgb(foreground: RGB, background: RGB, inside: Mask) -> Pixels:
    """Give the foreground the background's mean and standard deviation, per RGB channel."""
    gain, shift = _gain_and_shift(foreground, background, inside)
    return _look_up(foreground, _LEVELS * gain + shift)


def match_lab(foreground: RGB, background: RGB, inside: Mask) -> Pixels:
    """The same in CIE L*a*b* (Reinhard et al. 2001)."""
    lab_f, lab_b = (_lab(image) for image in (foreground, background))
    gain, shift = _gain_and_shift(lab_f, lab_b, inside)
    matched = cv2.cvtColor(cv2.transform(lab_f, _affine(np.diag(gain), shift)), cv2.COLOR_LAB2RGB)
    pixels = np.multiply(matched, np.float32(255))
    return np.asarray(np.clip(pixels, 0, 255, out=pixels), np.float32)


def match_covariance(foreground: RGB, background: RGB, inside: Mask) -> Pixels:
    """Give the foreground the background's mean and full RGB covariance, by the least change that does it.

    The linear map of Monge and Kantorovich: A = F^-½ (F^½ B F^½)^½ F^-½ of the covariances F and B
    (Pitié & Kokaram 2007). Directions in which the foreground hardly varies are left unscaled.
    """
    mean_f, cov_f = _mean_and_covariance(foreground, inside)
    mean_b, cov_b = _mean_and_covariance(background, inside)
    # In the axes of F that vary, F is diagonal.
    values, axes = np.linalg.eigh(cov_f)
    varied = values > LEAST_STD**2
    axes, root = axes[:, varied], np.sqrt(values[varied])
    values, vectors = np.linalg.eigh(root[:, None] * (axes.T @ cov_b @ axes) * root)
    gain = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T / np.outer(root, root)
    change = np.eye(3) + axes @ (gain - np.eye(len(root))) @ axes.T
    moved = cv2.transform(foreground.astype(np.float32), _affine(change, mean_b - change @ mean_f))
    return np.clip(np.asarray(moved, np.float32), 0, 255)


def match_histogram(foreground: RGB, background: RGB, inside: Mask) -> Pixels:
    """Give the foreground the background's histogram, per RGB channel, as scikit-image's `match_histograms` does."""
    table = np.empty((256, 3))
    for channel in range(3):
        shares = []
        for image in (foreground, background):
            counts = cv2.calcHist([image], [channel], inside, [256], [0, 256]).ravel()
            shares.append((np.cumsum(counts) / max(1, counts.sum()), counts > 0))
        (levels_f, _), (levels_b, present) = shares
        table[:, channel] = np.interp(levels_f, levels_b[present], np.flatnonzero(present)) if present.any() else 0
    return _look_up(foreground, table)


def match_local(foreground: RGB, background: RGB, inside: Mask) -> Pixels:
    """Even out the foreground place by place: give it the background's mean over each pixel's neighbourhood."""
    counted = (inside > 0).astype(np.float32)
    apart = cv2.subtract(background, foreground, mask=inside, dtype=cv2.CV_32F)
    sums, counts = (
        cv2.boxFilter(values, -1, (LOCAL_PX, LOCAL_PX), normalize=False, borderType=cv2.BORDER_CONSTANT)
        for values in (apart, counted)
    )
    moved = foreground + sums / np.maximum(counts, 1)[..., None]
    return np.clip(np.asarray(moved, np.float32), 0, 255)


COLOURS: dict[str, Callable[[RGB, RGB, Mask], Pixels]] = {
    "none": keep,
    "mean": match_mean,
    "rgb": match_rgb,
    "lab": match_lab,
    "covariance": match_covariance,
    "histogram": match_histogram,
    "local": match_local,
}
"""Every colour method by its name: foreground, background (H, W, 3), pixels that count (H, W) → foreground."""


_LEVELS = np.arange(256.0)[:, None]


def _lab(image: RGB) -> Pixels:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) * np.float32(1 / 255), cv2.COLOR_RGB2LAB), np.float32)


def _look_up(image: RGB, table: NDArray[np.float64]) -> Pixels:
    """Replace each channel's grey levels by those of a table (256, 3), within [0, 255]."""
    return np.asarray(cv2.LUT(image, np.clip(table, 0, 255).astype(np.float32)[None]), np.float32)


def _gain_and_shift(
    foreground: Image, background: Image, inside: Mask
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per channel, the factor and the summand that give the foreground the background's mean and deviation."""
    (mean_f, std_f), (mean_b, std_b) = (cv2.meanStdDev(image, mask=inside) for image in (foreground, background))
    gain = np.where(std_f > LEAST_STD, std_b / np.maximum(std_f, LEAST_STD), 1.0)
    return np.ravel(gain).astype(np.float64), np.ravel(mean_b - gain * mean_f).astype(np.float64)


def _affine(matrix: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.column_stack([matrix, shift]).astype(np.float32)


def _mean_and_covariance(image: RGB, inside: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean = np.array(cv2.mean(image, inside)[:3])
    centred = cv2.subtract(image, np.array([*mean, 0]), mask=inside, dtype=cv2.CV_32F)
    pixels = np.asarray(centred, np.float32).reshape(-1, 3)
    return mean, (pixels.T @ pixels).astype(np.float64) / max(1, cv2.countNonZero(inside))  # 0 outside the mask
