"""Deformation, growing and softening of masks against SciPy, and a warp worked by hand."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import cv2
import numpy as np
import pytest
from scipy import ndimage
from scipy.interpolate import BSpline, RegularGridInterpolator
from scipy.spatial import ConvexHull, Delaunay

from facexray.blending.deform import SPLINES, blur, feather, grid_field, grow, warp

SIZE = 97
WHOLE = (0, 0, SIZE, SIZE)
CHAMFER = 0.02
"""OpenCV's distances by its 5 × 5 mask are off from Euclidean ones by at most 2 %."""


def drawn(height, width, *boxes):
    """A mask of 255 in boxes (top, bottom, left, right, level)."""
    mask = np.zeros((height, width), np.uint8)
    for top, bottom, left, right, level in boxes:
        mask[top:bottom, left:right] = level
    return mask


MASKS = {
    "L": drawn(140, 160, (20, 120, 20, 60, 255), (80, 120, 20, 140, 255)),
    "U": drawn(140, 160, (20, 120, 20, 140, 255), (10, 80, 60, 100, 0)),
    "oval": cv2.ellipse(drawn(140, 160), (80, 70), (50, 30), 20, 0, 360, 255, -1, cv2.LINE_AA),
}
MASK = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
SPLINE = pytest.mark.parametrize("spline", SPLINES)


def displacements(rows, columns, seed=3):
    return np.random.default_rng(seed).normal(0, 4, (rows, columns, 2)).astype(np.float32)


def cubic_basis(nodes, places):
    """(len(places), nodes) each node's share by SciPy's B-spline; the border's nodes go on beyond the grid."""
    basis = BSpline.basis_element(np.arange(-2, 3), extrapolate=False)
    shares = np.zeros((len(places), nodes))
    for node in range(-2, nodes + 2):
        shares[:, np.clip(node, 0, nodes - 1)] += np.nan_to_num(basis(places - node))
    return shares


# The field


@pytest.mark.parametrize("nodes", [(2, 2), (4, 4), (3, 7), (16, 2)])
def test_a_linear_field_is_the_one_that_scipy_interpolates(nodes):
    grid = displacements(*nodes)
    corners = [np.linspace(0, SIZE - 1, count) for count in nodes]
    pixels = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij"), axis=-1)
    expected = RegularGridInterpolator(corners, grid.astype(float))(pixels)
    np.testing.assert_allclose(np.stack(grid_field(grid, "linear", SIZE, WHOLE), axis=-1), expected, atol=1e-4)


@pytest.mark.parametrize("nodes", [(2, 2), (4, 4), (3, 7), (16, 16)])
def test_a_smooth_field_is_a_cubic_b_spline(nodes):
    grid = displacements(*nodes)
    rows, columns = (cubic_basis(count, np.linspace(0, count - 1, SIZE)) for count in nodes)
    expected = np.einsum("ya,abc,xb->yxc", rows, grid.astype(float), columns)
    np.testing.assert_allclose(np.stack(grid_field(grid, "smooth", SIZE, WHOLE), axis=-1), expected, atol=1e-4)


@SPLINE
@pytest.mark.parametrize("nodes", [(2, 2), (4, 5), (64, 64)])
def test_equal_displacements_move_every_pixel_by_them(spline, nodes):
    """A partition of unity."""
    grid = np.empty((*nodes, 2), np.float32)
    grid[...] = (3.25, -7.5)
    x, y = grid_field(grid, spline, SIZE, (-20, -30, SIZE + 40, SIZE + 10))
    assert x.shape == y.shape == (SIZE + 40, SIZE + 60)
    np.testing.assert_allclose(x, 3.25, atol=1e-5)
    np.testing.assert_allclose(y, -7.5, atol=1e-5)


@SPLINE
def test_a_box_has_its_part_of_the_field_and_beyond_the_frame_the_border_goes_on(spline):
    grid = displacements(4, 5)
    whole, part = (grid_field(grid, spline, SIZE, box) for box in (WHOLE, (-9, 20, 50, SIZE + 11)))
    for field, cut in zip(whole, part, strict=True):
        np.testing.assert_allclose(cut, np.pad(field, ((0, 11), (9, 0)), "edge")[20:, :59], atol=1e-5)


@SPLINE
def test_a_field_is_never_larger_than_its_displacements(spline):
    """On which the reach of a mask relies."""
    grid = displacements(4, 4)
    for axis, field in enumerate(grid_field(grid, spline, SIZE, WHOLE)):
        assert grid[..., axis].min() - 1e-4 <= field.min() < field.max() <= grid[..., axis].max() + 1e-4


def test_a_smooth_field_has_no_kinks_and_a_linear_one_has():
    grid = displacements(5, 5)
    bends = {
        spline: np.abs(np.diff(grid_field(grid, spline, 401, (0, 0, 401, 401))[0], n=2)).max() for spline in SPLINES
    }
    assert bends["smooth"] < 0.1 * bends["linear"]


# The warp

FIVE = np.array(
    [
        [0, 0, 0, 0, 0],
        [0, 40, 80, 120, 0],
        [0, 80, 160, 240, 0],
        [0, 120, 200, 40, 0],
        [0, 0, 0, 0, 200],
    ],
    np.uint8,
)


def still(height, width, x=0.0, y=0.0):
    return np.full((height, width), x, np.float32), np.full((height, width), y, np.float32)


def test_a_warp_worked_by_hand():
    """Each pixel takes what lies at its displaced place: one to the right; half down; nothing from outside."""
    x, y = still(5, 5)
    x[1] = 1  # 40, 80, 120, 0 and then outside
    y[2] = 0.5  # between 80 and 120; 160 and 200; 240 and 40
    x[3, 2], y[3, 2] = 0.25, -0.75  # ¼ · (¾ · 200 + ¼ · 40) + ¾ · (¾ · 160 + ¼ · 240)
    x[4, 4] = 0.5  # half of it lies outside
    expected = FIVE.copy()
    expected[1] = [40, 80, 120, 0, 0]
    expected[2] = [0, 100, 180, 140, 0]
    expected[3, 2] = round(0.25 * (0.75 * 200 + 0.25 * 40) + 0.75 * (0.75 * 160 + 0.25 * 240))
    expected[4, 4] = 100
    np.testing.assert_array_equal(warp(FIVE, (0, 0), (x, y), (0, 0, 5, 5)), expected)


def test_a_mask_that_stands_elsewhere_is_laid_where_it_stands():
    """The mask's corner at (7, -2), a box around it and beyond: zeros, and the mask."""
    box = (4, -3, 14, 6)
    expected = np.zeros((9, 10), np.uint8)
    expected[1:6, 3:8] = FIVE
    np.testing.assert_array_equal(warp(FIVE, (7, -2), still(9, 10), box), expected)
    moved = warp(FIVE, (7, -2), still(9, 10, x=-2, y=1), box)
    np.testing.assert_array_equal(moved, np.roll(expected, (-1, 2), axis=(0, 1)))


def test_a_warp_is_the_one_that_scipy_interpolates():
    """OpenCV rounds places to 1/32 pixel: between levels that are 255 apart, 4 levels in either direction."""
    mask = np.rint(ndimage.gaussian_filter(drawn(SIZE, SIZE, (30, 70, 20, 80, 255)).astype(float), 1.5)).astype(
        np.uint8
    )
    field = grid_field(displacements(4, 5), "linear", SIZE, WHOLE)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    expected = ndimage.map_coordinates(mask.astype(float), [y + field[1], x + field[0]], order=1)
    warped = warp(mask, (0, 0), field, WHOLE)
    assert np.abs(warped - expected).max() < 4
    assert abs((warped - expected).mean()) < 0.05
    assert np.abs(warped.astype(int) - mask).max() > 80


# Growing


@MASK
@pytest.mark.parametrize("pixels", [0.3, 1, 2.5, 6, 15, -0.3, -1, -4, -9.7, -15])
def test_growing_is_by_a_disc(mask, pixels):
    """M falls from 1 to 0 over the pixel beyond the radius, by SciPy's exact distances."""
    inside = mask > 127
    if pixels > 0:
        expected = np.clip(1 - (ndimage.distance_transform_edt(~inside) - pixels), 0, 1)
    else:
        expected = np.clip(ndimage.distance_transform_edt(inside) + pixels, 0, 1)
    grown = grow(mask, pixels)
    assert np.abs(grown / 255 - expected).max() < CHAMFER * (abs(pixels) + 1) + 1 / 255
    assert (grown.astype(int).sum() > mask.astype(int).sum()) == (pixels > 0)


def test_growing_moves_a_straight_edge_by_exactly_its_pixels():
    edge = drawn(60, 60, (0, 60, 0, 30, 255))
    for pixels in (-12.25, -3, -0.5, 0.5, 4, 7.75):
        assert (grow(edge, pixels).astype(float).sum(axis=1) / 255).tolist() == pytest.approx(
            [30 + pixels] * 60, abs=0.01
        )


def test_growing_by_nothing_changes_nothing():
    np.testing.assert_array_equal(grow(MASKS["oval"], 0.0), MASKS["oval"])


def test_growing_is_monotone_in_the_radius():
    grown = [grow(MASKS["U"], pixels) for pixels in np.linspace(-16, 8, 33)]
    for smaller, larger in pairwise(grown):
        assert (smaller <= larger).all()
        assert smaller.sum() < larger.sum() or not larger.any()


def test_only_what_is_more_than_half_covered_counts():
    levels = np.array([[0, 126, 127, 128, 129, 255]], np.uint8)
    np.testing.assert_array_equal(grow(np.repeat(levels, 9, axis=0), 0.001)[4] > 127, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(grow(np.repeat(levels, 9, axis=0), -0.001)[4] > 127, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(feather(np.repeat(levels, 9, axis=0), 1.0)[4], [0, 0, 0, 255, 255, 255])


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("pixels", [-5.0, 5.0])
def test_the_frame_is_no_edge(level, pixels):
    flat = np.full((31, 21), level, np.uint8)
    np.testing.assert_array_equal(grow(flat, pixels), flat)
    np.testing.assert_array_equal(feather(flat, 9.0), flat)


# Softening


@MASK
@pytest.mark.parametrize("pixels", [0.5, 3, 10, 40])
def test_a_feather_rises_linearly_from_the_masks_own_edge(mask, pixels):
    """By SciPy's exact distances to the nearest pixel outside, concave or not."""
    depth = ndimage.distance_transform_edt(mask > 127)
    expected = np.clip(depth / pixels, 0, 1)
    assert np.abs(feather(mask, pixels) / 255 - expected).max() < CHAMFER + 1 / 255


@pytest.mark.parametrize("name", ["L", "U"])
def test_a_feather_leaves_no_step_in_a_notch(name):
    """Measured from the mask's convex hull, as a peer does, the notch's edge stays hard."""
    mask, pixels = MASKS[name], 20.0

    def steepest(soft):
        return max(np.abs(np.diff(soft.astype(int), axis=axis)).max() for axis in (0, 1))

    steep = 255 / pixels
    assert steepest(feather(mask, pixels)) < 1.1 * steep + 1
    points = np.argwhere(mask > 127).astype(float)
    corners = Delaunay(points[ConvexHull(points).vertices])
    hull = (corners.find_simplex(np.argwhere(np.ones_like(mask, bool))) >= 0).reshape(mask.shape)
    by_hull = np.clip(255 * ndimage.distance_transform_edt(hull) / pixels, 0, 255) * (mask > 127)
    assert steepest(by_hull) > 5 * steep


@MASK
@pytest.mark.parametrize("sigma", [0.1, 0.5, 1, 2.7, 6, 10, 50])
def test_a_blur_is_a_gaussian(mask, sigma):
    """SciPy's, in float64; half a level is rounding, and the rest the tail that either cuts elsewhere."""
    expected = ndimage.gaussian_filter(mask.astype(float), sigma, mode="constant", truncate=3)
    assert np.abs(blur(mask, sigma) - expected).max() < 0.8


@pytest.mark.parametrize("sigma", [1.0, 5.0])
def test_outside_of_the_frame_a_blurred_mask_counts_as_zero(sigma):
    flat = np.full((SIZE, SIZE), 255, np.uint8)
    soft = blur(flat, sigma)
    assert np.abs(soft - ndimage.gaussian_filter(flat.astype(float), sigma, mode="constant", truncate=3)).max() < 0.8
    assert soft[0, 0] < soft[0, SIZE // 2] < soft[SIZE // 2, SIZE // 2] == 255


def test_the_steepest_step_falls_with_sigma():
    steps = [np.abs(np.diff(blur(MASKS["oval"], sigma).astype(int), axis=1)).max() for sigma in (1, 2, 4, 8)]
    assert steps == sorted(set(steps), reverse=True)


@pytest.mark.parametrize(
    "change", [lambda m: grow(m, 5.5), lambda m: grow(m, -5.5), lambda m: feather(m, 9), lambda m: blur(m, 3)]
)
def test_threads_do_not_disturb_one_another_and_the_mask_stays(change):
    mask = MASKS["U"].copy()
    mask.setflags(write=False)
    expected = change(mask)
    assert expected.dtype == np.uint8
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(change, [mask] * 16):
            np.testing.assert_array_equal(result, expected)
