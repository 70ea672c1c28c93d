"""The mask of a recipe: independent of the window that is worked in, and equal to one made on a wide canvas."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy import ndimage
from scipy.interpolate import BSpline

from facexray.blending.config import BlendConfig
from facexray.blending.hull import HULLS
from facexray.blending.mask import make_mask
from facexray.blending.recipe import Recipe, draw_recipe
from facexray.faces.crop import CROP_SIZE

CROP = (0, 0, CROP_SIZE, CROP_SIZE)
WIDE = 250
"""Pixels of the wide canvas around the crop: no mask of these tests comes near its border."""
SIDE = CROP_SIZE + 2 * WIDE

MIXED = BlendConfig(
    mode="sbi",
    real_prob=0,
    hull=dict.fromkeys(HULLS, 1.0),
    grid_nodes_range=(2, 16),
    grid_std_range=(0, 0.1),
    grid_spline={"linear": 1, "smooth": 1},
    soften={"gaussian": 1, "feather": 1},
)
"""Every kind of mask: of the four presets' and more."""


@pytest.fixture(scope="module")
def drawn(pool, faces):
    """Recipes of every kind with their backgrounds' landmarks, some moved half out of the crop."""
    moves = [(0, 0), (0, 0), (110, -60), (-100, 90), (0, 130), (30, -120)]
    found = []
    for index in range(48):
        recipe = draw_recipe(MIXED, pool, np.random.default_rng([2, index]))
        if index % 8 == 5:
            recipe = replace(recipe, grid_px=())
        landmarks = faces.landmarks[faces.index_of[recipe.background]] + np.float32(moves[index % len(moves)])
        found.append((recipe, landmarks))
    assert {recipe.hull for recipe, _ in found} == set(HULLS)
    return found


def on_canvas(mask, box, region):
    """A mask laid where it belongs in its region (x0, y0, x1, y1), zeros around it."""
    canvas = np.zeros((region[3] - region[1], region[2] - region[0]), np.uint8)
    canvas[box[1] - region[1] : box[3] - region[1], box[0] - region[0] : box[2] - region[0]] = mask
    return canvas


def in_crop(recipe, landmarks):
    return on_canvas(*make_mask(recipe, landmarks, CROP), CROP)


def shares_on_wide_canvas(nodes, spline):
    """(SIDE, nodes) each node's share in the pixels of a row or column, by NumPy's and SciPy's splines."""
    places = np.clip((np.arange(SIDE) - WIDE) / (CROP_SIZE - 1), 0, 1) * (nodes - 1)
    if spline == "linear":
        return np.stack([np.interp(places, np.arange(nodes), unit) for unit in np.eye(nodes)], axis=1)
    basis = BSpline.basis_element(np.arange(-2, 3), extrapolate=False)
    shares = np.zeros((SIDE, nodes))
    for node in range(-2, nodes + 2):
        shares[:, np.clip(node, 0, nodes - 1)] += np.nan_to_num(basis(places - node))
    return shares


def on_wide_canvas(recipe, landmarks):
    """The mask of a recipe, step by step on a canvas that is wide enough for everything, and cut at the end."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for part in HULLS[recipe.hull](landmarks):
        corners = np.rint(16 * (cv2.convexHull(part.astype(np.float32)).astype(float) + WIDE)).astype(np.int32)
        cv2.fillConvexPoly(mask, corners, 255, cv2.LINE_AA, 4)
    if recipe.grid_px:
        grid, (y, x) = np.array(recipe.grid_px), np.mgrid[0:SIDE, 0:SIDE]
        rows, columns = (shares_on_wide_canvas(count, recipe.grid_spline) for count in grid.shape[:2])
        places = [(own + rows @ grid[..., axis] @ columns.T).astype(np.float32) for axis, own in enumerate((x, y))]
        mask = cv2.remap(mask, *places, cv2.INTER_LINEAR, borderValue=0)
    inside = mask > 127
    if recipe.grow_px > 0:
        mask = 255 * np.clip(1 - (chamfer(~inside) - recipe.grow_px), 0, 1)
    elif recipe.grow_px < 0:
        mask = 255 * np.clip(chamfer(inside) + recipe.grow_px, 0, 1)
    if recipe.soften == "gaussian":
        mask = ndimage.gaussian_filter(np.rint(mask).astype(float), recipe.soften_px, mode="constant", truncate=3)
    else:
        mask = 255 * np.clip(chamfer(np.rint(mask) > 127) / recipe.soften_px, 0, 1)
    return np.rint(mask)[WIDE:-WIDE, WIDE:-WIDE]


def chamfer(inside):
    """Distances as OpenCV's, which test_deform.py holds against SciPy's: a mask that passes ½ elsewhere is another."""
    return cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)


def test_is_the_mask_that_is_made_on_a_wide_canvas(drawn):
    """Within 2 levels, but for ten pixels whose displaced level rounding may tip over ½."""
    for recipe, landmarks in drawn[::3]:
        differs = np.abs(in_crop(recipe, landmarks) - on_wide_canvas(recipe, landmarks))
        assert (differs > 2).mean() < 1e-4, recipe
        assert differs.mean() < 0.05, recipe


def test_without_deformation_there_is_nothing_to_tip_over(drawn):
    for recipe, landmarks in drawn[1::6]:
        plain = replace(recipe, grid_px=())
        assert np.abs(in_crop(plain, landmarks) - on_wide_canvas(plain, landmarks)).max() <= 1


@pytest.mark.parametrize("soften", [("gaussian", 50.0), ("feather", 200.0), ("gaussian", 0.1), ("feather", 0.5)])
@pytest.mark.parametrize("grow_px", [100.0, -20.0])
def test_the_ends_of_the_configs_limits(soften, grow_px, faces):
    recipe = Recipe("sbi", "f", "f", "forehead", grow_px=grow_px, soften=soften[0], soften_px=soften[1])
    whole, landmarks = in_crop(recipe, faces.landmarks[0]), faces.landmarks[0]
    assert np.abs(whole - on_wide_canvas(recipe, landmarks)).max() <= 1
    window = (59, 17, 259, 217)
    mask = on_canvas(*make_mask(recipe, landmarks, window), window)
    np.testing.assert_array_equal(mask, whole[17:217, 59:259])


def test_any_window_has_the_very_bytes_of_the_whole_crop(drawn):
    """So that a window's border makes no edge of its own, and work outside of the mask's reach can be left out."""
    rng = np.random.default_rng(0)
    cut = 0
    for recipe, landmarks in drawn:
        whole = in_crop(recipe, landmarks)
        for _ in range(3):
            side = int(rng.integers(60, CROP_SIZE))
            left, top = rng.integers(0, CROP_SIZE - side + 1, 2).tolist()
            window = (left, top, left + side, top + side)
            mask = on_canvas(*make_mask(recipe, landmarks, window), window)
            np.testing.assert_array_equal(mask, whole[top : top + side, left : left + side])
            cut += bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())
    assert cut > 50  # the masks that a border cuts


def test_the_box_is_where_the_mask_is_above_zero(drawn):
    for recipe, landmarks in drawn:
        mask, (x0, y0, x1, y1) = make_mask(recipe, landmarks, (20, 30, 250, 290))
        assert 20 <= x0 <= x1 <= 250
        assert 30 <= y0 <= y1 <= 290
        assert mask.shape == (y1 - y0, x1 - x0)
        assert mask.dtype == np.uint8
        if mask.size:
            assert all(edge.any() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))


def test_a_mask_that_leaves_the_crop_is_not_softened_there(faces):
    """Half of the face lies beyond the crop: at the border M is what it is within, on the same row."""
    recipe = Recipe("sbi", "face", "face", soften_px=8.0)
    landmarks = faces.landmarks[0]
    middle = landmarks.mean(axis=0)
    for shift, border in (([-middle[0], 0], np.s_[:, 0]), ([CROP_SIZE - 1 - middle[0], 0], np.s_[:, -1])):
        mask = in_crop(recipe, landmarks + np.float32(shift))
        row = round(float(middle[1]))
        assert mask[border][row] == 255
        assert mask[row].min() == 0


@pytest.mark.parametrize("soften", ["gaussian", "feather"])
@pytest.mark.parametrize(
    ("change", "region"),
    [
        ({"grow_px": -100.0}, CROP),
        ({}, (0, 0, 60, 60)),
        ({}, (300, 290, 317, 317)),
        ({"grid_px": (((0.0, 0.0),) * 2,) * 2}, (0, 0, 20, 317)),
    ],
)
def test_a_mask_that_misses_its_region_is_empty(soften, change, region, faces):
    landmarks = faces.landmarks[0] * np.float32(0.3) + np.float32([110, 110])
    recipe = replace(Recipe("sbi", "face", "face", soften=soften, soften_px=1.0), **change)
    mask, (x0, y0, x1, y1) = make_mask(recipe, landmarks, region)
    assert mask.size == 0
    assert mask.dtype == np.uint8
    assert x0 == x1
    assert y0 == y1


@pytest.mark.parametrize("hull", HULLS)
def test_landmarks_beyond_everything_give_an_empty_mask(hull, faces):
    for shift in (-2000, 2000):
        assert not make_mask(Recipe("sbi", "f", "f", hull), faces.landmarks[0] + np.float32(shift), CROP)[0].size


def test_erosion_comes_before_softening_and_dilation_before_the_feather(faces):
    """The radii, measured on M = ½: a Gaussian leaves it, a feather of w pixels moves it inwards by w / 2."""
    landmarks = faces.landmarks[0]

    def radius(**settings):
        recipe = Recipe("sbi", "face", "face", **{"soften_px": 1.0, **settings})
        return math.sqrt((in_crop(recipe, landmarks) > 127).sum() / math.pi)

    plain = radius()
    assert radius(grow_px=-8.0) == pytest.approx(plain - 8, abs=0.6)
    assert radius(grow_px=5.0) == pytest.approx(plain + 5, abs=0.6)
    assert radius(soften_px=6.0) == pytest.approx(plain, abs=1)
    assert radius(soften="feather", soften_px=20.0) == pytest.approx(plain - 10, abs=1)
    assert radius(soften="feather", soften_px=20.0, grow_px=5.0) == pytest.approx(plain - 5, abs=1)


def test_displacements_move_the_mask_against_their_sign(faces):
    """At p the mask is what lies at p + displacement."""
    landmarks = faces.landmarks[0]
    grid = (((12.0, -7.0),) * 3,) * 4
    for spline in ("linear", "smooth"):
        recipe = Recipe("sbi", "face", "face", soften_px=2.0)
        moved = in_crop(replace(recipe, grid_px=grid, grid_spline=spline), landmarks)
        np.testing.assert_array_equal(moved, np.roll(in_crop(recipe, landmarks), (7, -12), axis=(0, 1)))
