"""The two formulas, worked by hand."""

import numpy as np
import pytest

from facexray.blending.blend import blend, face_xray

MASK = np.array(
    [
        [0.0, 0.00, 0.0, 0.00, 0.0],
        [0.0, 0.25, 0.5, 0.25, 0.0],
        [0.0, 0.50, 1.0, 0.50, 0.0],
        [0.0, 0.25, 0.5, 0.25, 0.0],
        [0.0, 0.00, 0.0, 0.00, 0.0],
    ],
    np.float32,
)


def flat(*rgb):
    return np.tile(np.float32(rgb), (5, 5, 1))


def test_a_blend_worked_by_hand():
    """Foreground (200, 100, 7), background (100, 201, 7): 100 + M · 100, 201 − M · 101, 7."""
    red = [[100] * 5, [100, 125, 150, 125, 100], [100, 150, 200, 150, 100]]
    green = [[201] * 5, [201, 176, 150, 176, 201], [201, 150, 100, 150, 201]]  # 175.75 → 176; 150.5 → 150, to even
    blended = blend(flat(200, 100, 7), flat(100, 201, 7), MASK)
    assert blended.dtype == np.uint8
    np.testing.assert_array_equal(blended[..., 0], [*red, red[1], red[0]])
    np.testing.assert_array_equal(blended[..., 1], [*green, green[1], green[0]])
    np.testing.assert_array_equal(blended[..., 2], 7)


def test_an_xray_worked_by_hand():
    expected = [[0] * 5, [0, 0.75, 1, 0.75, 0], [0, 1, 0, 1, 0], [0, 0.75, 1, 0.75, 0], [0] * 5]
    np.testing.assert_array_equal(face_xray(MASK), np.float32(expected))


@pytest.mark.parametrize(("m", "xray"), [(0, 0), (1, 0), (0.5, 1), (0.25, 0.75), (0.75, 0.75), (0.1, 0.36)])
def test_xray_of_a_flat_mask(m, xray):
    result = face_xray(np.full((3, 4), m, np.float32))
    assert result.dtype == np.float32
    assert result.shape == (3, 4)
    np.testing.assert_allclose(result, xray, atol=1e-6)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return (rng.integers(0, 256, (2, 64, 64, 3))).astype(np.float32)


def test_no_mask_is_exactly_the_background(pair):
    np.testing.assert_array_equal(blend(*pair, np.zeros((64, 64), np.float32)), pair[1])


def test_a_full_mask_is_exactly_the_foreground(pair):
    np.testing.assert_array_equal(blend(*pair, np.ones((64, 64), np.float32)), pair[0])


def test_equal_pictures_blend_to_themselves(pair):
    mask = np.random.default_rng(1).random((64, 64), np.float32)
    np.testing.assert_array_equal(blend(pair[0], pair[0], mask), pair[0])


@pytest.mark.parametrize(("m", "grey"), [(0.003, 100), (0.0049, 100), (0.0051, 101), (0.996, 200), (0.994, 199)])
def test_rounds_and_never_truncates(m, grey):
    blended = blend(flat(200, 200, 200), flat(100, 100, 100), np.full((5, 5), m, np.float32))
    np.testing.assert_array_equal(blended, grey)


def test_rounding_has_no_bias(pair):
    """Truncation would lose half a grey level on average: a fingerprint that only fakes carry."""
    mask = np.random.default_rng(2).random((64, 64), np.float32)
    exact = mask[..., None].astype(float) * pair[0] + (1 - mask[..., None].astype(float)) * pair[1]
    error = blend(*pair, mask) - exact
    assert abs(error.mean()) < 0.02
    assert np.abs(error).max() <= 0.501


def test_a_foreground_out_of_range_is_clipped_not_wrapped():
    blended = blend(flat(300, -40, 128), flat(250, 5, 128), np.ones((5, 5), np.float32))
    np.testing.assert_array_equal(blended[0, 0], [255, 0, 128])


@pytest.mark.parametrize("seed", range(5))
def test_lies_between_the_two_pictures_and_xray_in_range(seed):
    rng = np.random.default_rng(seed)
    foreground, background = rng.integers(0, 256, (2, 40, 30, 3)).astype(np.float32)
    mask = rng.random((40, 30), np.float32)
    blended = blend(foreground, background, mask)
    assert (blended >= np.minimum(foreground, background)).all()
    assert (blended <= np.maximum(foreground, background)).all()
    xray = face_xray(mask)
    assert xray.min() >= 0
    assert xray.max() <= 1
    np.testing.assert_allclose(xray, 1 - (2.0 * mask - 1) ** 2, atol=1e-6)
    np.testing.assert_allclose(face_xray(1 - mask), xray, atol=1e-6)
