"""Plans of batches against the batches that NumPy's loader gives."""

import pytest
import torch

from facexray.blending.config import BlendConfig
from facexray.blending.generate import MIN_MASK, draw_recipe, sample_rng
from facexray.blending.mask import make_mask
from facexray.errors import BlendError, SettingsError
from facexray.training.config import DataConfig
from facexray.training.datasets import FAKE, BlendedPairs, PairSampler, training_loader
from facexray.training.device_loader import planned_loader
from facexray.training.renderer import BatchRenderer

HARD = BlendConfig(hull={"mouth": 1.0, "whole": 1.0}, erode_max_px=40.0)
"""Half of whose masks are eroded away."""
EASY = BlendConfig(degradations={})


def recipes_by_numpy(pairs, numbers):
    return tuple(sample.recipe for number in numbers for sample in pairs[number])


@pytest.mark.parametrize(("config", "data"), [(HARD, DataConfig()), (BlendConfig(), DataConfig(paired=False))])
def test_plans_hold_the_recipes_that_numpy_renders(store, config, data):
    """Also those that were drawn again, as some must be here."""
    pairs = BlendedPairs(config, store, None, 11, data)
    plans = list(planned_loader(pairs, PairSampler(3, 19), pairs_per_batch=4, workers=0))
    assert [plan.recipes for plan in plans] == [
        recipes_by_numpy(pairs, range(start, start + 4)) for start in (3, 7, 11, 15)
    ]
    if config is HARD:
        firsts = [draw_recipe(pairs.config, pairs.pool, sample_rng(11, FAKE, number)) for number in range(3, 19)]
        fakes = [recipe for plan in plans for recipe in plan.recipes if recipe.label]
        again = [first for first, fake in zip(firsts, fakes, strict=True) if first != fake]
        assert 0 < len(again) < len(fakes)
        for recipe in again:
            left, top, side = recipe.window
            landmarks = store.landmarks[store.index_of[recipe.background]]
            mask = make_mask(recipe, landmarks, (left, top, left + side, top + side))[0]
            assert (mask > 127).sum() < MIN_MASK * side**2


def test_its_batches_are_numpys(store):
    pairs = BlendedPairs(EASY, store, None, seed=2)
    renderer = BatchRenderer(torch.device("cpu"))
    loaders = [
        load(pairs, PairSampler(0, 8), pairs_per_batch=4, workers=0) for load in (planned_loader, training_loader)
    ]
    for plan, rendered in zip(*loaders, strict=True):
        views, xrays, labels = rendered.batch
        got_views, got_xrays, got_labels = renderer(plan).batch
        assert ((got_views - views).abs() < 2.01 / 255).float().mean() > 0.999
        torch.testing.assert_close(got_xrays, xrays, atol=1e-6, rtol=0)
        assert got_labels.tolist() == labels.tolist() == [0, 1] * 4


@pytest.mark.slow
def test_worker_processes_plan_the_same(store):
    pairs = BlendedPairs(EASY, store, None, seed=2)
    here, there = (list(planned_loader(pairs, PairSampler(0, 4), 2, workers)) for workers in (0, 2))
    for one, other in zip(here, there, strict=True):
        assert one.recipes == other.recipes
        assert torch.equal(one.crops, other.crops)
        assert torch.equal(one.masks, other.masks)


def test_no_usable_mask_at_all_is_an_error(store, monkeypatch):
    monkeypatch.setattr("facexray.training.renderer.MIN_MASK", 1.0)
    loader = planned_loader(BlendedPairs(EASY, store, None, seed=2), PairSampler(0, 2), 2, workers=0)
    with pytest.raises(BlendError, match="no sample after"):
        list(loader)


@pytest.mark.parametrize(
    ("config", "data", "named"),
    [
        ({"blend": {"alpha": 3.0, "poisson": 1.0}}, {}, "blending.blend poisson;"),
        (
            {"interpolation": "lanczos", "blend": "poisson"},
            {},
            "blending.interpolation lanczos, blending.blend poisson;",
        ),
        ({}, {"fakes": "elsewhere"}, "data.fakes;"),
    ],
)
def test_what_the_renderer_cannot_do_is_said_at_the_start(store, config, data, named):
    pairs = BlendedPairs(BlendConfig(**config), store, None, 0)
    pairs.data = DataConfig(**data)
    with pytest.raises(SettingsError, match=f"cannot do {named}.*renderer numpy"):
        planned_loader(pairs, PairSampler(0, 2), 2, workers=0)


def test_a_weight_of_nothing_is_no_obstacle(store):
    pairs = BlendedPairs(BlendConfig(blend={"alpha": 1.0, "poisson": 0.0}), store, None, 0)
    assert len(planned_loader(pairs, PairSampler(0, 2), 2, workers=0)) == 1
