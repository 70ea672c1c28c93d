"""Pairs, batches, and which process gets which."""

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch

from facexray.blending.config import BlendConfig
from facexray.blending.generate import render
from facexray.errors import SettingsError, StoreError
from facexray.training.config import DataConfig
from facexray.training.datasets import BlendedPairs, PairSampler, check_apart, collate, stamp, training_loader


@pytest.fixture(scope="module")
def pairs(store):
    return BlendedPairs(BlendConfig(), store, None, seed=3)


def same(one, other):
    return one.recipe == other.recipe and (one.image == other.image).all() and (one.xray == other.xray).all()


def test_a_pair_is_a_real_view_and_its_blended_twin(pairs, store):
    for index in range(6):
        real, fake = pairs[index]
        assert (real.label, fake.label) == (0, 1)
        assert real.recipe == fake.recipe.as_real()
        np.testing.assert_array_equal(real.image, render(real.recipe, store).image)
        assert not real.xray.any()
        assert fake.xray.max() > 0.5


def test_a_pair_depends_on_seed_and_number_alone(pairs, store):
    again = BlendedPairs(BlendConfig(real_prob=0.9), store, None, seed=3)
    for index in (4, 0, 4):
        assert all(same(*both) for both in zip(pairs[index], again[index], strict=True))
    assert not same(pairs[0][1], pairs[1][1])
    assert not same(pairs[0][1], BlendedPairs(BlendConfig(), store, None, seed=4)[0][1])


def test_reals_of_their_own_are_no_twins(store):
    unpaired = BlendedPairs(BlendConfig(), store, None, seed=3, data=DataConfig(paired=False))
    drawn = [unpaired[index] for index in range(8)]
    assert all((real.label, fake.label) == (0, 1) for real, fake in drawn)
    assert not any(real.recipe == fake.recipe.as_real() for real, fake in drawn)
    assert same(unpaired[5][1], BlendedPairs(BlendConfig(), store, None, seed=3)[5][1])  # the fakes stay the same


def test_given_fakes_take_their_share_and_reals_go_their_way(store, fakes):
    data = DataConfig(fakes=fakes.path, fakes_share=0.25)
    mixed, blended = (BlendedPairs(BlendConfig(), store, None, 3, settings) for settings in (data, DataConfig()))
    drawn = [mixed[index] for index in range(60)]
    given = [index for index, (_, fake) in enumerate(drawn) if fake.recipe.mode == "given"]
    assert 6 <= len(given) <= 25  # of 60, a quarter; beyond these once in a thousand
    for index, (real, fake) in enumerate(drawn):
        assert (real.label, fake.label) == (0, 1)
        assert fake.xray.max() > 0.5
        if index in given:
            assert fake.recipe.background in fakes.index_of
            assert real.recipe.background in store.index_of
            assert real.recipe == replace(fake.recipe.as_real(), background=real.recipe.background)
        elif index < 4:
            assert same(fake, blended[index][1])
    assert all(same(*both) for both in zip(mixed[given[0]], drawn[given[0]], strict=True))


def test_given_fakes_are_drawn_from_the_whole_of_the_distributions(store, fakes):
    """Not by the dice that chose them, which are known to have fallen low."""
    config = BlendConfig.from_dict({"degradations": {"jpeg": {"prob": 1, "low": 30, "high": 100}}})
    mixed = BlendedPairs(config, store, None, 3, DataConfig(fakes=fakes.path, fakes_share=0.25))
    given = [fake.recipe for _, fake in map(mixed.__getitem__, range(160)) if fake.recipe.mode == "given"]
    low, high = config.window_range_px
    sides = np.array([recipe.window[2] for recipe in given])
    qualities = np.array([recipe.degradations[0].amount for recipe in given])
    for values, ends in ((sides, (low, high)), (qualities, (30, 100))):
        shares = (values - ends[0]) / (ends[1] - ends[0])
        assert shares.min() < 0.2 < 0.8 < shares.max()
        assert shares.mean() == pytest.approx(0.5, abs=0.15)


def test_given_fakes_show_nobody_who_validates(store, fakes):
    with pytest.raises(SettingsError, match=r"data\.fakes: .* shows 2 of the people that validate"):
        check_apart(fakes, store, None)
    others = [index for index, person in enumerate(store.column("identity")) if person == "hopper"]
    with pytest.raises(SettingsError, match="shows 1 of the people"):
        check_apart(fakes, store, others)
    check_apart(fakes, store, [])


def test_pairs_are_drawn_from_the_faces_given(store):
    people = store.column("identity")
    chosen = [people.index(person) for person in sorted(set(people))]
    pairs = BlendedPairs(BlendConfig(), store, chosen, seed=0)
    names = {store.column("id")[index] for index in chosen}
    recipes = [pairs[index][1].recipe for index in range(8)]
    assert {recipe.background for recipe in recipes} <= names
    assert {recipe.foreground for recipe in recipes} <= names


def test_a_stamp_tells_other_groupings_and_not_other_names(store, monkeypatch):
    whole, part = stamp(store, None), stamp(store, [0, 1, 3])
    assert whole["faces"] == 6 and part["faces"] == 3
    assert whole["faces_sha256"] != part["faces_sha256"] and whole["people_sha256"] != part["people_sha256"]
    renamed = ["somebody" if person == store.people[0] else person for person in store.people]
    monkeypatch.setattr(store, "people", renamed)
    assert stamp(store, None) == whole
    monkeypatch.setattr(store, "people", ["one"] * 6)
    assert stamp(store, None) == {**whole, "people_sha256": stamp(store, None)["people_sha256"]} != whole


def test_one_person_is_too_few(store):
    one = [i for i, person in enumerate(store.column("identity")) if person == store.column("identity")[0]]
    with pytest.raises(StoreError, match="at least 2 people"):
        BlendedPairs(BlendConfig(), store, one, seed=0)


def test_a_batch_holds_the_pairs_in_order(pairs):
    chosen = [pairs[0], pairs[1]]
    views, xrays, labels = collate(chosen).batch
    assert views.shape == (4, 3, 256, 256)
    assert xrays.shape == (4, 256, 256)
    assert (views.dtype, xrays.dtype, labels.dtype) == (torch.float32, torch.float32, torch.int64)
    assert labels.tolist() == [0, 1, 0, 1]
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= views.min() < views.max() <= 1
    samples = [sample for pair in chosen for sample in pair]
    for view, xray, sample in zip(views, xrays, samples, strict=True):
        np.testing.assert_array_equal((view * 255).round().permute(1, 2, 0).numpy(), sample.image)  # RGB
        np.testing.assert_array_equal(xray.numpy(), sample.xray)


def test_a_batch_runs_from_0_to_1(pairs):
    real, fake = pairs[0]
    white = np.full_like(real.image, 255)
    object.__setattr__(real, "image", white)
    assert collate([(real, fake)]).batch[0][0].unique().tolist() == [1.0]


@pytest.mark.parametrize(("start", "stop", "processes"), [(0, 12, 1), (0, 12, 3), (5, 30, 4), (8, 8, 2), (0, 2, 4)])
def test_processes_share_all_numbers_and_none_twice(start, stop, processes):
    parts = [list(PairSampler(start, stop, rank, processes)) for rank in range(processes)]
    assert sorted(chain(*parts)) == list(range(start, stop))
    assert [len(PairSampler(start, stop, rank, processes)) for rank in range(processes)] == list(map(len, parts))


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_the_processes_batches_of_a_step_are_the_step_of_one(processes):
    """So that the number of devices does not change what is learnt from, nor where a resumed run goes on."""
    per_step, start = 8, 5 * 8
    alone = [set(range(start + step * per_step, start + (step + 1) * per_step)) for step in range(3)]
    share = per_step // processes
    parts = [list(PairSampler(start, start + 24, rank, processes)) for rank in range(processes)]
    together = [set(chain(*(part[step * share : (step + 1) * share] for part in parts))) for step in range(3)]
    assert together == alone


def test_the_loader_gives_the_numbered_pairs(pairs):
    batches = list(training_loader(pairs, PairSampler(2, 6), pairs_per_batch=2, workers=0))
    assert len(batches) == 2
    for batch, numbers in zip(batches, ((2, 3), (4, 5)), strict=True):
        for got, expected in zip(batch, collate([pairs[i] for i in numbers]), strict=True):
            torch.testing.assert_close(got, expected, atol=0, rtol=0)


@pytest.mark.slow
def test_worker_processes_give_the_same_batches(pairs):
    here, there = (
        list(training_loader(pairs, PairSampler(0, 4), pairs_per_batch=2, workers=workers)) for workers in (0, 2)
    )
    for one, other in zip(here, there, strict=True):
        for got, expected in zip(one, other, strict=True):
            torch.testing.assert_close(got, expected, atol=0, rtol=0)
