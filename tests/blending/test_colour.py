"""Colour transfer against scikit-image, and against the statistics that it promises, in float64."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.exposure import match_histograms

from facexray.blending.colour import COLOURS, LEAST_STD, LOCAL_PX

SIZE = 64
METHOD = pytest.mark.parametrize("method", COLOURS)
MATCHING = [name for name in COLOURS if name != "none"]


def picture(seed, mean, mix):
    """Normal pixels of a mean and a mixing matrix, within three deviations: far from 0 and 255."""
    noise = np.random.default_rng(seed).normal(0, 1, (SIZE, SIZE, 3)).clip(-3, 3)
    return np.rint(np.array(mean) + noise @ np.array(mix)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def foreground():
    return picture(1, (110, 120, 140), [[14, 6, 3], [0, 10, 5], [0, 0, 6]])


@pytest.fixture
def background():
    return picture(2, (140, 115, 105), [[9, 8, -4], [0, 10, 2], [0, 0, 11]])


@pytest.fixture
def inside():
    """Two patches of the picture, 0 or 1."""
    inside = np.zeros((SIZE, SIZE), np.uint8)
    inside[10:40, 12:36] = 1
    inside[30:60, 30:50] = 1
    return inside


def pixels(image, inside):
    return image[inside > 0].astype(float)


def covariance(image, inside):
    return np.cov(pixels(image, inside).T, bias=True)


def test_mean_is_the_background_mean_and_nothing_else_changes(foreground, background, inside):
    matched = COLOURS["mean"](foreground, background, inside)
    shift = pixels(background, inside).mean(axis=0) - pixels(foreground, inside).mean(axis=0)
    np.testing.assert_allclose(matched, foreground + shift, atol=1e-3)


def test_rgb_gives_the_background_mean_and_deviation(foreground, background, inside):
    matched = COLOURS["rgb"](foreground, background, inside)
    f, b = pixels(foreground, inside), pixels(background, inside)
    expected = (foreground - f.mean(axis=0)) / f.std(axis=0) * b.std(axis=0) + b.mean(axis=0)
    np.testing.assert_allclose(matched, expected, atol=1e-3)
    assert np.abs(f.mean(axis=0) - b.mean(axis=0)).min() > 3


def test_lab_gives_the_background_mean_and_deviation_in_scikit_images_lab(foreground, background, inside):
    """To 0.15 units: OpenCV's L*a*b* is interpolated in a table of 33³ colours."""
    matched = COLOURS["lab"](foreground, background, inside)
    got, expected, before = (pixels(rgb2lab(i / 255), inside) for i in (matched, background, foreground))
    np.testing.assert_allclose(got.mean(axis=0), expected.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(got.std(axis=0), expected.std(axis=0), atol=0.15)
    assert np.abs(before - expected).mean() > 3


def test_covariance_gives_the_background_mean_and_covariance(foreground, background, inside):
    matched = COLOURS["covariance"](foreground, background, inside)
    np.testing.assert_allclose(pixels(matched, inside).mean(axis=0), pixels(background, inside).mean(axis=0), atol=1e-2)
    np.testing.assert_allclose(covariance(matched, inside), covariance(background, inside), rtol=1e-3, atol=0.05)
    assert np.abs(covariance(foreground, inside) - covariance(background, inside)).max() > 20


def test_covariance_is_the_least_change_that_does_it(foreground, background, inside):
    """Monge and Kantorovich's map is symmetric and positive; a Cholesky factor's, which does it too, goes further."""
    matched = COLOURS["covariance"](foreground, background, inside)
    f, m = (pixels(i, inside) - pixels(i, inside).mean(axis=0) for i in (foreground, matched))
    change = np.linalg.lstsq(f, m, rcond=None)[0]
    np.testing.assert_allclose(change, change.T, atol=1e-3)
    assert np.linalg.eigvalsh(change).min() > 0
    lower_f, lower_b = (np.linalg.cholesky(covariance(i, inside)) for i in (foreground, background))
    by_cholesky = f @ np.linalg.inv(lower_f).T @ lower_b.T
    assert ((m - f) ** 2).sum() < ((by_cholesky - f) ** 2).sum()


def test_local_gives_each_neighbourhood_the_background_mean(foreground, background, inside):
    """Means by SciPy over the pixels inside, with zeros beyond the picture; far from 0 and 255."""
    counted = (inside > 0)[..., None].astype(float)

    def low(image):
        sums, counts = (ndimage.uniform_filter(v, (LOCAL_PX, LOCAL_PX, 1), mode="constant") for v in (image, counted))
        return sums / np.maximum(counts, 1 / LOCAL_PX**2)

    expected = foreground + low(background * counted) - low(foreground * counted)
    near = low(counted)[..., 0] > 0
    np.testing.assert_allclose(COLOURS["local"](foreground, background, inside)[near], expected[near], atol=1e-2)


def test_local_evens_out_a_light_from_the_side_and_keeps_the_detail():
    side = 3 * LOCAL_PX
    slope = np.linspace(0, 60, side)[None, :, None]
    detail = np.random.default_rng(0).integers(-8, 9, (side, side, 3))
    background = np.full((side, side, 3), 120, np.uint8)
    foreground = (90 + slope + detail).round().astype(np.uint8)
    whole = np.ones((side, side), np.uint8)
    matched = COLOURS["local"](foreground, background, whole)
    middle = np.s_[LOCAL_PX:-LOCAL_PX, LOCAL_PX:-LOCAL_PX]
    np.testing.assert_allclose(matched[middle] - detail[middle], 120, atol=1.5)


def test_histogram_is_the_one_that_scikit_image_matches(foreground, background, inside):
    """Of the counted pixels; floats, as scikit-image truncates integers."""
    matched = COLOURS["histogram"](foreground, background, inside)
    f, b = (pixels(image, inside)[None] for image in (foreground, background))
    np.testing.assert_allclose(matched[inside > 0], match_histograms(f, b, channel_axis=-1)[0], atol=1e-2)


def test_histogram_matches_pictures_of_few_and_of_extreme_levels(inside):
    rng = np.random.default_rng(4)
    levels = (
        rng.choice([0, 17, 255], (SIZE, SIZE, 3)).astype(np.uint8),
        rng.choice([3, 200], (SIZE, SIZE, 3)).astype(np.uint8),
    )
    for foreground, background in (levels, levels[::-1]):
        f, b = (pixels(image, inside)[None] for image in (foreground, background))
        matched = COLOURS["histogram"](foreground, background, inside)
        np.testing.assert_allclose(matched[inside > 0], match_histograms(f, b, channel_axis=-1)[0], atol=1e-2)


def test_none_is_the_foreground_in_floats(foreground, background, inside):
    matched = COLOURS["none"](foreground, background, inside)
    assert matched.dtype == np.float32
    np.testing.assert_array_equal(matched, foreground)


@METHOD
def test_only_what_lies_inside_decides_and_the_whole_foreground_is_changed(method, foreground, background, inside):
    elsewhere = background.copy()
    elsewhere[inside == 0] = 7
    matched = COLOURS[method](foreground, background, inside)
    np.testing.assert_array_equal(COLOURS[method](foreground, elsewhere, inside), matched)
    if method != "none":
        assert np.abs(matched[inside == 0] - foreground[inside == 0]).mean() > 3


@METHOD
def test_matching_a_picture_to_itself_changes_nothing(method, foreground, inside):
    """Within rounding; within a level by way of OpenCV's L*a*b*, whose table is coarser than its way back."""
    matched = COLOURS[method](foreground, foreground, inside)
    np.testing.assert_allclose(matched[inside > 0], foreground[inside > 0], atol=1 if method == "lab" else 0.01)


@pytest.mark.parametrize("method", MATCHING)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_foreground_without_variance_is_shifted_to_the_mean(method, level, background, inside):
    flat = np.full((SIZE, SIZE, 3), level, np.uint8)
    matched = COLOURS[method](flat, background, inside)
    expected = pixels(background, inside).mean(axis=0)
    if method == "histogram":  # all of its quantiles are 1: the background's largest
        expected = pixels(background, inside).max(axis=0)
    np.testing.assert_allclose(matched[inside > 0].mean(axis=0), expected, atol=1.5)
    if method != "local":  # which follows the background from place to place
        assert matched[inside > 0].std(axis=0).max() < 0.01


@METHOD
@pytest.mark.parametrize("level", [0, 100, 255])
def test_a_background_without_variance_makes_a_flat_foreground(method, level, foreground, inside):
    matched = COLOURS[method](foreground, np.full((SIZE, SIZE, 3), level, np.uint8), inside)
    assert np.isfinite(matched).all()
    if method not in ("none", "mean", "local"):
        np.testing.assert_allclose(matched[inside > 0], level, atol=0.5)


@METHOD
def test_flat_on_flat_and_grey_on_grey_are_finite_and_in_range(method, background, inside):
    grey = np.repeat(background[..., :1], 3, axis=2)
    flat = [np.full((SIZE, SIZE, 3), level, np.uint8) for level in (0, 255)]
    for pair in ((grey, background), (background, grey), (grey, grey), flat, flat[::-1], (flat[0], grey)):
        matched = COLOURS[method](*pair, inside)
        assert matched.dtype == np.float32
        assert matched.shape == (SIZE, SIZE, 3)
        assert np.isfinite(matched).all()
        assert matched.min() >= 0
        assert matched.max() <= 255


@pytest.mark.parametrize("method", ["lab", "covariance"])
def test_a_grey_foreground_s_rounding_is_not_scaled_up(method, background, inside):
    """Its channels differ by noise of ⅓ level; blown up to the background's chroma, that would be coloured snow."""
    rng = np.random.default_rng(9)
    light = rng.normal(120, 25, (SIZE, SIZE, 1)).clip(40, 200)
    grey = np.rint(light + rng.normal(0, 0.3, (SIZE, SIZE, 3))).astype(np.uint8)

    def chroma(image):
        values = pixels(image, inside)
        return (values[:, 0] - values[:, 1]).std()

    matched = COLOURS[method](grey, background, inside)
    assert chroma(matched) < 2 * chroma(grey)
    assert chroma(background) > 10 * chroma(grey)
    np.testing.assert_allclose(pixels(matched, inside).mean(axis=0), pixels(background, inside).mean(axis=0), atol=0.7)


def test_covariance_matches_a_grey_foreground_along_its_grey_axis(background, inside):
    light = np.random.default_rng(3).normal(120, 20, (SIZE, SIZE, 1)).clip(50, 190)
    grey = np.repeat(np.rint(light).astype(np.uint8), 3, axis=2)
    matched = COLOURS["covariance"](grey, background, inside)
    axis = np.ones(3) / np.sqrt(3)
    assert (pixels(matched, inside) @ axis).var() == pytest.approx(
        axis @ covariance(background, inside) @ axis, rel=1e-3
    )
    np.testing.assert_allclose(matched[..., 0] - matched[..., 1], (matched[..., 0] - matched[..., 1]).mean(), atol=1e-2)


def test_a_channel_that_hardly_varies_is_only_shifted(background, inside):
    faint = np.full((SIZE, SIZE, 3), 90, np.uint8)
    faint[::8, ::3] += 1
    spread = pixels(faint, inside).std()
    assert 0.1 < spread < LEAST_STD
    for method in ("rgb", "covariance"):
        assert pixels(COLOURS[method](faint, background, inside), inside).std(axis=0).max() < 1.01 * spread


@METHOD
def test_extremes_stay_in_range(method):
    rng = np.random.default_rng(0)
    extreme = rng.choice([0, 255], (SIZE, SIZE, 3)).astype(np.uint8)
    dim = picture(5, (8, 250, 128), np.diag([3, 2, 40]))
    for pair in ((extreme, dim), (dim, extreme)):
        matched = COLOURS[method](*pair, np.ones((SIZE, SIZE), np.uint8))
        assert np.isfinite(matched).all()
        assert 0 <= matched.min() <= matched.max() <= 255


@METHOD
@pytest.mark.parametrize("count", [0, 1, 2])
def test_none_or_few_pixels_inside_give_no_nan_and_no_crash(method, count, foreground, background):
    inside = np.zeros((SIZE, SIZE), np.uint8)
    inside.ravel()[100 : 100 + count] = 1
    matched = COLOURS[method](foreground, background, inside)
    assert matched.shape == foreground.shape
    assert np.isfinite(matched).all()
    assert 0 <= matched.min() <= matched.max() <= 255


@METHOD
def test_the_pictures_stay_as_they_are(method, foreground, background, inside):
    """And may be read-only, or cut out of larger ones."""
    before = foreground.copy(), background.copy()
    for array in (foreground, background, inside):
        array.setflags(write=False)
    matched = COLOURS[method](foreground[5:60, 8:50], background[5:60, 8:50], inside[5:60, 8:50])
    np.testing.assert_array_equal(
        matched, COLOURS[method](*(np.ascontiguousarray(i[5:60, 8:50]) for i in (foreground, background, inside)))
    )
    np.testing.assert_array_equal((foreground, background), before)
