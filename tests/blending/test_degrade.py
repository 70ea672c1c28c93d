"""Degradations against SciPy, Pillow and their formulas; that none moves, tints or darkens the image."""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage, stats
from skimage.registration import phase_cross_correlation

from facexray.blending.degrade import (
    BLOCK_PX,
    DEGRADATIONS,
    DENOISE_PX,
    KERNELS,
    SUBSAMPLINGS,
    UNSHARP_SIGMA,
    Degradation,
    degrade,
    sharpen,
)

STEPS = [
    Degradation("shading", 0.2, seed=3),
    Degradation("blur", 1.5),
    Degradation("denoise", 10.0),
    Degradation("sharpen", 0.8),
    *[Degradation("resample", 0.53, f"{kernel}-linear") for kernel in KERNELS],
    *[Degradation("resample", 0.53, f"area-{kernel}") for kernel in KERNELS],
    Degradation("gaussian_noise", 6.0, seed=3),
    Degradation("poisson_noise", 200.0, seed=3),
    Degradation("brightness", 17.0),
    Degradation("contrast", 0.8),
    Degradation("hue", 12.0),
    Degradation("saturation", 0.5),
    Degradation("webp", 60.0),
    Degradation("h264", 28.0),
    Degradation("jpeg", 50.0, "420"),
    Degradation("jpeg", 50.0, "444"),
    Degradation("blocks", 250.0, seed=3),
]
"""Every kind, kernel and subsampling, at a middling amount."""
STEP = pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.kind}{step.how and '-'}{step.how}")
CODECS = [step for step in STEPS if step.kind in ("webp", "h264", "jpeg")]


@pytest.fixture(scope="module")
def crop(faces):
    return faces.crop(0)


def once(image, kind, amount, how="", seed=0):
    return degrade(image, (Degradation(kind, amount, how, seed),))


def luma(image):
    """Y' of BT.601 in float64."""
    return image.astype(float) @ [0.299, 0.587, 0.114]


def error(image, other):
    return float(np.abs(image.astype(float) - other).mean())


def test_every_kind_is_here():
    assert {step.kind for step in STEPS} == set(DEGRADATIONS)


@STEP
@pytest.mark.parametrize(("height", "width"), [(317, 317), (256, 256), (233, 250), (64, 63), (17, 16)])
def test_changes_the_image_and_keeps_its_kind(step, height, width, crop):
    image = crop[100 : 100 + height, 60 : 60 + width] if height < 200 else crop[:height, :width]  # not contiguous
    before = image.copy()
    degraded = degrade(image, (step,))
    assert degraded.shape == image.shape
    assert degraded.dtype == np.uint8
    assert (degraded != image).mean() > 0.02
    np.testing.assert_array_equal(image, before)
    assert not np.shares_memory(degraded, image)


@STEP
@pytest.mark.parametrize(("height", "width"), [(256, 256), (233, 250)])
def test_moves_the_image_by_less_than_a_tenth_of_a_pixel(step, height, width, crop):
    """By scikit-image's phase correlation: the X-ray stays where it is, and must not come to lie beside the edge."""
    image = crop[:height, :width]
    moved = phase_cross_correlation(luma(image), luma(degrade(image, (step,))), upsample_factor=50, normalization=None)[
        0
    ]
    assert np.abs(moved).max() < 0.1


@pytest.mark.parametrize("down", KERNELS)
@pytest.mark.parametrize("up", KERNELS)
@pytest.mark.parametrize("share", [0.25, 0.4, 0.77])
def test_no_kernel_moves_a_blob(down, up, share):
    """Symmetric about the middle pixel before and after, however far it was shrunk."""
    y, x = np.mgrid[0:257, 0:257]
    blob = np.rint(200 * np.exp(-((x - 128) ** 2 + (y - 128) ** 2) / (2 * 25**2))).astype(np.uint8)
    weights = once(np.repeat(blob[..., None], 3, axis=2), "resample", share, f"{down}-{up}")[..., 0].astype(float)
    assert (weights * x).sum() / weights.sum() == pytest.approx(128, abs=0.05)
    assert (weights * y).sum() / weights.sum() == pytest.approx(128, abs=0.05)


@STEP
def test_keeps_the_mean(step, crop):
    """Within half a level or so, in each channel, where nothing is cut off at black or white."""
    change = degrade(crop, (step,)).mean(axis=(0, 1)) - crop.mean(axis=(0, 1))
    if step.kind == "brightness":
        change -= step.amount
    elif step.kind == "contrast":
        change -= (step.amount - 1) * (crop.mean(axis=(0, 1)) - 127.5)
    elif step.kind == "shading":
        gains = degrade(np.full_like(crop, 100), (step,)) / 100 - 1
        change -= (gains * crop).mean(axis=(0, 1))
    elif step.kind == "blocks":
        change -= (128.0 - crop[(degrade(crop, (step,)) != crop).any(axis=2)]).sum(axis=0) / crop[..., 0].size
    elif step.kind in ("hue", "saturation"):
        change = change @ [0.299, 0.587, 0.114]
    assert np.abs(change).max() < (0.7 if step in CODECS else 1.6)


@STEP
def test_is_the_same_every_time_and_in_every_thread(step, crop):
    expected = degrade(crop, (step,))
    with ThreadPoolExecutor(4) as pool:
        for degraded in pool.map(lambda _: degrade(crop, (step,)), range(6)):
            np.testing.assert_array_equal(degraded, expected)


@pytest.mark.parametrize(
    ("step", "atol"),
    [
        *[(Degradation("resample", 1.0, f"{down}-{up}"), 0) for down in KERNELS for up in ("linear", "lanczos")],
        (Degradation("contrast", 1.0), 0),
        (Degradation("brightness", 0.0), 0),
        (Degradation("hue", 0.0), 0),
        (Degradation("saturation", 1.0), 0),
        (Degradation("blocks", 0.0), 0),
        (Degradation("shading", 0.0), 0),
        (Degradation("sharpen", 0.0), 0),
        (Degradation("gaussian_noise", 0.0), 0),
        (Degradation("hue", 180.0), None),
    ],
    ids=lambda value: f"{value.kind}-{value.how}" if isinstance(value, Degradation) else "",
)
def test_an_amount_of_nothing_changes_nothing(step, atol, crop):
    if atol is None:  # the control: half a turn is not nothing
        assert error(crop, degrade(crop, (step,))) > 10
    else:
        np.testing.assert_array_equal(degrade(crop, (step,)), crop)


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_the_ends_of_every_range_can_be_reached(kind, crop):
    how = {"resample": "area-cubic", "jpeg": "444"}.get(kind, "")
    image = crop[40:140, 50:151]
    ends = [once(image, kind, amount, how, seed=1) for amount in (DEGRADATIONS[kind].least, DEGRADATIONS[kind].most)]
    assert all(end.shape == image.shape and end.dtype == np.uint8 for end in ends)
    assert (ends[0] != ends[1]).any() == (kind != "hue")  # half a turn to the left is half a turn to the right


def test_steps_come_in_order(crop):
    jpeg, blur = Degradation("jpeg", 30, "420"), Degradation("blur", 2.0)
    np.testing.assert_array_equal(degrade(crop, (jpeg, blur)), degrade(degrade(crop, (jpeg,)), (blur,)))
    assert (degrade(crop, (jpeg, blur)) != degrade(crop, (blur, jpeg))).any()
    np.testing.assert_array_equal(degrade(crop, ()), crop)


# Codecs


@pytest.mark.parametrize("step", CODECS, ids=lambda step: step.kind + step.how)
@pytest.mark.parametrize("colour", [(220, 30, 30), (30, 200, 30), (30, 30, 220), (220, 210, 30)])
def test_codecs_keep_the_order_of_the_channels(step, colour):
    patch = np.tile(np.uint8(colour), (64, 48, 1))
    np.testing.assert_allclose(degrade(patch, (step,)).mean(axis=(0, 1)), colour, atol=3)


def pillow_jpeg(image, quality, subsampling):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(buffer).convert("RGB"))


@pytest.mark.parametrize("quality", [40, 70, 95])
@pytest.mark.parametrize("how", SUBSAMPLINGS)
def test_jpeg_is_the_one_that_pillow_writes(quality, how, crop):
    """A codec fed BGR swaps what is luma-heavy, and the other subsampling blurs other colours: both are further off."""
    ours = once(crop, "jpeg", quality, how)
    pillows = {name: pillow_jpeg(crop, quality, f"{name[0]}:{name[1]}:{name[2]}") for name in SUBSAMPLINGS}
    swapped = pillow_jpeg(np.ascontiguousarray(crop[..., ::-1]), quality, f"{how[0]}:{how[1]}:{how[2]}")[..., ::-1]
    near = error(ours, pillows.pop(how))
    assert near < 0.1
    assert error(ours, swapped) > 3 * near
    assert error(ours, *pillows.values()) > 3 * near


@pytest.mark.parametrize(
    ("kind", "amount", "how", "kept"), [("jpeg", 100, "420", False), ("jpeg", 100, "444", True), ("h264", 1, "", False)]
)
def test_subsampling_costs_colour_and_not_light(kind, amount, how, kept):
    """Columns of two colours of one luma, a pixel wide: 4:2:0 averages them, 4:4:4 keeps them. Grey ones both keep."""
    red, green = np.uint8([180, 80, 60]), np.uint8([80, 130, 64])
    assert abs(luma(red) - luma(green)) < 1
    dark, light = np.uint8([90] * 3), np.uint8([150] * 3)

    def contrast(*colours):
        columns = once(np.tile(np.stack(colours), (64, 32, 1)), kind, amount, how).astype(float).mean(axis=0)
        return np.abs(np.diff(columns, axis=0)).mean(axis=0)

    assert (contrast(red, green)[0] > 80) if kept else (contrast(red, green)[0] < 10)
    assert contrast(dark, light).min() > 50


@pytest.mark.parametrize(
    ("kind", "amounts"),
    [("jpeg", (10, 30, 50, 70, 90, 100)), ("webp", (5, 30, 50, 70, 90, 100)), ("h264", (48, 40, 33, 26, 18, 8))],
)
def test_codecs_lose_less_the_better_they_are_set(kind, amounts, crop):
    lost = [error(crop, once(crop, kind, amount, "420")) for amount in amounts]
    assert lost == sorted(lost, reverse=True)
    assert lost[0] > 2 * lost[-1]


# Noise


@pytest.mark.parametrize("amount", [1.0, 5.0, 20.0])
def test_gaussian_noise_has_its_standard_deviation(amount):
    flat = np.full((300, 300, 3), 128, np.uint8)
    noise = once(flat, "gaussian_noise", amount, seed=5).astype(float) - 128
    assert noise.std() == pytest.approx(np.hypot(amount, 1 / np.sqrt(12)), rel=0.01)  # and that of rounding
    assert noise.mean() == pytest.approx(0, abs=0.1)
    channels = np.corrcoef(noise.reshape(-1, 3).T)
    neighbours = np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]
    assert np.abs(channels - np.eye(3)).max() < 0.02
    assert abs(neighbours) < 0.02


@pytest.mark.parametrize("amount", [0.5, 3.0, 12.0])
def test_gaussian_noise_is_gaussian(amount):
    """As often as SciPy's normal distribution has it between two halves, out to the tails."""
    flat = np.full((600, 600, 3), 128, np.uint8)
    noise = once(flat, "gaussian_noise", amount, seed=7).astype(int) - 128
    levels = np.arange(-round(4 * amount) - 1, round(4 * amount) + 2)
    seen = np.cumsum([(noise == level).sum() for level in levels]) / noise.size
    expected = stats.norm.cdf(levels + 0.5, scale=amount)
    deviation = np.sqrt(expected * (1 - expected) / noise.size)
    assert (np.abs(seen - expected) < 4 * deviation + 2**-16).all()
    assert np.abs(noise).max() >= 4 * amount


def test_gaussian_noise_adds_to_each_pixel_the_same_and_is_cut_off(crop):
    """The noise on middle grey is the noise on any image."""
    noise = once(np.full_like(crop, 128), "gaussian_noise", 20.0, seed=1).astype(int) - 128
    np.testing.assert_array_equal(once(crop, "gaussian_noise", 20.0, seed=1), (crop + noise).clip(0, 255))


def test_a_seed_is_the_same_noise_on_every_machine():
    noisy = once(np.full((31, 33, 3), 128, np.uint8), "gaussian_noise", 6.0, seed=123)
    assert hashlib.sha256(noisy).hexdigest() == "f360fef34aa4e839ca0f1f69dadb1bf02b2151a82a2253a9f3b7a84ab372b653"


@pytest.mark.parametrize("photons", [30.0, 500.0, 1e4])
@pytest.mark.parametrize("level", [40, 200])
def test_poisson_noise_has_the_deviation_of_counted_photons(photons, level):
    """√n of n = level / 255 · photons, in grey levels."""
    flat = np.full((300, 300, 3), level, np.uint8)
    if level + 4 * 255 / photons * np.sqrt(level / 255 * photons) > 255:
        level, flat = 40, np.full((300, 300, 3), 40, np.uint8)  # of few photons bright ones are cut off at 255
    noisy = once(flat, "poisson_noise", photons, seed=5).astype(float)
    deviation = 255 / photons * np.sqrt(level / 255 * photons)
    assert noisy.std() == pytest.approx(np.hypot(deviation, 1 / np.sqrt(12)), rel=0.05)
    assert noisy.mean() == pytest.approx(level, abs=0.3)


def test_shading_is_smooth_and_alike_in_all_colours_and_about_as_strong_as_said():
    flat = np.full((200, 300, 3), 128, np.uint8)
    fields = [once(flat, "shading", 0.25, seed=seed).astype(int) for seed in range(20)]
    for field in fields:
        np.testing.assert_array_equal(field, field[..., :1].repeat(3, axis=2))
        assert max(np.abs(np.diff(field, axis=axis)).max() for axis in (0, 1)) <= 2
        assert np.ptp(field) > 5
    darkest, brightest = min(map(np.min, fields)), max(map(np.max, fields))
    assert 128 * 0.65 <= darkest < 128 * 0.82  # a cubic between the gains overshoots a little
    assert 128 * 1.18 < brightest <= 128 * 1.35


@pytest.mark.parametrize("kind", ["gaussian_noise", "poisson_noise"])
def test_another_seed_is_another_noise(kind, crop):
    one, other = (once(crop, kind, 20.0, seed=seed).astype(float) - crop for seed in (1, 2))
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.1


# The rest by their formulas


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_blur_is_scipys_gaussian(sigma, crop):
    """Rounded; OpenCV's borders are mirrored, and its kernel of a byte image is in steps of 1/256."""
    expected = ndimage.gaussian_filter(crop.astype(float), (sigma, sigma, 0), mode="mirror")
    assert np.abs(once(crop, "blur", sigma) - expected).max() < 2.1
    assert error(once(crop, "blur", sigma), expected) < 0.5


@pytest.mark.parametrize("amount", [2.0, 12.0])
def test_denoise_is_the_guided_filter_by_its_paper(amount, crop):
    """He, Sun & Tang, equations 5, 6 and 8 with p = I: over every window a linear model, and the mean of all models."""

    def mean(values):
        return ndimage.uniform_filter(values, (DENOISE_PX, DENOISE_PX, 0), mode="mirror")

    image = crop.astype(float)
    variance = mean(image**2) - mean(image) ** 2
    slope = variance / (variance + amount**2)
    expected = mean(slope) * image + mean((1 - slope) * mean(image))
    assert np.abs(once(crop, "denoise", amount) - expected).max() < 0.51


def test_denoise_takes_noise_away_and_leaves_edges():
    clean = np.full((64, 64, 3), 60.0)
    clean[:, 32:] = 180
    noisy = np.clip(np.rint(clean + np.random.default_rng(0).normal(0, 4, clean.shape)), 0, 255).astype(np.uint8)
    smooth = once(noisy, "denoise", 8.0).astype(float)
    far = [*range(8, 20), *range(44, 56)]
    assert smooth[8:-8, far].std(axis=0).mean() < 0.4 * noisy[8:-8, far].astype(float).std(axis=0).mean()
    assert smooth[:, 32].mean() - smooth[:, 31].mean() > 110


@pytest.mark.parametrize("amount", [-1.0, -0.4, 0.6, 3.0])
def test_sharpen_adds_a_share_of_the_difference_to_the_blur(amount, crop):
    image = crop.astype(float)
    expected = image + amount * (
        image - ndimage.gaussian_filter(image, (UNSHARP_SIGMA, UNSHARP_SIGMA, 0), mode="mirror")
    )
    off = np.abs(sharpen(crop, amount) - expected.clip(0, 255))
    assert off.max() < 0.5 + 1.6 * abs(amount)  # the blur itself is rounded
    assert off.mean() < 0.3 + 0.35 * abs(amount)


def test_resample_is_the_mean_of_blocks_and_their_repetition():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    means = image.reshape(20, 2, 30, 2, 3).astype(float).mean(axis=(1, 3))
    expected = means.repeat(2, axis=0).repeat(2, axis=1)
    assert np.abs(once(image, "resample", 0.5, "area-nearest") - expected).max() <= 0.5


@pytest.mark.parametrize(
    ("how", "filters"), [("linear-cubic", ("linear", "cubic")), ("cubic-linear", ("cubic", "linear"))]
)
def test_resample_goes_down_by_the_first_kernel_and_up_by_the_second(how, filters, crop):
    side = round(0.6 * 317)
    kernels = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
    small = cv2.resize(crop, (side, side), interpolation=kernels[filters[0]])
    expected = cv2.resize(small, (317, 317), interpolation=kernels[filters[1]])
    np.testing.assert_array_equal(once(crop, "resample", 0.6, how), expected)


@pytest.mark.parametrize("down", ["area", "linear"])
def test_what_comes_up_later_stays_small_for_the_steps_that_follow(down, crop):
    """A codec's blocks are then blocks of the small image."""
    kernels = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}
    small = cv2.resize(crop, (127, 127), interpolation=kernels[down])
    packed = Degradation("jpeg", 30, "420")
    steps = (Degradation("resample", 0.4, f"{down}-later"), packed)
    np.testing.assert_array_equal(degrade(crop, steps[:1]), small)
    np.testing.assert_array_equal(degrade(crop, steps), degrade(small, (packed,)))


def test_resample_loses_more_the_further_down_it_goes(crop):
    for how in ("area-cubic", "linear-linear", "nearest-linear"):
        lost = [error(crop, once(crop, "resample", share, how)) for share in (0.05, 0.2, 0.5, 0.8, 1.0)]
        assert lost == sorted(lost, reverse=True)


@pytest.mark.parametrize("amount", [-60.0, 0.5, 90.0])
def test_brightness_is_added_and_cut_off(amount, crop):
    expected = np.rint(crop.astype(float) + amount).clip(0, 255)
    np.testing.assert_array_equal(once(crop, "brightness", amount), expected)


@pytest.mark.parametrize("amount", [0.3, 1.7, 10.0])
def test_contrast_stretches_about_middle_grey(amount, crop):
    expected = np.rint(127.5 + (crop.astype(float) - 127.5) * amount).clip(0, 255)
    np.testing.assert_array_equal(once(crop, "contrast", amount), expected)


@pytest.mark.parametrize("degrees", [-30.0, 12.0, 90.0, 180.0])
def test_hue_turns_the_chroma_and_keeps_the_luma(degrees):
    """In float64, on colours that stay within [0, 255]."""
    image = np.random.default_rng(0).integers(90, 150, (60, 60, 3)).astype(np.uint8)
    turned = once(image, "hue", degrees)
    assert np.abs(luma(turned) - luma(image)).max() < 0.6
    before, after = (
        0.713 * (i[..., 0] - luma(i)) + 1j * 0.564 * (i[..., 2] - luma(i))
        for i in (image.astype(float), turned.astype(float))
    )
    np.testing.assert_allclose(after, before * np.exp(-1j * np.deg2rad(degrees)), atol=0.8)


def test_hue_there_and_back_is_the_image(crop):
    image = (crop // 2 + 60).astype(np.uint8)
    assert np.abs(once(once(image, "hue", 25.0), "hue", -25.0).astype(int) - image).max() <= 2
    assert error(once(image, "hue", 25.0), image) > 3
    grey = np.repeat(luma(crop).astype(np.uint8)[..., None], 3, axis=2)
    np.testing.assert_array_equal(once(grey, "hue", 77.0), grey)


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.5])
def test_saturation_scales_the_distance_from_grey_and_keeps_the_luma(factor):
    """In float64, on colours that stay within [0, 255]."""
    image = np.random.default_rng(0).integers(90, 150, (60, 60, 3)).astype(np.uint8)
    changed, grey = once(image, "saturation", factor), luma(image)[..., None]
    assert np.abs(changed - (grey + factor * (image - grey))).max() < 0.8


@pytest.mark.parametrize(
    ("amount", "size"), [(16.0, (256, 256)), (80.0, (256, 256)), (40.0, (512, 384)), (2.0, (64, 64))]
)
def test_blocks_are_grey_and_as_many_as_fall_on_the_area(amount, size):
    """Counted by their area, which those that overlap and the seeds' rounding make less sure."""
    black, shares = np.zeros((*size, 3), np.uint8), []
    for seed in range(60):
        changed = once(black, "blocks", amount, seed=seed)
        assert set(np.unique(changed)) <= {0, 128}
        shares.append((changed[..., 0] > 0).mean())
    expected = 1 - np.exp(-amount * BLOCK_PX**2 / 256**2)  # of blocks that fall where they will
    assert np.mean(shares) == pytest.approx(expected, rel=0.1, abs=4 * np.std(shares) / np.sqrt(60))
