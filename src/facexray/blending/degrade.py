"""Degradations that real and fake images share: the same code, from the same distributions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.images import RGB

KERNELS = {
    # INTER_NEAREST takes each cell's upper left pixel: it would move the image away from its X-ray by up to 2 pixels.
    "nearest": cv2.INTER_NEAREST_EXACT,
    "linear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}
LATER = "later"
"""In place of the kernel up: the image stays small, and noise and codecs work at its size, until the view is made."""
RESAMPLINGS = tuple(f"{down}-{up}" for down in KERNELS for up in (*KERNELS, LATER))
"""Ways down and up, by which an image is resampled."""
SUBSAMPLINGS = {"420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444}
BLOCK_PX = 8
"""Side of a lost block."""
UNSHARP_SIGMA = 1.5
"""Sigma in pixels of the blur whose difference to the image is its detail."""
DENOISE_PX = 9
"""Side of the window in which denoising asks how much the image varies."""


@dataclass(frozen=True)
class Degradation:
    """One step of an image's way through cameras, platforms and codecs."""

    kind: str
    """One of `DEGRADATIONS`."""
    amount: float
    """How much; what it means stands in `DEGRADATIONS`."""
    how: str = ""
    """`resample`: one of `RESAMPLINGS`; `jpeg`: chroma subsampling, `420` or `444`."""
    seed: int = 0
    """Of what is drawn where the step is applied: noise, shading, the blocks' places."""


def degrade(image: RGB, steps: tuple[Degradation, ...]) -> RGB:
    """Apply the steps in order to an image (H, W, 3): as large as it, but for what a resampling left small."""
    for step in steps:
        image = DEGRADATIONS[step.kind].apply(image, step)
    return image


def _resample(image: RGB, step: Degradation) -> RGB:
    height, width = image.shape[:2]
    down, up = step.how.split("-")
    size = (max(1, round(width * step.amount)), max(1, round(height * step.amount)))
    small = cv2.resize(image, size, interpolation=KERNELS[down])
    return np.asarray(small if up == LATER else cv2.resize(small, (width, height), interpolation=KERNELS[up]))


def _jpeg(image: RGB, step: Degradation) -> RGB:
    sampling = SUBSAMPLINGS[step.how]
    return _encode_and_decode(
        image, ".jpg", (cv2.IMWRITE_JPEG_QUALITY, round(step.amount), cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling)
    )


def _webp(image: RGB, step: Degradation) -> RGB:
    return _encode_and_decode(image, ".webp", (cv2.IMWRITE_WEBP_QUALITY, round(step.amount)))


def _encode_and_decode(image: RGB, suffix: str, parameters: tuple[int, ...]) -> RGB:
    # OpenCV's encoders take BGR: with R and B swapped, luma and chroma would not be those of a real file.
    encoded = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), parameters)[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB), np.uint8)


def _h264(image: RGB, step: Degradation) -> RGB:
    """One intra frame of H.264 in 4:2:0 and back: a video's still."""
    height, width = image.shape[:2]
    even = np.asarray(cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width, encoder.pix_fmt = even.shape[0], even.shape[1], "yuv420p"
    encoder.time_base = Fraction(1, 25)
    # The bytes must depend neither on the number of cores nor on which instructions they have.
    same = {"threads": "1", "x264-params": "cpu-independent=1"}
    encoder.options = {"crf": str(round(step.amount)), "preset": "veryfast", **same}
    packets = [*encoder.encode(av.VideoFrame.from_ndarray(_to_yuv420(even), "yuv420p")), *encoder.encode()]
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    frames = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    decoded = cv2.cvtColor(frames[0].to_ndarray(), cv2.COLOR_YUV2RGB_I420)
    return np.ascontiguousarray(decoded[:height, :width], np.uint8)


def _to_yuv420(image: RGB) -> NDArray[np.uint8]:
    """Y'CbCr of an image of even sides, its chroma the mean of 2 × 2 pixels: OpenCV's is the first pixel's."""
    height, width = image.shape[:2]
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
    means = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    doubled = cv2.resize(means, (width, height), interpolation=cv2.INTER_NEAREST)
    planes[height:] = cv2.cvtColor(doubled, cv2.COLOR_RGB2YUV_I420)[height:]
    return np.asarray(planes, np.uint8)


def _gaussian_noise(image: RGB, step: Degradation) -> RGB:
    """Noise in whole grey levels: image + round(noise) is round(image + noise)."""
    levels = np.rint(_quantiles() * step.amount).astype(np.int16)
    raw = np.random.SFC64(step.seed).random_raw(-(-image.size // 4))
    dice = raw.astype("<u8", copy=False).view("<u2")[: image.size]
    return np.asarray(cv2.add(image, levels.take(dice, mode="clip").reshape(image.shape), dtype=cv2.CV_8U), np.uint8)


@lru_cache(maxsize=1)
def _quantiles() -> NDArray[np.float64]:
    """What 16 random bits stand for in the standard normal distribution: its quantiles amid 2¹⁶ equal shares."""
    quantile = NormalDist().inv_cdf
    return np.array([quantile((share + 0.5) / 2**16) for share in range(2**16)])


def _poisson_noise(image: RGB, step: Degradation) -> RGB:
    photons = image.astype(np.float32) * np.float32(step.amount / 255)
    counted = np.random.Generator(np.random.SFC64(step.seed)).poisson(photons)
    return _round(counted * np.float32(255 / step.amount))


def _shading(image: RGB, step: Degradation) -> RGB:
    """Uneven light: a smooth field between nine random gains."""
    drawn = np.random.Generator(np.random.SFC64(step.seed)).uniform(-1, 1, (3, 3))
    gains = np.repeat((1 + step.amount * drawn)[..., None], 3, axis=2).astype(np.float32)
    field = cv2.resize(gains, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.multiply(image, field, dtype=cv2.CV_8U), np.uint8)


def _blur(image: RGB, step: Degradation) -> RGB:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), step.amount), np.uint8)


def _denoise(image: RGB, step: Degradation) -> RGB:
    """Smooth what varies less than edges do, as cameras and beauty filters do: the guided filter, its guide the image.

    He, Sun & Tang, Guided image filtering (TPAMI 2013), section 3.2.
    """
    levels, window = image.astype(np.float32), (DENOISE_PX, DENOISE_PX)
    mean = cv2.blur(levels, window)
    variance = cv2.blur(levels * levels, window) - mean * mean
    kept = variance / (variance + step.amount**2)
    return _round(cv2.blur(kept, window) * levels + cv2.blur(mean - kept * mean, window))


def _sharpen(image: RGB, step: Degradation) -> RGB:
    return sharpen(image, step.amount)


def sharpen(image: RGB, amount: float) -> RGB:
    """Add a share of an image's detail, its difference to its blur; take it away where the share is negative."""
    return np.asarray(cv2.addWeighted(image, 1 + amount, _smooth(image), -amount, 0), np.uint8)


def _smooth(image: RGB) -> RGB:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), UNSHARP_SIGMA), np.uint8)


def _brightness(image: RGB, step: Degradation) -> RGB:
    return _look_up(image, _LEVELS + step.amount)


def _contrast(image: RGB, step: Degradation) -> RGB:
    return _look_up(image, 127.5 + (_LEVELS - 127.5) * step.amount)


def _hue(image: RGB, step: Degradation) -> RGB:
    """Turn the chroma plane of Y'CrCb, which leaves the luma."""
    luma = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2YCrCb)
    cos, sin = np.cos(np.radians(step.amount)), np.sin(np.radians(step.amount))
    # OpenCV centres the chroma of float images on 0.5.
    turn = np.array([[1, 0, 0, 0], [0, cos, sin, 0.5 - 0.5 * (cos + sin)], [0, -sin, cos, 0.5 - 0.5 * (cos - sin)]])
    return _round(np.asarray(cv2.cvtColor(cv2.transform(luma, turn), cv2.COLOR_YCrCb2RGB), np.float32))


def _saturation(image: RGB, step: Degradation) -> RGB:
    """Scale the chroma plane of Y'CrCb, which leaves the luma."""
    luma = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2YCrCb)
    factor, grey = step.amount, 0.5 - 0.5 * step.amount
    scale = np.array([[1, 0, 0, 0], [0, factor, 0, grey], [0, 0, factor, grey]])
    return _round(np.asarray(cv2.cvtColor(cv2.transform(luma, scale), cv2.COLOR_YCrCb2RGB), np.float32))


def _blocks(image: RGB, step: Degradation) -> RGB:
    """Lose blocks of a stream, which become grey, as many as fall on an image of this size."""
    changed = image.copy()
    height, width = image.shape[:2]
    rng = np.random.Generator(np.random.SFC64(step.seed))
    # A whole number, drawn so that small images, too, lose the right share on average.
    count = int(step.amount * height * width / 256**2 + rng.random())
    rows = rng.integers(0, max(1, height - BLOCK_PX + 1), count).tolist()
    columns = rng.integers(0, max(1, width - BLOCK_PX + 1), count).tolist()
    for top, left in zip(rows, columns, strict=True):
        changed[top : top + BLOCK_PX, left : left + BLOCK_PX] = 128
    return changed


_LEVELS = np.arange(256.0)


def _look_up(image: RGB, table: NDArray[np.float64]) -> RGB:
    return np.asarray(cv2.LUT(image, _round(table)), np.uint8)


def _round(values: NDArray[np.floating[Any]]) -> RGB:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


@dataclass(frozen=True)
class Kind:
    """A kind of degradation."""

    apply: Callable[[RGB, Degradation], RGB]
    meaning: str
    """Of the amount."""
    least: float
    most: float
    whole: bool = False
    """Whether the amount is drawn as a whole number."""
    even_in_log: bool = False
    """Whether the amount is drawn evenly in its logarithm."""
    seeded: bool = False
    """Whether more than the amount is random."""


DEGRADATIONS = {
    "shading": Kind(_shading, "largest share of light added or taken at nine points", 0, 1, seeded=True),
    "blur": Kind(_blur, "sigma of a Gaussian, in pixels", 0.1, 20),
    "denoise": Kind(_denoise, "grey levels: detail that deviates by less is smoothed", 1, 100),
    "sharpen": Kind(_sharpen, "share of detail added", 0, 5),
    "resample": Kind(_resample, "share of its side to which the image goes down, before it comes up again", 0.05, 1),
    "gaussian_noise": Kind(_gaussian_noise, "standard deviation in grey levels", 0, 100, seeded=True),
    "poisson_noise": Kind(_poisson_noise, "photons of a white pixel", 10, 1e6, even_in_log=True, seeded=True),
    "brightness": Kind(_brightness, "grey levels added", -255, 255),
    "contrast": Kind(_contrast, "factor on the distance from middle grey", 0.1, 10),
    "hue": Kind(_hue, "turn of the chroma plane in degrees", -180, 180),
    "saturation": Kind(_saturation, "factor on the chroma", 0, 4),
    "webp": Kind(_webp, "quality", 1, 100, whole=True),
    "h264": Kind(_h264, "constant rate factor (CRF)", 0, 51, whole=True),
    "jpeg": Kind(_jpeg, "quality", 1, 100, whole=True),
    "blocks": Kind(_blocks, "grey blocks of 8 × 8 pixels on every 256 × 256", 0, 256, seeded=True),
}
"""Every kind by its name, in the order in which they are applied: light, lens, sensor, editing, platform."""
