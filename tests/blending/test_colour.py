"""Colour transfer: the moments inside the mask, computed by NumPy and scikit-image."""

import numpy as np
import pytest
from skimage.color import rgb2lab

from facexray.blending.colour import COLOURS

SIZE = 48


def picture(seed, mean, spread):
    noise = np.random.default_rng(seed).normal(0, 1, (SIZE, SIZE, 3))
    return (np.array(mean) + np.array(spread) * np.clip(noise, -2.5, 2.5)).astype(np.float32)


@pytest.fixture
def foreground():
    return picture(1, (110, 120, 140), (14, 10, 8))


@pytest.fixture
def background():
    return picture(2, (140, 115, 105), (9, 13, 11))


@pytest.fixture
def mask():
    """Soft-edged: 1 in the middle, 0.3 in a ring that does not count, 0 around."""
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[8:40, 8:40] = 0.3
    mask[14:34, 12:36] = 1
    return mask


def test_rgb_gives_the_background_mean_and_deviation_inside(foreground, background, mask):
    matched = COLOURS["rgb"](foreground, background, mask)
    inside = mask > 0.5
    np.testing.assert_allclose(matched[inside].mean(axis=0), background[inside].mean(axis=0), atol=0.02)
    np.testing.assert_allclose(matched[inside].std(axis=0), background[inside].std(axis=0), atol=0.02)
    assert np.abs(foreground[inside].mean(axis=0) - background[inside].mean(axis=0)).min() > 3


def test_lab_gives_the_background_mean_and_deviation_inside_in_lab(foreground, background, mask):
    matched = COLOURS["lab"](foreground, background, mask)
    inside = mask > 0.5
    got, expected = (rgb2lab(image / 255)[inside] for image in (matched, background))
    np.testing.assert_allclose(got.mean(axis=0), expected.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(got.std(axis=0), expected.std(axis=0), atol=0.3)


@pytest.mark.parametrize("method", COLOURS)
def test_only_what_lies_inside_decides(method, foreground, background, mask):
    elsewhere = background.copy()
    elsewhere[mask <= 0.5] = 7
    np.testing.assert_array_equal(
        COLOURS[method](foreground, background, mask), COLOURS[method](foreground, elsewhere, mask)
    )


def test_none_is_the_identity(foreground, background, mask):
    np.testing.assert_array_equal(COLOURS["none"](foreground, background, mask), foreground)


@pytest.mark.parametrize("method", ["rgb", "lab"])
def test_matching_a_picture_to_itself_changes_nothing(method, foreground, mask):
    np.testing.assert_allclose(COLOURS[method](foreground, foreground, mask), foreground, atol=0.6)


@pytest.mark.parametrize("method", ["rgb", "lab"])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_foreground_without_variance_takes_the_mean(method, level, background, mask):
    flat = np.full((SIZE, SIZE, 3), level, np.float32)
    matched = COLOURS[method](flat, background, mask)
    assert np.isfinite(matched).all()
    inside = mask > 0.5
    np.testing.assert_allclose(matched[inside].mean(axis=0), background[inside].mean(axis=0), atol=2)


@pytest.mark.parametrize("method", COLOURS)
@pytest.mark.parametrize("level", [0, 255])
def test_a_background_without_variance_gives_no_nan(method, level, foreground, mask):
    matched = COLOURS[method](foreground, np.full((SIZE, SIZE, 3), level, np.float32), mask)
    assert np.isfinite(matched).all()


@pytest.mark.parametrize("method", COLOURS)
def test_stays_in_range_and_finite_on_extremes_and_an_empty_mask(method):
    rng = np.random.default_rng(0)
    extreme = rng.choice([0, 255], (SIZE, SIZE, 3)).astype(np.float32)
    dim = picture(5, (8, 250, 128), (3, 2, 40)).clip(0, 255)
    for mask in (np.zeros((SIZE, SIZE), np.float32), np.ones((SIZE, SIZE), np.float32)):
        for pair in ((extreme, dim), (dim, extreme)):
            matched = COLOURS[method](*pair, mask)
            assert matched.dtype == np.float32
            assert matched.min() >= 0
            assert matched.max() <= 255
