"""Recipes: how often what is drawn, within which ranges, and their way through JSON."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from scipy import stats

from facexray.blending.config import MODES, BlendConfig, Chance, weights_of
from facexray.blending.degrade import DEGRADATIONS, Degradation
from facexray.blending.recipe import FAKE, LEAK_RANGE_PX, REAL, SBI_RATIOS, Jitter, Recipe, SourceChange, draw_recipe
from facexray.faces.crop import CROP_SIZE, VIEW_OFFSET, VIEW_SIZE
from facexray.faces.neighbours import FacePool
from facexray.provenance import plain

DRAWS = 1500
LEAST_P = 1e-3
"""What a test of a distribution must reach at its fixed seed: one in a thousand right ones would not."""
PRESETS = ["default", "generator", "paper", "sbi"]
CONFIG = pytest.mark.parametrize("name", [*PRESETS, "everything"])


@pytest.fixture(scope="module")
def pool():
    """Twelve drawn faces: six people of two videos each; the last two share the first video."""
    rng = np.random.default_rng(0)
    return FacePool(
        ids=[f"face{i}" for i in range(12)],
        landmarks=rng.uniform(60, 260, (12, 68, 2)).astype(np.float32),
        videos=np.array([*range(10), 0, 0]),
        people=np.repeat(np.arange(6), 2),
    )


def draw(config, pool, count=DRAWS, seed=0):
    return [draw_recipe(config, pool, np.random.default_rng([seed, i])) for i in range(count)]


def config_of(name, everything):
    return everything if name == "everything" else BlendConfig.preset(name)


@pytest.fixture(scope="module")
def drawn(pool, everything):
    """A function that gives the recipes of a config, drawn once."""
    found = {}

    def recipes(name):
        if name not in found:
            found[name] = draw(config_of(name, everything), pool)
        return found[name]

    return recipes


def fakes(recipes):
    return [recipe for recipe in recipes if recipe.label]


def is_drawn_by(weights, names):
    """Whether names come as often as weights say: Pearson's chi-square."""
    counts = Counter(names)
    assert set(counts) <= set(weights)
    known = {name: weight for name, weight in weights.items() if weight}
    if len(known) == 1:
        return set(counts) == set(known)
    expected = np.array(list(known.values())) / sum(known.values()) * counts.total()
    return stats.chisquare([counts[name] for name in known], expected).pvalue > LEAST_P


def is_uniform(values, low, high):
    """Kolmogorov and Smirnov's test."""
    return stats.kstest(np.asarray(values), stats.uniform(low, high - low).cdf).pvalue > LEAST_P


# JSON


@CONFIG
def test_comes_back_equal_through_json(name, drawn):
    for recipe in drawn(name)[:100]:
        assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
        assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_json_holds_all_that_a_recipe_is(drawn):
    for recipe in drawn("everything")[:50]:
        data = json.loads(json.dumps(recipe.to_dict()))
        assert set(data) == {field.name for field in fields(Recipe)}
        assert data == plain(asdict(recipe))


def test_recipes_are_plain_numbers(drawn):
    """No NumPy scalars, which print and pickle otherwise and are not JSON."""

    def leaves(value):
        if isinstance(value, dict):
            value = list(value.values())
        return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list | tuple) else [value]

    for recipe in drawn("everything")[:300]:
        assert {type(leaf) for leaf in leaves(asdict(recipe))} <= {int, float, bool, str, type(None)}


# The dice

CHILD = """
import json, sys
import numpy as np
from facexray.blending.config import BlendConfig
from facexray.blending.recipe import draw_recipe
from facexray.faces.neighbours import FacePool

task = json.load(sys.stdin)
pool = FacePool(task["ids"], np.float32(task["landmarks"]), np.array(task["videos"]), np.array(task["people"]))
config = BlendConfig.from_dict(task["config"])
for index in reversed(range(40)):
    print(json.dumps(draw_recipe(config, pool, np.random.default_rng([0, index])).to_dict()))
"""


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_same_dice_give_the_same_recipes_in_another_process_and_order(hash_seed, pool, drawn, everything):
    task = {
        name: value if name == "ids" else value.tolist()
        for name, value in vars(pool).items()
        if name in ("ids", "landmarks", "videos", "people")
    }
    child = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps({**task, "config": plain(everything)}),
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    recipes = [Recipe.from_dict(json.loads(line)) for line in child.stdout.splitlines()]
    assert recipes[::-1] == drawn("everything")[:40]


def test_drawing_again_gives_the_same_and_another_seed_others(pool, drawn, everything):
    assert [draw_recipe(everything, pool, np.random.default_rng([0, i])) for i in (7, 3, 7)] == [
        drawn("everything")[i] for i in (7, 3, 7)
    ]
    assert draw(everything, pool, 20, seed=1) != drawn("everything")[:20]


@CONFIG
def test_what_real_and_fake_share_is_drawn_before_either_is_chosen(name, pool, everything):
    """Design rule 1, exactly: the same dice that give a fake, with no fakes allowed give its real twin."""
    config = config_of(name, everything)
    only_real, only_fake = (replace(config, real_prob=share) for share in (1.0, 0.0))
    for real, fake in zip(draw(only_real, pool, 100), draw(only_fake, pool, 100), strict=True):
        assert (real.label, fake.label) == (REAL, FAKE)
        assert fake.as_real() == real


@CONFIG
def test_the_real_twin_shares_all_but_the_blend(name, drawn):
    shared = ("background", "degradations", "window", "flip", "flip_vertical")
    for recipe in drawn(name):
        twin = recipe.as_real()
        assert (twin.mode, twin.label, twin.foreground) == ("real", REAL, None)
        assert twin == Recipe("real", **{name: getattr(recipe, name) for name in shared})
        assert twin.as_real() == twin
        assert (twin == recipe) == (recipe.label == REAL)


# How often


@CONFIG
def test_choices_are_drawn_by_their_weights(name, drawn, everything):
    config, recipes = config_of(name, everything), drawn(name)
    others = [recipe for recipe in fakes(recipes) if recipe.mode != "sbi"]
    steps = [step for recipe in recipes for step in recipe.degradations]
    assert is_drawn_by(
        {"real": config.real_prob, "fake": 1 - config.real_prob}, [("real", "fake")[r.label] for r in recipes]
    )
    for choice in ("mode", "interpolation", "hull", "grid_spline", "soften", "blend"):
        assert is_drawn_by(
            weights_of(getattr(config, choice)), [getattr(recipe, choice) for recipe in fakes(recipes)]
        ), choice
    for choice in ("align", "colour") if others else ():
        assert is_drawn_by(weights_of(getattr(config, choice)), [getattr(recipe, choice) for recipe in others]), choice
    for choice, kind in (("resample_kernels", "resample"), ("jpeg_subsampling", "jpeg")):
        hows = [step.how for step in steps if step.kind == kind]
        assert not hows or is_drawn_by(weights_of(getattr(config, choice)), hows), choice


def test_uneven_weights_and_names_of_weight_zero(pool):
    config = BlendConfig(
        real_prob=0.2,
        mode={"sbi": 7.5, "bi": 2.5},
        hull={"whole": 0.05, "mouth": 0.0, "inner": 0.2, "forehead": 0.75},
        colour={"lab": 0, "histogram": 5, "covariance": 15, "mean": 0},
        flip_prob=0.9,
        flip_vertical_prob=0.1,
    )
    recipes = draw(config, pool, seed=1)
    assert is_drawn_by({REAL: 0.2, FAKE: 0.8}, [recipe.label for recipe in recipes])
    assert is_drawn_by(config.mode, [recipe.mode for recipe in fakes(recipes)])
    assert is_drawn_by(config.hull, [recipe.hull for recipe in fakes(recipes)])
    assert is_drawn_by(config.colour, [recipe.colour for recipe in fakes(recipes) if recipe.mode == "bi"])
    assert is_drawn_by({True: 0.9, False: 0.1}, [recipe.flip for recipe in recipes])
    assert is_drawn_by({True: 0.1, False: 0.9}, [recipe.flip_vertical for recipe in recipes])


@CONFIG
def test_degradations_come_by_their_chance_and_in_their_order(name, drawn, everything):
    config, recipes = config_of(name, everything), drawn(name)
    order = list(DEGRADATIONS)
    for recipe in recipes:
        places = [order.index(step.kind) for step in recipe.degradations]
        assert places == sorted(set(places))
    for kind in DEGRADATIONS:
        prob = config.degradations[kind].prob if kind in config.degradations else 0.0
        came = [any(step.kind == kind for step in recipe.degradations) for recipe in recipes]
        assert is_drawn_by({True: prob, False: 1 - prob}, came) if prob else not any(came)


def test_a_chance_of_one_always_comes_and_of_zero_never(pool):
    config = BlendConfig(degradations={"jpeg": Chance(0, 50, 60), "blur": Chance(1, 1, 2)})
    assert {tuple(step.kind for step in recipe.degradations) for recipe in draw(config, pool, 100)} == {("blur",)}


@pytest.mark.parametrize(
    ("settings", "modes"),
    [
        ({"real_prob": 1.0}, {"real"}),
        ({"real_prob": 0.0}, {"bi", "sbi"}),
        ({"real_prob": 0.0, "mode": "bi"}, {"bi"}),
        ({"real_prob": 0.0, "mode": "i2g"}, {"i2g"}),
        ({"mode": "sbi"}, {"real", "sbi"}),
    ],
)
def test_modes_are_those_that_the_settings_allow(settings, modes, pool):
    recipes = draw(BlendConfig(**settings), pool, 60)
    assert {recipe.mode for recipe in recipes} == modes
    assert all(recipe.label == (FAKE if recipe.mode in MODES else REAL) for recipe in recipes)


# Whom


@pytest.mark.parametrize("mode", ["bi", "i2g"])
@pytest.mark.parametrize("candidates", [1, 1000])
def test_another_s_face_shares_neither_video_nor_identity(mode, candidates, pool):
    number = {face: i for i, face in enumerate(pool.ids)}
    met = set()
    for recipe in draw(BlendConfig(mode=mode, real_prob=0, candidates=candidates), pool, 400):
        background, foreground = number[recipe.background], number[recipe.foreground]
        assert pool.people[background] != pool.people[foreground]
        assert pool.videos[background] != pool.videos[foreground]
        met.add(background)
    assert met == set(range(12))


def test_bi_takes_the_nearest_stranger_of_all_candidates(pool):
    """By brute force: the sum over the points of the distances."""
    number = {face: i for i, face in enumerate(pool.ids)}
    for recipe in draw(BlendConfig(mode="bi", real_prob=0), pool, 60):
        own = number[recipe.background]
        distances = {
            face: sum(np.hypot(*(p - q)) for p, q in zip(pool.landmarks[i], pool.landmarks[own], strict=True))
            for face, i in number.items()
            if pool.people[i] != pool.people[own] and pool.videos[i] != pool.videos[own]
        }
        assert recipe.foreground == min(distances, key=distances.get)


@pytest.mark.parametrize(("mode", "candidates"), [("i2g", 1000), ("bi", 1)])
def test_i2g_takes_any_stranger_and_so_does_bi_of_one_candidate(mode, candidates, pool):
    recipes = draw(BlendConfig(mode=mode, real_prob=0, candidates=candidates), pool, 3000)
    found = [recipe.foreground for recipe in recipes if recipe.background == "face4"]
    assert is_drawn_by({face: 1.0 for face in pool.ids if face not in ("face4", "face5")}, found)


def test_backgrounds_are_drawn_evenly(pool, drawn):
    assert is_drawn_by(dict.fromkeys(pool.ids, 1.0), [recipe.background for recipe in drawn("default")])


def test_sbi_is_the_face_itself_changed_and_bi_another_s_unchanged(drawn):
    for recipe in fakes(drawn("default")):
        if recipe.mode == "sbi":
            assert recipe.foreground == recipe.background
            assert recipe.source != SourceChange()
            assert recipe.jitter != Jitter()
            assert (recipe.align, recipe.colour) == ("none", "none")
        else:
            assert recipe.foreground != recipe.background
            assert (recipe.source, recipe.jitter, recipe.ratio) == (SourceChange(), Jitter(), 1.0)


def test_sbi_ratios_and_changes_of_the_source(drawn):
    """SBI, section 3.1: the full mask half of the time; a resampling or a sharpening, and JPEG half of the time."""
    selves = fakes(drawn("sbi"))
    assert is_drawn_by(Counter(SBI_RATIOS), [recipe.ratio for recipe in selves])
    assert is_drawn_by({1.0: 3, 0.25: 1, 0.5: 1, 0.75: 1}, [recipe.ratio for recipe in selves])
    steps = [recipe.source.steps for recipe in selves]
    assert is_drawn_by({"resample": 1, "sharpen": 1}, [step[0].kind for step in steps])
    assert is_drawn_by({1: 1, 2: 1}, [len(step) for step in steps])
    assert {step[1].kind for step in steps if len(step) == 2} == {"jpeg"}
    gains, offsets = (np.array([getattr(recipe.source, name) for recipe in selves]) for name in ("gain", "offset"))
    for values, still, reach in ((gains, 1, 0.1), (offsets, 0, 18)):
        changed = values[(values != still).any(axis=1)]
        assert is_drawn_by({True: 3, False: 7}, list((values != still).any(axis=1)))
        for channel in range(3):
            assert is_uniform(changed[:, channel], still - reach, still + reach)
    assert is_uniform([step[0].amount for step in steps if step[0].kind == "resample"], 0.25, 1)
    assert is_uniform([step[0].amount for step in steps if step[0].kind == "sharpen"], -1, 1)


def test_jitters_fill_their_ranges(pool):
    config = BlendConfig(mode="sbi", real_prob=0, jitter_scale=0.2, jitter_angle_deg=9.0, jitter_shift=(0.1, 0.02))
    jitters = [recipe.jitter for recipe in draw(config, pool, 600)]
    assert is_uniform(np.log([jitter.scale for jitter in jitters]), -np.log(1.2), np.log(1.2))
    assert is_uniform([jitter.angle_deg for jitter in jitters], -9, 9)
    assert is_uniform([jitter.shift_px[0] for jitter in jitters], -0.1 * CROP_SIZE, 0.1 * CROP_SIZE)
    assert is_uniform([jitter.shift_px[1] for jitter in jitters], -0.02 * CROP_SIZE, 0.02 * CROP_SIZE)


def test_others_are_jittered_where_the_settings_say_so(pool):
    for mode in ("bi", "i2g"):
        jitters = {r.jitter for r in draw(BlendConfig(mode=mode, real_prob=0, jitter_others=True), pool, 30)}
        assert len(jitters) == 30


# Within which ranges


@CONFIG
def test_numbers_stay_in_their_ranges(name, drawn, everything):
    config = config_of(name, everything)
    for recipe in drawn(name):
        left, top, side = recipe.window
        assert config.window_range_px[0] <= side <= config.window_range_px[1]
        assert min(left, top) >= 0
        assert max(left, top) + side <= CROP_SIZE
        assert config.window_corner in (None, (left, top))
        for step in recipe.degradations:
            chance, kind = config.degradations[step.kind], DEGRADATIONS[step.kind]
            assert chance.low - 1e-9 <= step.amount <= chance.high + 1e-9
            assert not kind.whole or step.amount == round(step.amount)
            assert (step.seed > 0) == kind.seeded
            assert bool(step.how) == (step.kind in ("resample", "jpeg"))
        if recipe.label:
            assert -config.erode_max_px <= recipe.grow_px <= config.dilate_max_px
            low, high = config.blur_range_px if recipe.soften == "gaussian" else config.feather_range_px
            assert low - 1e-9 <= recipe.soften_px <= high + 1e-9
            grid = np.array(recipe.grid_px)
            assert all(config.grid_nodes_range[0] <= count <= config.grid_nodes_range[1] for count in grid.shape[:2])
            assert grid.shape[2:] == (2,)
            assert np.abs(grid).max() <= 2 * config.grid_std_range[1] * CROP_SIZE
            assert abs(np.log(recipe.jitter.scale)) <= np.log(1 + config.jitter_scale) + 1e-9
            assert abs(recipe.jitter.angle_deg) <= config.jitter_angle_deg
            assert all(
                abs(s) <= share * CROP_SIZE
                for s, share in zip(recipe.jitter.shift_px, config.jitter_shift, strict=True)
            )
        leaks = config.reproduce_resampling_leak and recipe.label
        assert LEAK_RANGE_PX[0] <= recipe.leak_px <= LEAK_RANGE_PX[1] if leaks else recipe.leak_px == 0


def test_masks_are_drawn_evenly_between_their_limits(drawn):
    config, recipes = BlendConfig(), fakes(drawn("default"))
    grown = np.array([recipe.grow_px for recipe in recipes])
    assert is_drawn_by({True: 1, False: 1}, (grown < 0).tolist())
    assert is_uniform(grown[grown < 0], -config.erode_max_px, 0)
    assert is_uniform(grown[grown > 0], 0, config.dilate_max_px)
    assert is_uniform(np.log([recipe.soften_px for recipe in recipes]), *np.log(config.blur_range_px))
    for corner in (
        np.array([recipe.window[:2] for recipe in recipes])
        / (CROP_SIZE - np.array([r.window[2] for r in recipes]))[:, None]
    ).T:
        assert stats.kstest(corner, "uniform").statistic < 0.06  # whole pixels: of at least 28 places
    assert is_uniform(
        [recipe.window[2] + 0.5 for recipe in recipes], config.window_range_px[0], config.window_range_px[1] + 1
    )


def test_feathers_and_photons_are_drawn_evenly_in_their_logarithm(drawn, everything):
    widths = [r.soften_px for r in fakes(drawn("everything")) if r.soften == "feather"]
    assert is_uniform(np.log(widths), *np.log(everything.feather_range_px))
    steps = [step for recipe in drawn("everything") for step in recipe.degradations]
    photons = everything.degradations["poisson_noise"]
    assert is_uniform(
        np.log([s.amount for s in steps if s.kind == "poisson_noise"]), *np.log([photons.low, photons.high])
    )
    blurs = everything.degradations["blur"]
    assert is_uniform([s.amount for s in steps if s.kind == "blur"], blurs.low, blurs.high)
    qualities = everything.degradations["jpeg"]
    assert is_drawn_by(
        dict.fromkeys(np.arange(qualities.low, qualities.high + 1), 1.0), [s.amount for s in steps if s.kind == "jpeg"]
    )


def test_displacements_are_normal_and_cut_at_two_deviations(pool):
    config = BlendConfig(real_prob=0, mode="sbi", grid_std_range=(0.05, 0.05), grid_nodes_range=(8, 8))
    grid = np.concatenate([np.ravel(recipe.grid_px) for recipe in draw(config, pool, 60)])
    std = 0.05 * CROP_SIZE
    assert np.abs(grid).max() == pytest.approx(2 * std)
    assert (np.abs(grid) > 2 * std - 1e-9).mean() == pytest.approx(2 * stats.norm.sf(2), abs=0.01)
    inner = grid[np.abs(grid) < 2 * std - 1e-9]
    assert stats.kstest(inner, stats.truncnorm(-2, 2, scale=std).cdf).pvalue > LEAST_P


def test_grids_of_unequal_sides(drawn):
    shapes = Counter(np.array(recipe.grid_px).shape[:2] for recipe in fakes(drawn("everything")))
    assert set(shapes) == {(rows, columns) for rows in range(2, 7) for columns in range(2, 7)}


def test_the_narrowest_ranges_can_be_drawn_from(pool):
    config = BlendConfig(
        real_prob=0,
        grid_std_range=(0, 0),
        erode_max_px=0,
        dilate_max_px=0,
        blur_range_px=(2, 2),
        degradations={"resample": Chance(1, 0.5, 0.5), "jpeg": Chance(1, 80, 80), "poisson_noise": Chance(1, 100, 100)},
        resample_kernels="area-cubic",
        jpeg_subsampling="444",
        jitter_scale=0,
        jitter_shift=(0, 0),
        window_range_px=(CROP_SIZE, CROP_SIZE),
        flip_prob=1,
        flip_vertical_prob=1,
    )
    for recipe in draw(config, pool, 20):
        assert np.abs(recipe.grid_px).max() == 0
        assert recipe.grow_px == 0
        assert recipe.soften_px == pytest.approx(2)
        assert recipe.degradations[0] == Degradation("resample", 0.5, "area-cubic")
        assert recipe.degradations[1].amount == pytest.approx(100)
        assert recipe.degradations[2] == Degradation("jpeg", 80, "444")
        assert recipe.jitter == Jitter()
        assert recipe.window == (0, 0, CROP_SIZE)
        assert recipe.flip
        assert recipe.flip_vertical


def test_the_plain_window_is_the_view_of_the_convention():
    assert Recipe("real", "x").window == (VIEW_OFFSET, VIEW_OFFSET, VIEW_SIZE)


def test_the_order_in_which_a_choice_is_written_decides_nothing(pool):
    one = BlendConfig(colour={"lab": 1, "rgb": 2, "none": 1}, mode={"bi": 1, "sbi": 1})
    other = BlendConfig(colour={"none": 1, "rgb": 2, "lab": 1}, mode={"sbi": 1, "bi": 1})
    recipes = [draw(config, pool, 20) for config in (one, other)]
    assert recipes[0] == recipes[1]
