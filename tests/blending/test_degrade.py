"""Degradations against Pillow's JPEG and resampling."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from facexray.blending.degrade import Degradation, degrade
from facexray.faces.crop import CROP_SIZE


@pytest.fixture(scope="module")
def crop(store):
    return store.crop(0)


def pillow_jpeg(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(buffer).convert("RGB"))


@pytest.mark.parametrize(
    "colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)], ids=["red", "green", "blue", "yellow"]
)
@pytest.mark.parametrize("quality", [30, 90])
def test_jpeg_keeps_the_channel_order(colour, quality):
    patch = np.tile(np.uint8(colour), (32, 32, 1))
    out = degrade(patch, (Degradation("jpeg", quality),))
    assert np.abs(out.astype(int) - colour).max() <= 6


@pytest.mark.parametrize("quality", [40, 70, 95])
def test_jpeg_is_the_one_that_pillow_writes(crop, quality):
    """A codec fed BGR swaps what is luma-heavy: the two results would differ by many grey levels."""
    ours, theirs = degrade(crop, (Degradation("jpeg", quality),)), pillow_jpeg(crop, quality)
    assert np.abs(ours.astype(float) - theirs).mean() < 0.5
    swapped = pillow_jpeg(np.ascontiguousarray(crop[..., ::-1]), quality)[..., ::-1]
    assert np.abs(ours.astype(float) - swapped).mean() > 2 * np.abs(ours.astype(float) - theirs).mean()


def test_jpeg_loses_more_at_lower_quality(crop):
    losses = [peak_signal_noise_ratio(crop, degrade(crop, (Degradation("jpeg", q),))) for q in (20, 50, 80, 100)]
    assert losses == sorted(losses)
    assert losses[-1] > 35


@pytest.mark.parametrize("kernel", ["nearest", "bilinear"])
def test_resampling_to_its_own_size_is_the_identity(crop, kernel):
    np.testing.assert_array_equal(degrade(crop, (Degradation("resample", CROP_SIZE, kernel),)), crop)


@pytest.mark.parametrize(("kernel", "how"), [("nearest", None), ("bilinear", Image.Resampling.BILINEAR)])
def test_resampling_goes_down_and_up(crop, kernel, how):
    out = degrade(crop, (Degradation("resample", 100, kernel),))
    assert out.shape == crop.shape
    assert out.dtype == np.uint8
    detail = [np.abs(np.diff(image.astype(float), axis=1)).mean() for image in (crop, out)]
    assert detail[1] < 0.9 * detail[0]
    if how is not None:  # Pillow's filter also averages when it shrinks: alike, not equal
        small = Image.fromarray(crop).resize((100, 100), how)
        expected = np.asarray(small.resize((CROP_SIZE, CROP_SIZE), Image.Resampling.BILINEAR))
        assert peak_signal_noise_ratio(expected, out) > 26


def test_resampling_does_not_shift():
    """A centred dot stays centred, by either kernel."""
    dot = np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8)
    dot[139:178, 139:178] = 255
    for kernel in ("nearest", "bilinear"):
        grey = degrade(dot, (Degradation("resample", 119, kernel),))[..., 0].astype(float)
        columns = np.arange(CROP_SIZE)
        centre = CROP_SIZE // 2
        assert (grey.sum(axis=0) * columns).sum() / grey.sum() == pytest.approx(centre, abs=1.5)
        assert (grey.sum(axis=1) * columns).sum() / grey.sum() == pytest.approx(centre, abs=1.5)


def test_steps_come_in_order(crop):
    jpeg, resample = Degradation("jpeg", 30), Degradation("resample", 90)
    np.testing.assert_array_equal(degrade(crop, (jpeg, resample)), degrade(degrade(crop, (jpeg,)), (resample,)))
    assert (degrade(crop, (jpeg, resample)) != degrade(crop, (resample, jpeg))).any()


def test_no_step_is_the_identity_and_the_input_stays(crop):
    before = crop.copy()
    np.testing.assert_array_equal(degrade(crop, ()), before)
    degrade(crop, (Degradation("resample", 80), Degradation("jpeg", 40)))
    np.testing.assert_array_equal(crop, before)
