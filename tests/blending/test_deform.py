"""Deformation and softening against SciPy."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage
from scipy.interpolate import RegularGridInterpolator

from facexray.blending.deform import grow, soften, warp_on_grid

SIZE = 97


@pytest.fixture(scope="module")
def mask():
    """A soft-edged blob that keeps away from the border."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    blob = ((x - 45) / 22.0) ** 2 + ((y - 52) / 17.0) ** 2 < 1
    return np.clip(ndimage.gaussian_filter(blob.astype(np.float32), 1.0), 0, 1)


@pytest.fixture(scope="module")
def binary(mask):
    return (mask > 0.5).astype(np.float32)


@pytest.mark.parametrize("nodes", [(2, 2), (4, 4), (3, 5)])
def test_no_displacement_is_the_identity(mask, nodes):
    np.testing.assert_array_equal(warp_on_grid(mask, np.zeros((*nodes, 2), np.float32)), mask)


@pytest.mark.parametrize(("dx", "dy"), [(5, 0), (0, -7), (-3, 4)])
def test_a_constant_displacement_is_a_shift(mask, dx, dy):
    displacements = np.zeros((4, 4, 2), np.float32)
    displacements[...] = (dx, dy)
    expected = ndimage.shift(mask, (-dy, -dx), order=0)  # each pixel takes what lies at the displaced place
    np.testing.assert_allclose(warp_on_grid(mask, displacements), expected, atol=1e-6)


def test_what_comes_from_outside_is_zero():
    displacements = np.full((4, 4, 2), 10, np.float32)
    warped = warp_on_grid(np.ones((SIZE, SIZE), np.float32), displacements)
    assert warped[: SIZE - 11, : SIZE - 11].min() == 1
    assert warped[SIZE - 10 :].max() == 0
    assert warped[:, SIZE - 10 :].max() == 0


def test_displacements_are_linear_between_the_nodes(mask):
    """SciPy's interpolators; OpenCV's rounds places to 1/32 of a cell, here a tenth of a pixel of displacement."""
    displacements = np.random.default_rng(3).normal(0, 2, (4, 5, 2)).astype(np.float32)
    nodes = (np.linspace(0, SIZE - 1, 4), np.linspace(0, SIZE - 1, 5))
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(float)
    field = RegularGridInterpolator(nodes, displacements)(np.stack([y, x], axis=-1))
    expected = ndimage.map_coordinates(mask, [y + field[..., 1], x + field[..., 0]], order=1)
    warped = warp_on_grid(mask, displacements)
    assert np.abs(warped - expected).max() < 0.06
    assert np.abs(warped - mask).max() > 0.3  # the warp is no identity


@pytest.mark.parametrize("radius", [1, 4, 9])
def test_dilation_and_erosion_are_by_a_disc(binary, radius):
    """The Euclidean distance transform says which pixels a disc reaches; the drawn disc is off by a pixel at most."""
    outside = ndimage.distance_transform_edt(1 - binary)
    inside = ndimage.distance_transform_edt(binary)
    dilated, eroded = grow(binary, radius), grow(binary, -radius)
    assert dilated[outside <= radius - 1].min() == 1
    assert dilated[outside > radius + 0.5].max() == 0
    assert eroded[inside <= radius].max(initial=0) == 0
    assert eroded[inside > radius + 0.5].min(initial=1) == 1


@pytest.mark.parametrize("radius", [1, 2, 6, 15])
def test_erosion_mask_and_dilation_lie_inside_each_other(mask, radius):
    assert (grow(mask, -radius) <= mask).all()
    assert (mask <= grow(mask, radius)).all()
    assert grow(mask, -radius).sum() < mask.sum() < grow(mask, radius).sum()


def test_growing_is_monotone_in_the_radius(mask):
    sums = [float(grow(mask, pixels).sum()) for pixels in range(-15, 7)]
    assert all(smaller < larger for smaller, larger in pairwise(sums))


def test_growing_by_nothing_is_the_identity(mask):
    np.testing.assert_array_equal(grow(mask, 0), mask)


def test_erosion_does_not_come_from_the_frame():
    np.testing.assert_array_equal(grow(np.ones((21, 21), np.float32), -5), 1)


@pytest.mark.parametrize("sigma", [1.0, 2.5, 6.0])
def test_softening_is_a_gaussian(mask, sigma):
    expected = ndimage.gaussian_filter(mask, sigma, mode="constant", truncate=6)
    np.testing.assert_allclose(soften(mask, sigma), expected, atol=2e-3)


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_softening_keeps_the_mass(mask, sigma):
    assert soften(mask, sigma).sum() == pytest.approx(float(mask.sum()), rel=1e-3)


@pytest.mark.parametrize("sigma", [1.0, 5.0, 10.0])
def test_softening_is_monotone_and_stays_in_range(mask, sigma):
    smaller = grow(mask, -3)
    assert (soften(smaller, sigma) <= soften(mask, sigma) + 1e-6).all()
    full = soften(np.ones((SIZE, SIZE), np.float32), sigma)
    assert full.max() <= 1
    assert full[0, 0] == pytest.approx(0.25, abs=0.03 + 0.25 / sigma)  # outside counts as 0: a corner keeps a quarter


def test_the_steepest_step_falls_with_sigma(binary):
    steps = [np.abs(np.diff(soften(binary, sigma), axis=1)).max() for sigma in (1, 2, 4, 8)]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] < 0.5
