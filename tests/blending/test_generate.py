"""Rendering: pure, aligned, one mask for the blend and its label, for every preset, mode, blend and colour."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from scipy import ndimage

from facexray.blending import generate
from facexray.blending.blend import BLENDS, blend_multiband
from facexray.blending.colour import COLOURS
from facexray.blending.config import MODES, BlendConfig
from facexray.blending.degrade import Degradation, degrade
from facexray.blending.generate import (
    MIN_MASK,
    change_source,
    draw_both,
    draw_sample,
    jitter_matrix,
    render,
    render_both,
    sample_rng,
    view_of,
)
from facexray.blending.hull import HULLS
from facexray.blending.mask import make_mask
from facexray.blending.recipe import Jitter, Recipe, SourceChange, draw_recipe
from facexray.errors import BlendError
from facexray.faces.crop import CROP_SIZE, VIEW_SIZE, cut_view

PRESETS = ["default", "generator", "paper", "sbi"]
NUMBERS = (7, 0)
"""Seed and epoch of the samples here."""


@pytest.fixture(scope="module")
def samples(faces, pool, everything):
    """Forty samples of everything."""
    found = [draw_sample(everything, pool, faces, *NUMBERS, index) for index in range(40)]
    assert {sample.recipe.mode for sample in found} == {"real", *MODES}
    assert {sample.recipe.blend for sample in found if sample.label} == set(BLENDS)
    return found


@pytest.fixture(scope="module")
def fakes(samples):
    return [sample for sample in samples if sample.label]


@pytest.fixture(scope="module")
def plain(faces, pool):
    """Twelve recipes of others' faces, blended by equation 1, without degradation: (recipe, sample, layers)."""
    config = BlendConfig(mode={"bi": 1, "i2g": 1}, real_prob=0, degradations={}, blend="alpha")
    recipes = [draw_recipe(config, pool, sample_rng(5, 0, index)) for index in range(12)]
    return [(recipe, *render_both(recipe, faces)) for recipe in recipes]


def digest(sample):
    content = b"".join(part.tobytes() for part in (sample.image, sample.mask_levels, sample.mask, sample.xray))
    return hashlib.sha256(content).hexdigest()


def unblended(recipe, faces):
    """The window of a recipe's background, cut out by hand."""
    left, top, side = recipe.window
    return faces.crop(faces.index_of[recipe.background])[top : top + side, left : left + side]


# The same bytes

CHILD = """
import cv2, hashlib, json, sys
from pathlib import Path
from facexray.blending.generate import render
from facexray.blending.recipe import Recipe
from facexray.faces.store import FaceStore

cv2.setNumThreads(1)
store = FaceStore(Path(sys.argv[1]))
for line in reversed(sys.stdin.read().splitlines()):
    sample = render(Recipe.from_dict(json.loads(line)), store)
    content = b"".join(part.tobytes() for part in (sample.image, sample.mask_levels, sample.mask, sample.xray))
    print(hashlib.sha256(content).hexdigest())
"""


def test_the_same_recipe_gives_the_same_bytes_in_another_process(samples, store):
    """Read back from JSON, from the store, with one thread as in a worker, and in the opposite order."""
    lines = "\n".join(json.dumps(sample.recipe.to_dict()) for sample in samples)
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(store.path)],
        input=lines,
        env={**os.environ, **alone},
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout.split()[::-1] == [digest(sample) for sample in samples]


def test_the_same_recipe_gives_the_same_bytes_in_threads(samples, faces):
    with ThreadPoolExecutor(4) as threads:
        again = threads.map(lambda sample: digest(render(sample.recipe, faces)), samples)
        assert list(again) == [digest(sample) for sample in samples]


def test_a_sample_depends_on_its_number_alone(samples, faces, pool, everything):
    for index in (13, 2, 13):
        again = draw_sample(everything, pool, faces, *NUMBERS, index)
        assert again.recipe == samples[index].recipe
        assert digest(again) == digest(samples[index])


@pytest.mark.parametrize("number", [(8, 0, 3), (7, 1, 3), (7, 0, 4)])
def test_seed_epoch_and_index_each_make_another_sample(number, samples, faces, pool, everything):
    assert draw_sample(everything, pool, faces, *number).recipe != samples[3].recipe


def test_dice_are_those_of_four_numbers():
    numbers = [(1, 2, 3, 0), (2, 1, 3, 0), (1, 3, 2, 0), (1, 2, 3, 1), (0, 2, 3, 1)]
    draws = {number: sample_rng(*number).random() for number in numbers}
    assert len(set(draws.values())) == len(numbers)
    assert sample_rng(1, 2, 3).random() == draws[1, 2, 3, 0]


# What a sample is


def test_shapes_types_and_ranges(samples):
    for sample in samples:
        assert sample.image.shape == (VIEW_SIZE, VIEW_SIZE, 3)
        assert sample.mask_levels.shape == sample.mask.shape == sample.xray.shape == (VIEW_SIZE, VIEW_SIZE)
        assert (sample.image.dtype, sample.mask_levels.dtype) == (np.uint8, np.uint8)
        assert (sample.mask.dtype, sample.xray.dtype) == (np.float32, np.float32)
        assert sample.label == sample.recipe.label == int(sample.recipe.mode != "real")


def test_arrays_are_whole_writable_and_nobody_else_s(samples, faces):
    """What is written into a sample reaches neither the store's crops nor another sample."""
    recipe = Recipe("real", next(iter(faces.index_of)))
    for sample in (*samples, *(render(replace(recipe, window=(0, 0, side)), faces) for side in (VIEW_SIZE, CROP_SIZE))):
        for array in (sample.image, sample.mask_levels):
            assert array.flags.c_contiguous
            assert array.flags.writeable
            assert not any(np.shares_memory(array, faces.crop(index)) for index in range(len(faces.index_of)))


def test_the_xray_is_equation_2_of_the_mask_in_steps_of_1_255(samples):
    """Rule 2: of the resized mask, exactly; never a resized X-ray."""
    for sample in samples:
        m = (sample.mask_levels / 255).astype(np.float32)
        np.testing.assert_array_equal(sample.mask, m)
        np.testing.assert_array_equal(sample.xray, 4 * m * (1 - m))
        assert bool(sample.xray.any()) == bool(sample.label)


def test_a_resized_xray_would_be_another(fakes, faces):
    """The control of the test above: resizing B instead of M is seen."""
    resized = [sample for sample in fakes if sample.recipe.window[2] != VIEW_SIZE]
    for sample in resized:
        m = render_both(sample.recipe, faces)[1].mask / np.float32(255)
        wrong = cv2.resize(4 * m * (1 - m), (VIEW_SIZE, VIEW_SIZE), interpolation=cv2.INTER_LINEAR)
        assert np.abs(np.sort(wrong, axis=None) - np.sort(sample.xray, axis=None)).sum() > 1  # however it is mirrored
    assert len(resized) > 5


def test_real_samples_are_the_windows_of_their_faces_degraded(samples, faces):
    for sample in samples:
        twin = render(sample.recipe.as_real(), faces)
        assert not twin.mask_levels.any()
        assert not twin.xray.any()
        expected = view_of(degrade(unblended(sample.recipe, faces), sample.recipe.degradations), sample.recipe)
        np.testing.assert_array_equal(twin.image, expected)


def test_a_real_sample_in_the_plain_window_is_the_view_of_its_crop(faces):
    for name, index in faces.index_of.items():
        np.testing.assert_array_equal(render(Recipe("real", name), faces).image, cut_view(faces.crop(index)))


def test_fakes_differ_from_their_real_twins_and_have_a_mask(fakes, faces):
    for sample in fakes:
        assert (sample.mask > 0.5).mean() >= 0.8 * MIN_MASK
        assert sample.xray.max() > 0.9
        assert (sample.image != render(sample.recipe.as_real(), faces).image).mean() > 0.005


# One mask


def test_where_the_mask_is_zero_a_fake_is_its_real_twin(fakes, faces):
    """Before degradation. Multi-band blending reaches beyond its mask, by what five levels of a pyramid see."""
    for sample in fakes:
        recipe = replace(sample.recipe, degradations=(), leak_px=0)
        layers = render_both(recipe, faces)[1]
        window = unblended(recipe, faces)
        np.testing.assert_array_equal(layers.background, window)
        outside = layers.mask == 0
        if recipe.blend == "multiband":
            outside = ndimage.distance_transform_edt(outside) > 190
        np.testing.assert_array_equal(layers.blended[outside], window[outside])
        assert (layers.blended != window).any(axis=-1)[layers.mask > 200].mean() > 0.3


def test_where_the_views_mask_is_zero_so_are_its_view_and_its_real_twins(plain, faces):
    """In the view a pixel mixes its neighbours': one more step from the mask."""
    for recipe, sample, _ in plain:
        outside = ndimage.maximum_filter(sample.mask_levels, 3) == 0
        twin = render(recipe.as_real(), faces)
        np.testing.assert_array_equal(sample.image[outside], twin.image[outside])
        assert 0.2 < outside.mean() < 1


def test_the_mask_is_that_of_the_backgrounds_landmarks(fakes, faces):
    for sample in fakes:
        left, top, side = sample.recipe.window
        landmarks = faces.landmarks[faces.index_of[sample.recipe.background]]
        mask, box = make_mask(sample.recipe, landmarks, (left, top, left + side, top + side))
        expected = np.zeros((side, side), np.uint8)
        expected[box[1] - top : box[3] - top, box[0] - left : box[2] - left] = mask
        layers = render_both(sample.recipe, faces)[1]
        np.testing.assert_array_equal(layers.mask, expected)
        np.testing.assert_array_equal(view_of(expected, sample.recipe), sample.mask_levels)


def test_the_layers_are_blended_by_the_mask_that_labels(samples, faces):
    """Equation 1 over the layers, in float64: half a level for rounding, and half for the rounded foreground."""
    alpha = [sample.recipe for sample in samples if sample.label and sample.recipe.blend == "alpha"]
    assert {recipe.mode for recipe in alpha} == set(MODES)
    for recipe in alpha:
        recipe = replace(recipe, degradations=(), leak_px=0)
        sample, layers = render_both(recipe, faces)
        m = recipe.ratio * layers.mask[..., None] / 255
        assert np.abs(layers.blended - (m * layers.foreground + (1 - m) * layers.background)).max() <= 1.001
        np.testing.assert_array_equal(view_of(layers.mask, recipe), sample.mask_levels)
        np.testing.assert_array_equal(view_of(layers.blended, recipe), sample.image)


def test_a_sample_and_its_layers_are_drawn_like_the_sample_alone(samples, faces, pool, everything):
    for index in range(0, 40, 3):
        sample, layers = draw_both(everything, pool, faces, *NUMBERS, index)
        assert sample.recipe == samples[index].recipe
        assert digest(sample) == digest(samples[index])
        np.testing.assert_array_equal(layers.background, unblended(sample.recipe, faces))
        if not sample.label:
            np.testing.assert_array_equal(layers.foreground, layers.background)
            np.testing.assert_array_equal(layers.blended, layers.background)
            assert not layers.mask.any()


def test_multiband_is_blended_in_the_whole_window(plain, faces):
    """Its coarse bands reach beyond the mask's box, which is all that the other blends work in."""
    for recipe, _, _ in plain[:6]:
        layers = render_both(replace(recipe, align="none", blend="multiband"), faces)[1]
        expected = blend_multiband(layers.foreground.astype(np.float32), layers.background, layers.mask)
        assert np.abs(layers.blended.astype(int) - expected).max() <= 1  # the layer's foreground is rounded
        rows, columns = (np.flatnonzero(layers.mask.any(axis=axis)) for axis in (1, 0))
        changed = (layers.blended != layers.background).any(axis=-1)
        changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = False
        assert changed.sum() > 100


def test_colours_are_matched_where_the_final_mask_is_above_a_half(plain, faces, monkeypatch):
    seen = []

    def spy(foreground, background, inside):
        seen.append((foreground, background, inside))
        return foreground.astype(np.float32)

    for name in COLOURS:
        monkeypatch.setitem(COLOURS, name, spy)
    for recipe, _, layers in plain:
        seen.clear()
        render(recipe, faces)
        [(foreground, background, inside)] = seen
        assert foreground.shape == background.shape == (*inside.shape, 3)
        rows, columns = (np.flatnonzero(layers.mask.any(axis=axis)) for axis in (1, 0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        np.testing.assert_array_equal(inside, layers.mask[box] > 127)
        np.testing.assert_array_equal(background, layers.background[box])


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("blend", BLENDS)
def test_a_ratio_scales_the_blend_and_never_the_xray(ratio, blend, plain, faces):
    recipe = replace(plain[0][0], blend=blend)
    full, weak = (render_both(replace(recipe, ratio=share), faces) for share in (1.0, ratio))
    np.testing.assert_array_equal(weak[0].mask_levels, full[0].mask_levels)
    np.testing.assert_array_equal(weak[0].xray, full[0].xray)
    changes = [layers.blended.astype(float) - layers.background for _, layers in (full, weak)]
    assert np.abs(changes[1] - ratio * changes[0]).max() < (
        1.01 if blend != "multiband" else 40
    )  # it cuts off at 0, 255
    assert np.median(np.abs(changes[1] - ratio * changes[0])) < 0.5
    assert np.abs(changes[0]).mean() > 0.5


@pytest.mark.parametrize("blend", ["alpha", "multiband"])
def test_a_face_that_is_blended_onto_itself_unchanged_is_itself(blend, faces):
    for name in faces.index_of:
        sample = render(Recipe("sbi", name, name, blend=blend, soften_px=6.0), faces)
        np.testing.assert_array_equal(sample.image, render(Recipe("real", name), faces).image)
        assert sample.xray.max() > 0.99


# Views


@pytest.mark.parametrize("side", [240, VIEW_SIZE, 280])
@pytest.mark.parametrize(("flip", "flip_vertical"), [(True, False), (False, True), (True, True)])
def test_image_mask_and_xray_are_mirrored_together(side, flip, flip_vertical, fakes, faces):
    steps = np.s_[:: -1 if flip_vertical else 1, :: -1 if flip else 1]
    for sample in fakes[:4]:
        recipe = replace(sample.recipe, window=(10, 20, side), flip=False, flip_vertical=False)
        straight, mirrored = (
            render(r, faces) for r in (recipe, replace(recipe, flip=flip, flip_vertical=flip_vertical))
        )
        np.testing.assert_array_equal(mirrored.image, straight.image[steps])
        np.testing.assert_array_equal(mirrored.mask_levels, straight.mask_levels[steps])
        np.testing.assert_array_equal(mirrored.xray, straight.xray[steps])
        assert (mirrored.image != straight.image).any()


@pytest.mark.parametrize("side", [208, 240, 300, CROP_SIZE])
def test_a_window_is_resized_with_pixel_centres_at_halves(side, faces):
    """SciPy's linear interpolation of the places; OpenCV's weights are in steps of 1/2048, its sums rounded twice."""
    recipe = Recipe(
        "real", next(iter(faces.index_of)), window=(min(7, CROP_SIZE - side), min(9, CROP_SIZE - side), side)
    )
    places = ((np.arange(VIEW_SIZE) + 0.5) * side / VIEW_SIZE - 0.5).clip(0, side - 1)
    rows, columns = np.meshgrid(places, places, indexing="ij")
    window = unblended(recipe, faces)[..., 1].astype(float)
    expected = ndimage.map_coordinates(window, [rows, columns], order=1)
    assert np.abs(render(recipe, faces).image[..., 1] - expected).max() <= 1.01


@pytest.mark.parametrize("side", [210, 232, 290, CROP_SIZE])
def test_image_and_mask_are_resized_alike(side):
    """A disc in both stays the same disc."""
    y, x = np.mgrid[0:side, 0:side]
    disc = (255 * ((x - 90) ** 2 + (y - 110) ** 2 < 60**2)).astype(np.uint8)
    recipe = Recipe("real", "x", window=(0, 0, side), flip=True)
    image = view_of(np.repeat(disc[..., None], 3, axis=2), recipe)
    mask = view_of(disc, recipe)
    np.testing.assert_array_equal(image[..., 2], mask)
    weights, columns, scale = mask / mask.sum(), np.arange(VIEW_SIZE), VIEW_SIZE / side
    assert (weights.sum(axis=0) * columns).sum() == pytest.approx(VIEW_SIZE - 1 - ((90 + 0.5) * scale - 0.5), abs=0.1)
    assert (weights.sum(axis=1) * columns).sum() == pytest.approx((110 + 0.5) * scale - 0.5, abs=0.1)


# Every way


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_renders_in_every_mode_blend_and_colour(preset, faces, pool):
    config = BlendConfig.preset(preset)
    for index, (mode, blend, colour) in enumerate(product(MODES, BLENDS, COLOURS)):
        settings = {"mode": mode, "blend": blend, "colour": colour, "real_prob": 0.0, "degradations": {}}
        sample = draw_sample(replace(config, **settings), pool, faces, 3, 0, index)
        assert (sample.recipe.mode, sample.recipe.blend) == (mode, blend)
        assert sample.recipe.colour == ("none" if mode == "sbi" else colour)
        assert sample.image.shape == (VIEW_SIZE, VIEW_SIZE, 3)
        assert sample.xray.max() > 0.9
        change = np.abs(sample.image.astype(int) - render(sample.recipe.as_real(), faces).image)
        assert change[sample.mask > 0.9].mean() > 0.2


@pytest.mark.parametrize("preset", PRESETS)
def test_a_recipe_renders_alike_after_its_way_through_json(preset, faces, pool):
    config = BlendConfig.preset(preset)
    for index in range(8):
        recipe = draw_recipe(config, pool, sample_rng(4, 0, index))
        again = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
        assert digest(render(again, faces)) == digest(render(recipe, faces))


# Foregrounds


def two_faces(faces, shift):
    """A face, and the same face moved by whole pixels, as background and foreground."""
    x, y = shift
    crops = [faces.crop(0), np.roll(faces.crop(0), (y, x), axis=(0, 1))]
    landmarks = np.stack([faces.landmarks[0], faces.landmarks[0] + np.float32(shift)])
    return SimpleNamespace(index_of={"background": 0, "foreground": 1}, landmarks=landmarks, crop=crops.__getitem__)


@pytest.mark.parametrize("align", ["similarity", "affine"])
@pytest.mark.parametrize("interpolation", ["linear", "cubic", "lanczos"])
def test_a_moved_face_is_laid_back_and_unaligned_stays_away(align, interpolation, faces):
    pair = two_faces(faces, (9, -6))
    recipe = Recipe("bi", "background", "foreground", align=align, interpolation=interpolation)
    inner = np.s_[20:-20, 20:-20]
    layers = render_both(recipe, pair)[1]
    assert np.abs(layers.foreground[inner].astype(int) - layers.background[inner]).max() <= 1
    apart = render_both(replace(recipe, align="none"), pair)[1]
    assert np.abs(apart.foreground[inner].astype(int) - apart.background[inner]).mean() > 3


def test_alignment_and_jitter_are_one_map(faces):
    """The face is laid on the background and then jittered: here back to where it came from, resampled never."""
    pair = two_faces(faces, (9, -6))
    recipe = Recipe("bi", "background", "foreground", align="similarity", jitter=Jitter(shift_px=(9.0, -6.0)))
    layers = render_both(recipe, pair)[1]
    left, top, side = recipe.window
    np.testing.assert_array_equal(layers.foreground, pair.crop(1)[top : top + side, left : left + side])


def test_a_jitter_moves_the_face_as_it_was_laid(faces):
    """A foreground that lies on its side is turned upright first: its jitter to the right is to the right."""
    landmarks = faces.landmarks[0]
    lying = np.column_stack([landmarks[:, 1], CROP_SIZE - 1 - landmarks[:, 0]])  # turned against the clock
    crops = [faces.crop(0), np.ascontiguousarray(np.rot90(faces.crop(0)))]
    pair = SimpleNamespace(index_of={"a": 0, "b": 1}, landmarks=np.stack([landmarks, lying]), crop=crops.__getitem__)
    recipe = Recipe("bi", "a", "b", align="similarity", jitter=Jitter(shift_px=(9.0, 0.0)))
    layers = render_both(recipe, pair)[1]
    expected = np.roll(layers.background, 9, axis=1)
    assert np.abs(layers.foreground[:, 9:].astype(int) - expected[:, 9:]).max() <= 1


def test_a_jitter_moves_turns_and_scales_about_the_crop_s_middle():
    """By hand: 50 px right of the middle, turned against the clock, comes to lie above it."""
    matrix = jitter_matrix(Jitter(scale=1.1, angle_deg=90.0, shift_px=(5.0, -7.0)))
    np.testing.assert_allclose(matrix @ [158, 158, 1], [158 + 5, 158 - 7], atol=1e-9)
    np.testing.assert_allclose(matrix @ [158 + 50, 158, 1], [158 + 5, 158 - 7 - 55], atol=1e-9)
    np.testing.assert_array_equal(jitter_matrix(Jitter()), np.eye(2, 3))


@pytest.mark.parametrize("kind", ["bi", "sbi"])
def test_a_foreground_is_jittered_in_crop_pixels(kind, faces):
    """A dot in the foreground comes out where the jitter puts it, within the window."""
    dot = np.full((CROP_SIZE, CROP_SIZE, 3), 40, np.uint8)
    dot[140:145, 170:175] = 240
    crops = [dot, dot]
    pair = SimpleNamespace(index_of={"a": 0, "b": 1}, landmarks=faces.landmarks[[0, 0]], crop=crops.__getitem__)
    recipe = Recipe(
        kind, "a", "b" if kind == "bi" else "a", jitter=Jitter(1.0, 0.0, (12.0, -9.0)), window=(20, 30, 256)
    )
    layers = render_both(recipe, pair)[1]
    weights = layers.foreground[..., 0].astype(float) - 40
    y, x = np.mgrid[0:256, 0:256]
    assert (weights * x).sum() / weights.sum() == pytest.approx(172 + 12 - 20, abs=0.05)
    assert (weights * y).sum() / weights.sum() == pytest.approx(142 - 9 - 30, abs=0.05)


def test_an_unchanged_source_is_the_picture_itself(faces):
    assert change_source(faces.crop(0), SourceChange()) is faces.crop(0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (SourceChange(gain=(1.1, 1.0, 0.5)), (110, 100, 50)),
        (SourceChange(offset=(10.0, -20.0, 0.4)), (110, 80, 100)),
        (SourceChange(gain=(3.0, 1.0, 1.0), offset=(0.0, -150.0, 0.0)), (255, 0, 100)),
        (SourceChange(gain=(1.06, 1.0, 1.0), offset=(0.5, 0.6, -0.6)), (106, 101, 99)),
    ],
)
def test_colour_changes_of_a_flat_source_are_rounded(change, expected):
    flat = np.full((40, 50, 3), 100, np.uint8)
    np.testing.assert_array_equal(change_source(flat, change), np.tile(np.uint8(expected), (40, 50, 1)))


def test_a_source_is_coloured_first_and_then_degraded(faces):
    steps = (Degradation("resample", 0.5, "area-linear"), Degradation("jpeg", 60, "420"))
    change = SourceChange((0.9, 1.0, 1.1), (5.0, 0.0, -5.0), steps)
    coloured = np.rint(faces.crop(1) * np.array([0.9, 1.0, 1.1]) + [5, 0, -5]).clip(0, 255).astype(np.uint8)
    np.testing.assert_array_equal(change_source(faces.crop(1), change), degrade(coloured, steps))


# The fault of the authors' generator


def test_the_authors_leak_is_a_resampling_of_fakes_alone(plain, faces):
    recipe = plain[0][0]
    leaky = replace(recipe, leak_px=150)
    clean, resampled = (render_both(r, faces)[1] for r in (recipe, leaky))
    expected = degrade(clean.blended, (Degradation("resample", 150 / CROP_SIZE, "area-linear"),))
    np.testing.assert_array_equal(resampled.blended, expected)
    assert cv2.Laplacian(resampled.blended, cv2.CV_32F).std() < 0.7 * cv2.Laplacian(clean.blended, cv2.CV_32F).std()
    assert digest(render(leaky.as_real(), faces)) == digest(render(recipe.as_real(), faces))


# Masks that are of no use


def test_an_empty_mask_is_refused(faces):
    name = next(iter(faces.index_of))
    with pytest.raises(BlendError, match=rf"mask of {name} covers 0\.0% of the window: nothing to blend"):
        render(Recipe("sbi", name, name, grow_px=-100.0), faces)
    with pytest.raises(BlendError, match=r"covers 0\.0% of the window"):
        render_both(Recipe("sbi", name, name, hull="mouth", window=(0, 0, 60)), faces)


def test_a_mask_over_the_whole_window_is_refused(faces):
    name = next(iter(faces.index_of))
    x, y = faces.landmarks[0].mean(axis=0).astype(int).tolist()
    with pytest.raises(BlendError, match=r"covers 100\.0% of the window"):
        render(Recipe("sbi", name, name, window=(x - 20, y - 20, 40)), faces)


def test_a_small_mask_is_refused(faces, monkeypatch):
    """On both sides of the least share."""
    name = next(iter(faces.index_of))
    recipe = Recipe("sbi", name, name)
    share = (render_both(recipe, faces)[1].mask > 127).mean()
    monkeypatch.setattr(generate, "MIN_MASK", share)
    assert render(recipe, faces).label == 1
    monkeypatch.setattr(generate, "MIN_MASK", share + 1e-6)
    with pytest.raises(BlendError, match=f"{share:.1%}"):
        render(recipe, faces)


def test_a_recipe_that_cannot_be_rendered_is_drawn_again(faces, pool, monkeypatch):
    """With the median of the first masks as the least, half of the first attempts fail."""
    config = BlendConfig(real_prob=0, mode="sbi")
    first = [draw_sample(config, pool, faces, 0, 0, index) for index in range(8)]
    covered = [float((render_both(sample.recipe, faces)[1].mask > 127).mean()) for sample in first]
    least = float(np.median(covered))
    monkeypatch.setattr(generate, "MIN_MASK", least)
    for index, sample in enumerate(first):
        again = draw_sample(config, pool, faces, 0, 0, index)
        assert (again.recipe == sample.recipe) == (covered[index] >= least)
        assert (render_both(again.recipe, faces)[1].mask > 127).mean() >= least


def test_gives_up_with_advice(faces, pool, monkeypatch):
    monkeypatch.setitem(HULLS, "whole", lambda landmarks: [landmarks + np.float32(1000)])
    with pytest.raises(BlendError, match=r"no sample after 20 attempts, the last: .* covers 0\.0% .*erosions"):
        draw_sample(BlendConfig(real_prob=0, mode="sbi", hull="whole"), pool, faces, 0, 0, 0)
