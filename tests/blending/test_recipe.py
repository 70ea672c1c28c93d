"""Recipes: their way through JSON, what they draw, what their settings refuse."""

import json
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

from facexray.blending.colour import COLOURS
from facexray.blending.hull import HULLS
from facexray.blending.recipe import FAKE, REAL, BlendConfig, Recipe, draw_recipe
from facexray.errors import SettingsError
from facexray.faces.crop import CROP_SIZE
from facexray.faces.neighbours import FacePool

DRAWS = 1500


@pytest.fixture(scope="module")
def pool():
    """Twelve drawn faces: six people of two videos each."""
    rng = np.random.default_rng(0)
    return FacePool(
        ids=[f"face{i}" for i in range(12)],
        landmarks=rng.uniform(60, 260, (12, 68, 2)).astype(np.float32),
        videos=np.arange(12),
        people=np.repeat(np.arange(6), 2),
    )


def draw(config, pool, count=DRAWS, seed=0):
    return [draw_recipe(config, pool, np.random.default_rng([seed, i])) for i in range(count)]


@pytest.fixture(scope="module")
def recipes(pool):
    return draw(BlendConfig(), pool)


@pytest.mark.parametrize("mode", ["bi", "sbi", "mix"])
def test_comes_back_equal_through_json(mode, pool):
    for recipe in draw(BlendConfig(mode=mode), pool, 200):
        assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
        assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_json_holds_all_that_a_recipe_is(recipes):
    fields = set(asdict(recipes[0]))
    assert set(json.loads(json.dumps(recipes[0].to_dict()))) == fields


def test_drawing_is_deterministic_given_the_generator(pool, recipes):
    assert draw(BlendConfig(), pool, 50) == recipes[:50]
    assert draw(BlendConfig(), pool, 50, seed=1) != recipes[:50]


def test_half_are_real_and_the_fakes_are_of_both_modes(recipes):
    modes = Counter(recipe.mode for recipe in recipes)
    assert modes["real"] / DRAWS == pytest.approx(0.5, abs=0.05)
    assert modes["bi"] / DRAWS == pytest.approx(0.25, abs=0.05)
    assert modes["sbi"] / DRAWS == pytest.approx(0.25, abs=0.05)
    assert {recipe.label for recipe in recipes if recipe.mode == "real"} == {REAL}
    assert {recipe.label for recipe in recipes if recipe.mode != "real"} == {FAKE}


@pytest.mark.parametrize(
    ("settings", "modes"),
    [
        ({"real_prob": 1.0}, {"real"}),
        ({"real_prob": 0.0}, {"bi", "sbi"}),
        ({"real_prob": 0.0, "mode": "bi"}, {"bi"}),
        ({"real_prob": 0.0, "mode": "sbi"}, {"sbi"}),
        ({"mode": "bi"}, {"real", "bi"}),
    ],
)
def test_modes_are_those_that_the_settings_allow(settings, modes, pool):
    assert {recipe.mode for recipe in draw(BlendConfig(**settings), pool, 60)} == modes


def test_real_recipes_carry_no_blend(recipes):
    for recipe in recipes:
        if recipe.mode == "real":
            assert recipe == recipe.as_real()
            assert recipe.foreground is None
            assert recipe.grid_px == ()


def test_fakes_draw_every_hull_and_colour_and_both_directions(recipes):
    fakes = [recipe for recipe in recipes if recipe.label]
    bi = [recipe for recipe in fakes if recipe.mode == "bi"]
    assert {recipe.hull for recipe in fakes} == set(HULLS)
    assert {recipe.colour for recipe in bi} == set(COLOURS)
    assert np.mean([recipe.grow_px < 0 for recipe in fakes]) == pytest.approx(0.5, abs=0.08)
    assert {recipe.align for recipe in bi} == {"similarity"}
    assert {recipe.ratio for recipe in bi} == {1.0}
    assert {recipe.ratio for recipe in fakes} == {0.25, 0.5, 0.75, 1.0}


def test_foregrounds_are_strangers_in_bi_and_the_face_itself_in_sbi(recipes, pool):
    number = {face: i for i, face in enumerate(pool.ids)}
    for recipe in recipes:
        if recipe.mode == "bi":
            background, foreground = number[recipe.background], number[recipe.foreground]
            assert pool.people[background] != pool.people[foreground]
            assert pool.videos[background] != pool.videos[foreground]
        elif recipe.mode == "sbi":
            assert recipe.foreground == recipe.background


def test_all_candidates_give_the_nearest_stranger(pool):
    """By brute force: the sum over the points of the distances."""
    number = {face: i for i, face in enumerate(pool.ids)}
    for recipe in draw(BlendConfig(mode="bi", real_prob=0), pool, 40):
        own = number[recipe.background]
        distances = {
            face: sum(np.hypot(*(p - q)) for p, q in zip(pool.landmarks[i], pool.landmarks[own], strict=True))
            for face, i in number.items()
            if pool.people[i] != pool.people[own]
        }
        assert recipe.foreground == min(distances, key=distances.get)


def test_one_candidate_gives_any_stranger(pool):
    pairs = {(r.background, r.foreground) for r in draw(BlendConfig(mode="bi", candidates=1, real_prob=0), pool, 300)}
    assert len({foreground for background, foreground in pairs if background == "face0"}) > 3


def test_numbers_stay_in_their_ranges(recipes):
    config = BlendConfig()
    for recipe in recipes:
        left, top, side = recipe.window
        assert config.window_range_px[0] <= side <= config.window_range_px[1]
        assert left >= 0
        assert top >= 0
        assert max(left, top) + side <= CROP_SIZE
        assert -config.erode_max_px <= recipe.grow_px <= config.dilate_max_px
        assert config.blur_range_px[0] <= recipe.blur_px <= config.blur_range_px[1]
        for step in recipe.degradations:
            low, high = config.jpeg_range if step.kind == "jpeg" else config.resample_range_px
            assert low <= step.amount <= high
        if recipe.label:
            grid = np.array(recipe.grid_px)
            assert grid.shape == (config.grid_nodes, config.grid_nodes, 2)
            assert np.abs(grid).max() <= 2 * config.grid_std_range[1] * CROP_SIZE


def test_real_and_fake_are_degraded_alike(recipes):
    """Design rule 1: the shares and means of what both share; three standard errors are about 0.08."""

    def shares(label):
        mine = [recipe for recipe in recipes if recipe.label == label]
        kinds = [{step.kind: step for step in recipe.degradations} for recipe in mine]
        return np.array(
            [
                np.mean(["resample" in kind for kind in kinds]),
                np.mean(["jpeg" in kind for kind in kinds]),
                np.mean([kind["resample"].kernel == "nearest" for kind in kinds if "resample" in kind]),
                np.mean([kind["resample"].amount for kind in kinds if "resample" in kind]) / 237,
                np.mean([kind["jpeg"].amount for kind in kinds if "jpeg" in kind]) / 60,
                np.mean([recipe.flip for recipe in mine]),
                np.mean([recipe.window[2] for recipe in mine]) / 58,
            ]
        )

    np.testing.assert_allclose(shares(REAL), shares(FAKE), atol=0.1)
    np.testing.assert_allclose(shares(FAKE)[[0, 1, 2, 5]], 0.5, atol=0.08)


def test_the_real_twin_shares_all_but_the_blend(recipes):
    for recipe in recipes:
        twin = recipe.as_real()
        assert twin.label == REAL
        assert twin.foreground is None
        for name in ("background", "degradations", "window", "flip"):
            assert getattr(twin, name) == getattr(recipe, name)
        assert twin == Recipe(
            "real",
            recipe.background,
            degradations=recipe.degradations,
            window=recipe.window,
            flip=recipe.flip,
        )


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mode": "fsgan"}, "mode"),
        ({"align": "affine"}, "align"),
        ({"real_prob": 1.1}, "real_prob"),
        ({"real_prob": float("nan")}, "real_prob"),
        ({"resample_prob": -0.1}, "resample_prob"),
        ({"jpeg_prob": 2}, "jpeg_prob"),
        ({"flip_prob": -1}, "flip_prob"),
        ({"candidates": 0}, "candidates"),
        ({"hulls": ["whole", "oval"]}, "oval"),
        ({"hulls": []}, "hulls"),
        ({"colours": ["hsv"]}, "hsv"),
        ({"colours": []}, "colours"),
        ({"grid_nodes": 1}, "grid_nodes"),
        ({"grid_std_range": (0.2, 0.1)}, "grid_std_range"),
        ({"grid_std_range": (-0.1, 0.1)}, "grid_std_range"),
        ({"erode_max_px": -1}, "erode_max_px"),
        ({"dilate_max_px": -1}, "dilate_max_px"),
        ({"blur_range_px": (0.0, 1.0)}, "blur_range_px"),
        ({"blur_range_px": (5.0, 1.0)}, "blur_range_px"),
        ({"resample_range_px": (4, 100)}, "resample_range_px"),
        ({"jpeg_range": (0, 100)}, "jpeg_range"),
        ({"jpeg_range": (50, 101)}, "jpeg_range"),
        ({"window_range_px": (10, 100)}, "window_range_px"),
        ({"window_range_px": (100, CROP_SIZE + 1)}, "window_range_px"),
    ],
)
def test_refuses_a_bad_setting_by_its_name(settings, named):
    with pytest.raises(SettingsError, match=named):
        BlendConfig(**settings)


def test_names_every_fault_at_once():
    with pytest.raises(SettingsError, match=r"(?s)(?=.*real_prob)(?=.*candidates)(?=.*oval)"):
        BlendConfig(real_prob=2, candidates=0, hulls=["oval"])


def test_the_narrowest_ranges_can_be_drawn_from(pool):
    config = BlendConfig(
        real_prob=0,
        grid_std_range=(0, 0),
        erode_max_px=0,
        dilate_max_px=0,
        blur_range_px=(2, 2),
        resample_prob=1,
        resample_range_px=(100, 100),
        jpeg_prob=1,
        jpeg_range=(80, 80),
        window_range_px=(CROP_SIZE, CROP_SIZE),
        flip_prob=1,
    )
    for recipe in draw(config, pool, 20):
        assert np.abs(recipe.grid_px).max() == 0
        assert recipe.grow_px == 0
        assert recipe.blur_px == pytest.approx(2)
        assert [step.amount for step in recipe.degradations] == [100, 80]
        assert recipe.window == (0, 0, CROP_SIZE)
        assert recipe.flip
