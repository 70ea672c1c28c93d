"""Given fakes as samples: rendered the way of blended images, labelled by their own masks."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage, stats

from facexray.blending.config import BlendConfig
from facexray.blending.degrade import degrade
from facexray.blending.generate import draw_sample, render, render_both, sample_rng, soften_given, view_of
from facexray.blending.given import draw_given, real_like
from facexray.blending.recipe import Recipe, draw_given_recipe, draw_recipe
from facexray.errors import BlendError, StoreError
from facexray.faces.store import FaceStore
from facexray.faces.store_writer import StoreWriter

SAMPLES = range(24)


@pytest.fixture(scope="module")
def samples(fakes, everything):
    return [draw_given(everything, fakes, 7, 0, index) for index in SAMPLES]


def with_masks(fakes, mask):
    """The fakes, all with another mask."""
    return SimpleNamespace(
        index_of=fakes.index_of, landmarks=fakes.landmarks, crop=fakes.crop, mask=lambda _: mask.astype(np.uint8)
    )


def test_a_sample_is_a_fake_of_the_store(samples, fakes):
    for sample in samples:
        assert (sample.recipe.mode, sample.recipe.foreground, sample.label) == ("given", None, 1)
        assert sample.recipe.background in fakes.index_of
        assert (sample.image.shape, sample.image.dtype) == ((256, 256, 3), np.uint8)
        assert (sample.mask_levels.shape, sample.mask_levels.dtype) == ((256, 256), np.uint8)
        assert sample.xray.max() > 0.9
    assert len({sample.recipe.background for sample in samples}) == len(fakes)


def test_its_image_is_what_a_real_one_of_the_same_crop_would_be(samples, fakes):
    """Nothing but the face itself may tell a given fake from a real image."""
    for sample in samples:
        np.testing.assert_array_equal(sample.image, render(sample.recipe.as_real(), fakes).image)


def test_its_xray_is_that_of_its_mask_softened_cut_and_mirrored(samples, fakes):
    """By SciPy, over the whole crop; M is resized, and B computed of it."""
    for sample in samples:
        recipe = sample.recipe
        mask = fakes.mask(fakes.index_of[recipe.background]) / 255
        left, top, side = recipe.window
        soft = ndimage.gaussian_filter(mask, recipe.soften_px, mode="nearest", truncate=3)
        window = np.rint(soft * 255).astype(np.uint8)[top : top + side, left : left + side]
        expected = view_of(window, recipe) / 255
        assert np.abs(sample.mask - expected).max() <= 0.02  # Gaussians that are cut off a little apart
        assert np.abs(sample.mask - expected).mean() <= 0.002
        np.testing.assert_allclose(sample.xray, 4 * sample.mask * (1 - sample.mask), atol=1e-6)


def test_a_sample_depends_on_its_number_alone(samples, fakes, everything):
    for index in (13, 2, 13):
        again = draw_given(everything, fakes, 7, 0, index)
        assert again.recipe == samples[index].recipe
        np.testing.assert_array_equal(again.image, samples[index].image)
    for number in ((8, 0, 2), (7, 1, 2), (7, 0, 3)):
        assert draw_given(everything, fakes, *number).recipe != samples[2].recipe


def test_a_recipe_goes_through_json(samples, fakes):
    for sample in samples:
        recipe = Recipe.from_dict(json.loads(json.dumps(sample.recipe.to_dict())))
        assert recipe == sample.recipe
        again = render(recipe, fakes)
        np.testing.assert_array_equal(again.image, sample.image)
        np.testing.assert_array_equal(again.mask_levels, sample.mask_levels)


def test_layers_are_the_fake_itself_and_its_mask(samples, fakes):
    sample, layers = render_both(samples[0].recipe, fakes)
    left, top, side = sample.recipe.window
    window = fakes.crop(fakes.index_of[sample.recipe.background])[top : top + side, left : left + side]
    for image in (layers.background, layers.foreground, layers.blended):
        np.testing.assert_array_equal(image, window)
    np.testing.assert_array_equal(view_of(layers.mask, sample.recipe), sample.mask_levels)


# What is drawn


def test_what_images_share_is_drawn_as_for_blended_ones(fakes, pool, everything):
    """Windows, flips and degradations of 400 given fakes and 400 real images, by a test of two samples each."""
    config = replace(everything, real_prob=1.0)
    given = [draw_given_recipe(config, fakes, sample_rng(1, 0, index)) for index in range(400)]
    real = [draw_recipe(config, pool, sample_rng(2, 0, index)) for index in range(400)]

    def differs(numbers):
        drawn = ([numbers(recipe) for recipe in recipes] for recipes in (given, real))
        return stats.ks_2samp(*drawn, method="asymp").pvalue < 1e-3

    for place in range(3):
        assert not differs(lambda recipe, place=place: recipe.window[place])
    assert not differs(lambda recipe: recipe.flip)
    assert not differs(lambda recipe: recipe.flip_vertical)
    for kind in config.degradations:
        assert not differs(lambda recipe, kind=kind: sum(s.amount for s in recipe.degradations if s.kind == kind))


def test_the_softening_is_drawn_evenly_in_the_logarithm(fakes):
    config = BlendConfig(blur_range_px=(2.0, 8.0))
    drawn = [draw_given_recipe(config, fakes, sample_rng(1, 0, index)).soften_px for index in range(400)]
    assert 2 <= min(drawn) < max(drawn) <= 8
    assert stats.kstest(np.log(drawn), stats.uniform(np.log(2), np.log(4)).cdf).pvalue > 1e-3


# Reals that go the same way


def test_a_real_face_goes_the_way_of_a_given_fake(samples, fakes, store, everything, pool):
    """Byte for byte: the window of another store's face, degraded by the fake's own steps."""
    recipes = [sample.recipe for sample in samples] + [draw_sample(everything, pool, store, 1, 0, 1).recipe]
    for number, recipe in enumerate(recipes):
        index = number % len(store)
        like = real_like(recipe, store[index].id)
        assert (like.mode, like.label, like.background) == ("real", 0, store[index].id)
        sample = render(like, store)
        left, top, side = recipe.window
        window = store.crop(index)[top : top + side, left : left + side]
        np.testing.assert_array_equal(sample.image, view_of(degrade(window, recipe.degradations), recipe))
        assert not sample.mask_levels.any()


# Masks at borders, and masks of no use


def test_a_mask_that_the_crop_cuts_off_has_no_boundary_there(fakes):
    """Neither along the crop's border, nor along the window's."""
    half = np.zeros((317, 317))
    half[:, :150] = 255
    for corner in ((0, 0), (61, 61), (20, 40)):
        recipe = Recipe("given", fakes[0].id, window=(*corner, 256), soften_px=8.0)
        xray = render(recipe, with_masks(fakes, half)).xray
        edge = 150 - corner[0]
        assert xray[:, edge - 1 : edge + 1].min() > 0.95
        assert xray[:, : edge - 26].max() == xray[:, edge + 26 :].max() == 0


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0, 10.0])
def test_softening_in_a_window_is_that_of_the_whole_crop(fakes, sigma):
    mask = fakes.mask(0)
    whole = soften_given(mask, sigma, (0, 0, 317, 317))
    np.testing.assert_array_equal(soften_given(mask, sigma, (31, 7, 280, 256)), whole[7:256, 31:280])


@pytest.mark.parametrize(("level", "message"), [(0, r"covers 0\.0%"), (255, r"covers 100\.0%")])
def test_a_mask_without_a_boundary_is_refused(fakes, level, message):
    with pytest.raises(BlendError, match=rf"the mask of {fakes[0].id} {message} of the window"):
        render(Recipe("given", fakes[0].id), with_masks(fakes, np.full((317, 317), level)))


def test_a_mask_that_the_window_misses_is_drawn_again(fakes, store, tmp_path):
    """Of two fakes the first has its mask in a corner that this window never shows."""
    corner = np.zeros((317, 317), np.uint8)
    corner[300:, 300:] = 255
    with StoreWriter(tmp_path / "s", {}, masks=True) as writer:
        for index, mask in enumerate((corner, fakes.mask(1))):
            writer.add(store[index], store.crop(index), mask)
        writer.end_source(store[0].sha256)
    config = BlendConfig(window_range_px=(256, 256), window_corner=(0, 0), blur_range_px=(1, 2))
    some, alone = FaceStore(tmp_path / "s"), store[1].id
    first = {draw_given_recipe(config, some, sample_rng(0, 0, index, 0)).background for index in range(8)}
    assert len(first) == 2
    assert {draw_given(config, some, 0, 0, index).recipe.background for index in range(8)} == {alone}


def test_stores_of_no_use_are_refused(store, tmp_path):
    with pytest.raises(StoreError, match="its faces have no masks"):
        draw_given(BlendConfig(), store, 0, 0, 0)
    with StoreWriter(tmp_path / "s", {}, masks=True):
        pass
    with pytest.raises(StoreError, match=r"holds no fakes; its errors\.jsonl says why"):
        draw_given(BlendConfig(), FaceStore(tmp_path / "s"), 0, 0, 0)
