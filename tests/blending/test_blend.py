"""The two formulas worked by hand and in float64, and the ablation's blends against OpenCV-free reimplementations."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from facexray.blending.blend import BLENDS, LEVELS, as_float, blend_alpha, blend_multiband, blend_poisson, face_xray

BLEND = pytest.mark.parametrize("blend", BLENDS)
RATIOS = (1.0, 0.75, 0.5, 0.25)


def ellipse(height, width, axes, blur=3.0):
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), axes, 15, 0, 360, 255, -1)
    return np.rint(ndimage.gaussian_filter(mask.astype(float), blur)).astype(np.uint8)


@pytest.fixture(scope="module")
def pair(store):
    """Foreground (float32) and background (uint8) of two people, (121, 158, 3)."""
    first = store.people[0]
    other = next(index for index, who in enumerate(store.people) if who != first)
    return store.crop(0)[90:211, 80:238].astype(np.float32), store.crop(other)[90:211, 80:238]


# Equation 1


def test_a_blend_worked_by_hand():
    """Foreground (200, 100, 7), background (100, 201, 7), M = 0, ¼, ½, ¾, 1 as near as 1/255 comes to it."""
    mask = np.array([[0, 64, 128, 191, 255]], np.uint8)
    foreground = np.tile(np.float32([200, 100, 7]), (1, 5, 1))
    background = np.tile(np.uint8([100, 201, 7]), (1, 5, 1))
    expected = [
        [100, 201, 7],
        [125, 176, 7],  # 100 + 64 / 255 · 100 = 125.10; 201 − 64 / 255 · 101 = 175.65
        [150, 150, 7],  # 150.20; 150.30
        [175, 125, 7],  # 174.90; 125.35
        [200, 100, 7],
    ]
    np.testing.assert_array_equal(blend_alpha(foreground, background, mask)[0], expected)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("whole", [True, False], ids=["bytes", "floats"])
def test_alpha_is_equation_1_in_float64_rounded(ratio, whole):
    """Every combination of foreground and M, on many backgrounds; a half may be rounded to either side."""
    rng = np.random.default_rng(0)
    foreground = np.repeat(np.arange(256, dtype=np.float32)[:, None, None], 256, axis=1).repeat(3, axis=2)
    if not whole:
        foreground = (foreground * rng.random(foreground.shape)).astype(np.float32)
    background = rng.integers(0, 256, (256, 256, 3)).astype(np.uint8)
    mask = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    m = (ratio * mask / 255)[..., None]
    exact = m * foreground.astype(float) + (1 - m) * background
    error = blend_alpha(foreground, background, mask, ratio) - exact
    assert np.abs(error).max() <= 0.5 + 1e-4
    assert abs(error.mean()) < 0.01  # truncation would lose half a level: a fingerprint that only fakes carry
    clear = np.abs(exact - np.floor(exact) - 0.5) > 1e-3
    np.testing.assert_array_equal((exact + error)[clear], np.rint(exact)[clear])


def test_a_full_mask_is_exactly_the_foreground(pair):
    foreground, background = pair
    full = np.full(background.shape[:2], 255, np.uint8)
    np.testing.assert_array_equal(blend_alpha(foreground, background, full), foreground)


@BLEND
@pytest.mark.parametrize("ratio", RATIOS)
def test_no_mask_is_exactly_the_background(blend, ratio, pair):
    empty = np.zeros(pair[1].shape[:2], np.uint8)
    np.testing.assert_array_equal(BLENDS[blend](*pair, empty, ratio), pair[1])


@BLEND
def test_a_ratio_of_nothing_is_exactly_the_background(blend, pair):
    np.testing.assert_array_equal(BLENDS[blend](*pair, ellipse(121, 158, (50, 30)), 0.0), pair[1])


@pytest.mark.parametrize("blend", ["alpha", "poisson"])
def test_where_the_mask_is_zero_the_background_stays(blend, pair):
    mask = ellipse(121, 158, (40, 25))
    blended = BLENDS[blend](*pair, mask, 1.0)
    np.testing.assert_array_equal(blended[mask == 0], pair[1][mask == 0])
    assert (blended != pair[1])[mask == 255].mean() > 0.5


@BLEND
def test_extreme_masks_and_small_pictures(blend):
    rng = np.random.default_rng(1)
    for height, width in ((1, 1), (1, 9), (2, 2), (3, 3), (5, 40), (33, 32)):
        foreground = rng.integers(0, 256, (height, width, 3)).astype(np.float32)
        background = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        single = np.zeros((height, width), np.uint8)
        single[height // 2, width // 2] = 255
        for mask in (single, np.full((height, width), 255, np.uint8), np.full((height, width), 1, np.uint8)):
            blended = BLENDS[blend](foreground, background, mask, 1.0)
            assert blended.shape == background.shape
            assert blended.dtype == np.uint8
            if blend != "multiband":
                np.testing.assert_array_equal(blended[mask == 0], background[mask == 0])


@BLEND
def test_a_face_on_itself_stays(blend, pair):
    """With every kind of mask: in the middle, at the border, odd and even, of one pixel, of all."""
    background = pair[1]
    rng = np.random.default_rng(3)
    for height, width in ((121, 158), (120, 157), (64, 64), (37, 90)):
        part = background[:height, :width]
        corner = np.zeros((height, width), np.uint8)
        corner[: height // 2, : width // 3] = 255
        single = np.zeros((height, width), np.uint8)
        single[height // 2, width // 2] = 200
        noise = rng.integers(0, 256, (height, width)).astype(np.uint8)
        for mask in (
            ellipse(height, width, (width // 3, height // 4)),
            corner,
            single,
            noise,
            np.full_like(corner, 255),
        ):
            blended = BLENDS[blend](part.astype(np.float32), part, mask, 1.0)
            # Poisson's solver works in floats and rounds once more.
            assert np.abs(blended.astype(int) - part).max() <= (1 if blend == "poisson" else 0)


@BLEND
def test_the_pictures_stay_as_they_are(blend, pair):
    foreground, background, mask = pair[0].copy(), pair[1].copy(), ellipse(121, 158, (50, 30))
    for array in (foreground, background, mask):
        array.setflags(write=False)
    blended = BLENDS[blend](foreground, background, mask, 1.0)
    np.testing.assert_array_equal(foreground, pair[0])
    np.testing.assert_array_equal(background, pair[1])
    assert not np.shares_memory(blended, background)


# Poisson


@pytest.mark.parametrize("shape", [(60, 80), (61, 80), (60, 81), (61, 81)])
@pytest.mark.parametrize("box", [(20, 40, 30, 50), (19, 40, 30, 50), (20, 40, 29, 50), (0, 60, 0, 80), (0, 31, 44, 80)])
def test_poisson_clones_in_place(shape, box):
    """A dot on a flat face comes out where it was: OpenCV lays the region's middle on a point, easily a pixel off."""
    height, width = shape
    top, bottom, left, right = box[0], min(box[1], height), box[2], min(box[3], width)
    mask = np.zeros(shape, np.uint8)
    mask[top:bottom, left:right] = 255
    foreground = np.full((*shape, 3), 120, np.float32)
    y, x = (top + bottom) // 2, (left + right) // 2
    foreground[y, x] = 200
    background = np.full((*shape, 3), 90, np.uint8)
    blended = blend_poisson(foreground, background, mask)[..., 1].astype(int) - 90
    assert np.unravel_index(blended.argmax(), shape) == (y, x)
    assert blended[y, x] == pytest.approx(80, abs=2)
    np.testing.assert_array_less(
        np.delete(blended.ravel(), y * width + x), 4
    )  # the flat face took the background's grey


def test_poisson_solves_the_equation_of_its_name(pair):
    """Where M = 1: the clone's Laplacian is the foreground's, within rounding, though its colours are not."""
    foreground, background = pair[0], pair[1]
    mask = np.zeros(background.shape[:2], np.uint8)
    mask[20:100, 25:130] = 255
    blended = blend_poisson(foreground + 40 * (foreground < 200), background, mask).astype(float)
    # OpenCV keeps three pixels within the region's border to itself.
    inner = np.s_[26:94, 31:124]
    got, expected = (ndimage.laplace(i[..., 1])[inner] for i in (blended, foreground + 40 * (foreground < 200)))
    unclipped = (ndimage.minimum_filter(blended[..., 1], 3)[inner] > 0) & (
        ndimage.maximum_filter(blended[..., 1], 3)[inner] < 255
    )
    assert np.median(np.abs(got - expected)[unclipped]) <= 2
    assert np.corrcoef(got[unclipped], expected[unclipped])[0, 1] > 0.98
    rim = np.abs(blended[20:100, 25] - background[20:100, 24].astype(float)).mean()
    assert rim < 0.3 * np.abs(foreground[20:100, 25] + 40 - background[20:100, 24]).mean()


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_poisson_blends_the_clone_by_the_mask(ratio, pair):
    """Soft masks: the same clone as with the hard mask of M > 0, by equation 1."""
    soft = ellipse(121, 158, (50, 30), blur=5)
    clone = blend_poisson(*pair, np.where(soft > 0, 255, 0).astype(np.uint8)).astype(float)
    m = ratio * soft[..., None] / 255
    expected = m * clone + (1 - m) * pair[1]
    assert np.abs(blend_poisson(*pair, soft, ratio) - expected).max() <= 0.51


# Multi-band

BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16


def smaller(image):
    for axis in (0, 1):
        image = ndimage.correlate1d(image, BINOMIAL, axis=axis, mode="mirror")
    return image[::2, ::2]


def larger(image, shape):
    """Zeros between the pixels, the same filter, twice its weight; the border is mirrored first and repeated last."""
    for axis in (0, 1):
        line = np.moveaxis(image, axis, 0)
        before, after = np.concatenate([line[1:2] if len(line) > 1 else line, line[:-1]]), [*line[1:], line[-1]]
        twice = np.stack([(before + 6 * line + after) / 8, (line + after) / 2], axis=1).reshape(-1, *line.shape[1:])
        image = np.moveaxis(twice[: shape[axis]], 0, axis)
    return image


def burt_adelson(foreground, background, mask):
    """Laplacian pyramids of both, each level blended by the mask's Gaussian pyramid, and summed up again."""

    def laplacian(image):
        bands = []
        while len(bands) < LEVELS and min(image.shape[:2]) >= 4:
            coarse = smaller(image)
            bands.append(image - larger(coarse, image.shape))
            image = coarse
        return [*bands, image]

    ours, theirs, alphas = laplacian(foreground), laplacian(background), [mask[..., None]]
    while len(alphas) < len(ours):
        alphas.append(smaller(alphas[-1]))
    bands = [a * f + (1 - a) * b for a, f, b in zip(alphas, ours, theirs, strict=True)]
    image = bands.pop()
    while bands:
        band = bands.pop()
        image = band + larger(image, band.shape)
    return image


@pytest.mark.parametrize("shape", [(120, 156), (121, 155), (64, 64), (97, 32)])
@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_multiband_is_burt_and_adelson_s(shape, ratio, pair):
    foreground, background = (image[: shape[0], : shape[1]] for image in pair)
    mask = ellipse(*shape, (shape[1] // 3, shape[0] // 4))
    expected = burt_adelson(foreground.astype(float), background.astype(float), ratio * mask / 255).clip(0, 255)
    blended = blend_multiband(foreground, background, mask, ratio)
    assert np.abs(blended - expected).max() <= 0.51


def test_multiband_hides_a_difference_of_colour_more_widely_than_alpha(pair):
    """Two flat faces under a hard mask: alpha's step is the whole difference, multi-band's a small part of it."""
    background = np.full((128, 128, 3), 90, np.uint8)
    mask = np.zeros((128, 128), np.uint8)
    mask[32:96, 32:96] = 255
    steps = {
        name: np.abs(
            np.diff(BLENDS[name](np.full((128, 128, 3), 150, np.float32), background, mask, 1.0)[64, :, 0].astype(int))
        ).max()
        for name in ("alpha", "multiband")
    }
    assert steps["alpha"] == 60
    assert steps["multiband"] < 12


def test_multiband_stays_in_range():
    rng = np.random.default_rng(5)
    foreground = rng.choice([0, 255], (90, 70, 3)).astype(np.float32)
    background = rng.choice([0, 255], (90, 70, 3)).astype(np.uint8)
    mask = rng.choice([0, 255], (90, 70)).astype(np.uint8)
    expected = burt_adelson(foreground.astype(float), background.astype(float), mask / 255)
    assert expected.min() < -20  # what is to be cut off, not wrapped or mirrored
    assert expected.max() > 275
    assert np.abs(blend_multiband(foreground, background, mask) - expected.clip(0, 255)).max() <= 0.51


# Equation 2


def test_an_xray_worked_by_hand():
    mask = np.array([[0, 51, 127, 128, 204, 255]], np.uint8)
    expected = [[0, 0.64, 4 * 127 * 128 / 255**2, 4 * 127 * 128 / 255**2, 0.64, 0]]
    np.testing.assert_allclose(face_xray(mask), expected, atol=1e-6)


def test_xray_is_equation_2_in_float64_of_every_level():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    m = levels / 255
    xray = face_xray(levels)
    assert xray.dtype == np.float32
    np.testing.assert_allclose(xray, 4 * m * (1 - m), atol=2e-7)
    np.testing.assert_allclose(xray, face_xray(255 - levels), atol=2e-7)
    assert (xray.ravel()[[0, 255]] == 0).all()
    assert 0 <= xray.min() <= xray.max() <= 1


def test_as_float_is_the_level_over_255():
    levels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    assert as_float(levels).dtype == np.float32
    np.testing.assert_array_equal(as_float(levels), (levels / 255).astype(np.float32))
