"""Rendering: pure, aligned, one alpha for the blend and its label."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from facexray.blending import generate
from facexray.blending.generate import (
    change_source,
    draw_sample,
    render,
    render_layers,
    similarity,
    view_of,
)
from facexray.blending.recipe import BlendConfig, Recipe, SourceChange
from facexray.errors import BlendError
from facexray.faces.crop import CROP_SIZE, VIEW_OFFSET, VIEW_SIZE, cut_view
from facexray.faces.neighbours import FacePool


@pytest.fixture(scope="module")
def pool(store):
    return FacePool.of(store)


@pytest.fixture(scope="module")
def samples(store, pool):
    """Twenty samples of all modes."""
    config = BlendConfig(real_prob=0.25)
    found = [draw_sample(config, pool, store, 7, 0, i) for i in range(20)]
    assert {sample.recipe.mode for sample in found} == {"real", "bi", "sbi"}
    return found


@pytest.fixture(scope="module")
def fakes(samples):
    return [sample for sample in samples if sample.label]


def digest(sample):
    content = b"".join(part.tobytes() for part in (sample.image, sample.mask, sample.xray))
    return hashlib.sha256(content).hexdigest()


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
    content = b"".join(part.tobytes() for part in (sample.image, sample.mask, sample.xray))
    print(hashlib.sha256(content).hexdigest())
"""


def test_the_same_recipe_gives_the_same_bytes_in_another_process(samples, store):
    """There with one OpenCV thread, as in a worker, and in the opposite order."""
    lines = "\n".join(json.dumps(sample.recipe.to_dict()) for sample in samples)
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(store.path)], input=lines, capture_output=True, text=True, check=True
    )
    assert child.stdout.split()[::-1] == [digest(sample) for sample in samples]


def test_the_same_recipe_gives_the_same_bytes_again(samples, store):
    assert [digest(render(sample.recipe, store)) for sample in samples[::-1]] == list(map(digest, samples))[::-1]


def test_a_sample_depends_on_its_number_alone(samples, store, pool):
    config = BlendConfig(real_prob=0.25)
    for index in (13, 2, 13):
        again = draw_sample(config, pool, store, 7, 0, index)
        assert again.recipe == samples[index].recipe
        assert digest(again) == digest(samples[index])


@pytest.mark.parametrize("number", [(8, 0, 3), (7, 1, 3), (7, 0, 4)])
def test_seed_epoch_and_index_each_make_another_sample(number, samples, store, pool):
    assert draw_sample(BlendConfig(real_prob=0.25), pool, store, *number).recipe != samples[3].recipe


def test_shapes_types_and_ranges(samples):
    for sample in samples:
        assert sample.image.shape == (VIEW_SIZE, VIEW_SIZE, 3)
        assert sample.mask.shape == sample.xray.shape == (VIEW_SIZE, VIEW_SIZE)
        assert (sample.image.dtype, sample.mask.dtype, sample.xray.dtype) == (np.uint8, np.float32, np.float32)
        assert sample.mask.min() >= 0
        assert sample.mask.max() <= 1
        assert sample.label == sample.recipe.label


def test_real_samples_have_no_mask_and_no_xray(samples, store):
    for sample in samples:
        twin = render(sample.recipe.as_real(), store)
        assert not twin.mask.any()
        assert not twin.xray.any()


def test_a_real_sample_in_the_plain_window_is_the_view_of_its_crop(store):
    sample = render(Recipe("real", store[1].id), store)
    np.testing.assert_array_equal(sample.image, cut_view(store.crop(1)))


def test_fakes_have_both_and_differ_from_their_twins(fakes, store):
    for sample in fakes:
        assert sample.mask.max() > 0.9
        assert sample.xray.max() > 0.9
        assert (sample.image != render(sample.recipe.as_real(), store).image).any()


def test_the_xray_is_made_of_the_resized_mask(fakes, store):
    """Rule 2: never the other way round, which gives another picture."""
    shrunk = 0
    for sample in fakes:
        np.testing.assert_array_equal(sample.xray, 4 * sample.mask * (1 - sample.mask))
        if sample.recipe.window[2] != VIEW_SIZE:
            mask = render_layers(sample.recipe, store).mask
            wrong = view_of((4 * mask * (1 - mask)).astype(np.float32), sample.recipe)
            shrunk += np.abs(wrong - sample.xray).max() > 1e-3
    assert shrunk > 5


def test_outside_of_the_mask_nothing_changes(fakes, store):
    for sample in fakes:
        layers = render_layers(sample.recipe, store)
        twin = render_layers(sample.recipe.as_real(), store)
        np.testing.assert_array_equal(twin.blended, store.crop(store.index_of[sample.recipe.background]))
        np.testing.assert_array_equal(layers.blended[layers.mask == 0], twin.blended[layers.mask == 0])
        changed = (layers.blended != twin.blended).any(axis=-1)
        assert changed[layers.mask > 0.9].mean() > 0.5


def test_the_layers_are_blended_by_the_mask_that_labels(fakes, store):
    """Equation 1 over the layers, in float64; the foreground layer itself is rounded, hence the tolerance."""
    for sample in fakes:
        layers = render_layers(sample.recipe, store)
        m = layers.mask[..., None].astype(float) * sample.recipe.ratio
        expected = m * layers.foreground + (1 - m) * layers.background
        assert np.abs(layers.blended - expected).max() <= 1.01
        np.testing.assert_array_equal(view_of(layers.mask, sample.recipe), sample.mask)


@pytest.mark.parametrize("side", [240, VIEW_SIZE, 280])
def test_a_flipped_recipe_gives_the_mirrored_view(fakes, store, side):
    for sample in fakes[:4]:
        recipe = replace(sample.recipe, window=(10, 20, side), flip=False)
        straight, mirrored = render(recipe, store), render(replace(recipe, flip=True), store)
        np.testing.assert_array_equal(mirrored.image, straight.image[:, ::-1])
        np.testing.assert_array_equal(mirrored.mask, straight.mask[:, ::-1])
        np.testing.assert_array_equal(mirrored.xray, straight.xray[:, ::-1])


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_a_weaker_self_blend_keeps_the_xray_of_the_full_mask(ratio, fakes, store):
    recipe = replace(next(s.recipe for s in fakes if s.recipe.mode == "sbi"), ratio=1.0, degradations=())
    full, weak = render(recipe, store), render(replace(recipe, ratio=ratio), store)
    np.testing.assert_array_equal(weak.xray, full.xray)
    np.testing.assert_array_equal(weak.mask, full.mask)
    twin = render(recipe.as_real(), store).image.astype(float)
    assert np.abs(weak.image - twin).mean() == pytest.approx(ratio * np.abs(full.image - twin).mean(), rel=0.25)


def test_the_view_is_cut_by_the_window():
    crop = np.random.default_rng(0).integers(0, 256, (CROP_SIZE, CROP_SIZE, 3), np.uint8)
    plain = Recipe("real", "x")
    np.testing.assert_array_equal(view_of(crop, plain), cut_view(crop))
    at = replace(plain, window=(3, 50, VIEW_SIZE))
    np.testing.assert_array_equal(view_of(crop, at), crop[50 : 50 + VIEW_SIZE, 3 : 3 + VIEW_SIZE])


@pytest.mark.parametrize("side", [232, 290])
def test_image_and_mask_are_resized_alike(side):
    """A disc in both stays the same disc."""
    y, x = np.mgrid[0:CROP_SIZE, 0:CROP_SIZE]
    disc = ((x - 150) ** 2 + (y - 170) ** 2 < 60**2).astype(np.float32)
    recipe = Recipe("real", "x", window=(7, 20, side))
    mask = view_of(disc, recipe)
    image = view_of(np.repeat((disc * 255).astype(np.uint8)[..., None], 3, axis=2), recipe)
    np.testing.assert_allclose(image[..., 0] / 255, mask, atol=0.01)
    rows, columns = np.mgrid[0:VIEW_SIZE, 0:VIEW_SIZE]
    scale = VIEW_SIZE / side
    assert (mask * columns).sum() / mask.sum() == pytest.approx((150 - 7 + 0.5) * scale - 0.5, abs=0.1)
    assert (mask * rows).sum() / mask.sum() == pytest.approx((170 - 20 + 0.5) * scale - 0.5, abs=0.1)


def test_similarity_is_what_scikit_image_estimates(store):
    for source in range(len(store)):
        for target in range(len(store)):
            if source == target:
                continue
            estimate = SimilarityTransform.from_estimate(
                store.landmarks[source].astype(float), store.landmarks[target].astype(float)
            )
            np.testing.assert_allclose(
                similarity(store.landmarks[source], store.landmarks[target]),
                estimate.params[:2],
                rtol=1e-3,
                atol=2e-3,
            )


def test_similarity_finds_a_known_motion():
    points = np.random.default_rng(0).uniform(0, 300, (68, 2)).astype(np.float32)
    angle, scale = 0.3, 1.2
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(points, (points @ turn.T + [12, -5]).astype(np.float32))
    np.testing.assert_allclose(found, np.column_stack([turn, [12, -5]]), atol=1e-3)


def test_alignment_lays_the_foreground_on_the_background(store):
    """A face that is its background shifted by (9, −6) comes back onto it; without alignment it stays away."""

    shifted = SimpleNamespace(
        index_of={"background": 0, "foreground": 1},
        landmarks=np.stack([store.landmarks[0], store.landmarks[0] + np.float32([9, -6])]),
        crop=[store.crop(0), np.roll(store.crop(0), (-6, 9), axis=(0, 1))].__getitem__,
    )
    recipe = Recipe("bi", "background", "foreground", align="similarity")
    layers = render_layers(recipe, shifted)
    inner = np.s_[20:-20, 20:-20]
    assert np.abs(layers.foreground[inner].astype(int) - layers.background[inner]).max() <= 1
    apart = render_layers(replace(recipe, align="none"), shifted)
    assert np.abs(apart.foreground[inner].astype(int) - apart.background[inner]).mean() > 3


def test_an_unchanged_source_is_the_picture_itself(store):
    np.testing.assert_array_equal(change_source(store.crop(0), SourceChange()), store.crop(0))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (SourceChange(gain=(1.1, 1.0, 0.5)), (110, 100, 50)),
        (SourceChange(offset=(10.0, -20.0, 0.4)), (110, 80, 100)),
        (SourceChange(gain=(3.0, 1.0, 1.0), offset=(0.0, -150.0, 0.0)), (255, 0, 100)),
        (SourceChange(sharpness=1.0, scale=1.05, shift_px=(4.0, -3.0)), (100, 100, 100)),
    ],
)
def test_colour_changes_of_a_flat_source(change, expected):
    flat = np.full((CROP_SIZE, CROP_SIZE, 3), 100, np.uint8)
    np.testing.assert_array_equal(change_source(flat, change)[100, 100], expected)


def test_place_changes_of_a_source():
    dot = np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8)
    dot[198:219, 148:169] = 255  # centred 50 px below the crop's centre (158, 158)
    moved = change_source(dot, SourceChange(scale=1.1, shift_px=(5.0, -7.0)))[..., 0].astype(float)
    rows, columns = np.mgrid[0:CROP_SIZE, 0:CROP_SIZE]
    assert (moved * columns).sum() / moved.sum() == pytest.approx(158 + 5, abs=0.1)
    assert (moved * rows).sum() / moved.sum() == pytest.approx(158 + 1.1 * 50 - 7, abs=0.1)
    assert moved.sum() / 255 == pytest.approx((21 * 1.1) ** 2, rel=0.02)


def test_sharpness_adds_and_takes_detail(store):
    def detail(sharpness):
        crop = change_source(store.crop(0), SourceChange(sharpness=sharpness))
        return cv2.Laplacian(crop, cv2.CV_64F).std()

    assert detail(-0.8) < detail(0) < detail(0.8)


def test_an_empty_mask_is_refused(store):
    recipe = Recipe("sbi", store[0].id, store[0].id, grow_px=-120)
    with pytest.raises(BlendError, match=r"covers 0\.0% of the crop"):
        render(recipe, store)


def test_a_mask_over_the_whole_crop_is_refused(store, monkeypatch):
    monkeypatch.setitem(generate.HULLS, "whole", lambda landmarks, size: np.ones((size, size), np.float32))
    monkeypatch.setattr(generate, "soften", lambda mask, sigma: mask)
    with pytest.raises(BlendError, match=r"covers 100\.0% of the crop"):
        render(Recipe("sbi", store[0].id, store[0].id), store)


def test_a_recipe_that_cannot_be_rendered_is_drawn_again(store, pool, monkeypatch):
    """With the median of the first masks as the least, half of the first attempts fail."""
    config = BlendConfig(real_prob=0)
    first = [draw_sample(config, pool, store, 0, 0, index) for index in range(8)]
    covered = [float((render_layers(sample.recipe, store).mask > 0.5).mean()) for sample in first]
    least = float(np.median(covered))
    monkeypatch.setattr(generate, "MIN_MASK", least)
    for index, sample in enumerate(first):
        again = draw_sample(config, pool, store, 0, 0, index)
        assert (again.recipe == sample.recipe) == (covered[index] >= least)
        assert (render_layers(again.recipe, store).mask > 0.5).mean() >= least


def test_gives_up_with_advice(store, pool, monkeypatch):
    monkeypatch.setitem(generate.HULLS, "whole", lambda landmarks, size: np.zeros((size, size), np.float32))
    with pytest.raises(BlendError, match="erosions"):
        draw_sample(BlendConfig(real_prob=0, hulls=["whole"]), pool, store, 0, 0, 0)


def test_bi_never_pairs_one_person_or_video(fakes, store):
    pairs = [sample.recipe for sample in fakes if sample.recipe.mode == "bi"]
    for recipe in pairs:
        background, foreground = (store[store.index_of[i]] for i in (recipe.background, recipe.foreground))
        assert background.video != foreground.video
        assert background.identity is None or background.identity != foreground.identity


def test_the_plain_window_is_the_view_of_the_convention():
    assert Recipe("real", "x").window == (VIEW_OFFSET, VIEW_OFFSET, VIEW_SIZE)
