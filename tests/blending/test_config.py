"""Settings: what they refuse and how they say it, their presets, and their way through JSON."""

import json
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from facexray.blending.align import ALIGNMENTS, INTERPOLATIONS
from facexray.blending.blend import BLENDS
from facexray.blending.colour import COLOURS
from facexray.blending.config import LIMITS, MODES, PRESETS, SOFTENINGS, BlendConfig, Chance, preset_path, weights_of
from facexray.blending.deform import SPLINES
from facexray.blending.degrade import DEGRADATIONS, SUBSAMPLINGS
from facexray.blending.hull import HULLS
from facexray.errors import SettingsError
from facexray.faces.crop import CROP_SIZE
from facexray.provenance import plain

NAN, INF = float("nan"), float("inf")
NAMES = {
    "mode": MODES,
    "align": ALIGNMENTS,
    "interpolation": INTERPOLATIONS,
    "hull": HULLS,
    "grid_spline": SPLINES,
    "soften": SOFTENINGS,
    "colour": COLOURS,
    "blend": BLENDS,
    "resample_kernels": ["nearest-linear", "area-cubic", "lanczos-lanczos"],
    "jpeg_subsampling": SUBSAMPLINGS,
}
"""Each choice, and names that it knows."""
PRESET_NAMES = ["default", "generator", "paper", "sbi"]


def refusal(**settings):
    """What is said to settings that are refused."""
    with pytest.raises(SettingsError) as caught:
        BlendConfig(**settings)
    said = str(caught.value)
    assert said.startswith("blending: ")
    return said.removeprefix("blending: ")


# Numbers


def test_every_number_has_its_limits():
    """And nothing else: what is added to the config must be added to the limits."""
    numbers = {name for name, value in vars(BlendConfig()).items() if isinstance(value, int | float | tuple)}
    assert numbers - {"jitter_others", "reproduce_resampling_leak"} == set(LIMITS)


@pytest.mark.parametrize("name", LIMITS)
def test_numbers_beyond_their_limits_are_refused_by_name(name):
    least, most = LIMITS[name]
    usual = getattr(BlendConfig(), name)
    for wrong in (least - 1, most + 1, least - 1e-6, NAN, -INF):
        if wrong == most:  # one more than infinity
            continue
        for value in [(wrong, usual[1]), (usual[0], wrong)] if isinstance(usual, tuple) else [wrong]:
            assert refusal(**{name: value}).startswith(f"{name} must be in [{least:g}, {most:g}], got {value}")


@pytest.mark.parametrize("name", LIMITS)
def test_the_limits_themselves_are_allowed(name):
    least, most = LIMITS[name]
    usual = getattr(BlendConfig(), name)
    values = [(least, least), (least, most), (most, most)] if isinstance(usual, tuple) else [least, most]
    for value in values:
        assert getattr(BlendConfig(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"real_prob": 1.1}, "real_prob must be in [0, 1], got 1.1"),
        ({"flip_prob": -1}, "flip_prob must be in [0, 1], got -1"),
        ({"candidates": 0}, "candidates must be in [1, inf], got 0"),
        ({"jitter_shift": (0.1, 0.6)}, "jitter_shift must be in [0, 0.5], got (0.1, 0.6)"),
        ({"grid_nodes_range": (1, 4)}, "grid_nodes_range must be in [2, 64], got (1, 4)"),
        ({"grid_std_range": (0.2, 0.1)}, "grid_std_range must rise, got (0.2, 0.1)"),
        ({"blur_range_px": (5.0, 1.0)}, "blur_range_px must rise, got (5.0, 1.0)"),
        ({"blur_range_px": (0.0, 1.0)}, "blur_range_px must be in [0.1, 50], got (0.0, 1.0)"),
        ({"window_range_px": (200, CROP_SIZE + 1)}, "window_range_px must be in [200, 317], got (200, 318)"),
        ({"window_range_px": (256,)}, "window_range_px must be two numbers, got (256,)"),
        ({"window_range_px": 256}, "window_range_px must be two numbers, got 256"),
        ({"jitter_shift": (0.1, 0.1, 0.1)}, "jitter_shift must be two numbers, got (0.1, 0.1, 0.1)"),
        ({"real_prob": (0.1, 0.9)}, "real_prob must be one number, got (0.1, 0.9)"),
        ({"window_corner": (30, 60)}, "window_corner (30, 60) and the window's side 290 leave the crop, 317"),
        ({"window_corner": (-1, 0)}, "window_corner (-1, 0) and the window's side 290 leave the crop, 317"),
        ({"window_corner": (0, NAN)}, "window_corner (0, nan) and the window's side 290 leave the crop, 317"),
        ({"window_corner": (3,)}, "window_corner (3,) and the window's side 290 leave the crop, 317"),
    ],
)
def test_says_what_was_got_and_what_was_expected(settings, said):
    assert refusal(**settings) == said


def test_a_shift_need_not_rise():
    assert BlendConfig(jitter_shift=(0.2, 0.1)).jitter_shift == (0.2, 0.1)


def test_a_window_may_touch_the_crop_s_border():
    corner = CROP_SIZE - 256
    assert BlendConfig(window_corner=(corner, corner), window_range_px=(232, 256)).window_corner == (corner, corner)
    assert "window_corner" in refusal(window_corner=(corner, corner + 1), window_range_px=(232, 256))


# Choices


def test_every_choice_is_here():
    choices = {f.name for f in fields(BlendConfig) if f.type == "Choice"}
    assert choices == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_name_is_refused_and_the_known_ones_are_listed(name):
    for choice in ("oval", {"oval": 1.0}, {**dict.fromkeys(NAMES[name], 1.0), "oval": 0.0}):
        said = refusal(**{name: choice})
        assert said.startswith(f"{name}: oval is none of ")
        assert set(NAMES[name]) <= set(said.split("none of ")[1].split(", "))


@pytest.mark.parametrize("name", NAMES)
def test_each_known_name_is_allowed_alone_or_with_weights(name):
    first, *others = NAMES[name]
    for choice in (first, {first: 1}, {first: 0.2, **dict.fromkeys(others, 0)}):
        assert weights_of(getattr(BlendConfig(**{name: choice}), name))[first] > 0


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_nothing_can_be_drawn_by_are_refused(name):
    first, second = list(NAMES[name])[:2]
    for choice in ({}, {first: 0}, {first: -1, second: 2}, {first: NAN}, {first: 1, second: INF}):
        assert refusal(**{name: choice}) == f"{name}: needs a name with a weight above 0, and none below"
    for choice in ([first], (first,), 420, None):
        assert refusal(**{name: choice}).startswith(f"{name}: needs one of ")


# Degradations


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_amounts_of_degradations_have_limits(kind):
    least, most = DEGRADATIONS[kind].least, DEGRADATIONS[kind].most
    for chance in (
        Chance(0.5, least - 1, most),
        Chance(0.5, least, most + 1),
        Chance(0.5, most, least),
        Chance(1.1, least, most),
        Chance(-0.1, least, most),
        Chance(NAN, least, most),
        Chance(0.5, NAN, most),
        Chance(0.5, least, NAN),
    ):
        said = refusal(degradations={kind: chance})
        assert said.startswith(f"degradations: {kind} needs a prob in [0, 1] and {least:g} ≤ low ≤ high ≤ {most:g}")
        assert DEGRADATIONS[kind].meaning in said
        assert said.endswith(f"got {chance.prob:g}, {chance.low:g}, {chance.high:g}")
    for prob in (0, 1):
        assert BlendConfig(degradations={kind: Chance(prob, least, most)}).degradations[kind].prob == prob


def test_an_unknown_degradation_is_refused_and_the_known_ones_are_listed():
    said = refusal(degradations={"gif": Chance(0.5, 1, 2), "jpeg": Chance(0.5, 50, 90)})
    assert said == f"degradations: gif is none of {', '.join(DEGRADATIONS)}"


@pytest.mark.parametrize("kind", ["jpeg", "webp", "h264"])
def test_amounts_that_are_drawn_whole_are_given_whole(kind):
    assert refusal(degradations={kind: Chance(0.5, 20.5, 40)}) == (
        f"degradations: {kind} is drawn in whole numbers, got 20.5, 40"
    )
    assert BlendConfig(degradations={kind: Chance(0.5, 20.0, 40.0)})


def test_no_degradation_is_allowed():
    assert BlendConfig(degradations={}).degradations == {}


def test_names_every_fault_at_once():
    said = refusal(
        real_prob=2,
        candidates=0,
        hull="oval",
        colour={},
        degradations={"gif": Chance(0, 0, 0), "jpeg": Chance(2, 0, 0)},
    )
    assert [fault.split()[0].rstrip(":") for fault in said.split("; ")] == [
        "real_prob",
        "candidates",
        "hull",
        "colour",
        "degradations",
        "degradations",
    ]


# Presets and JSON


def test_the_presets_are_these():
    assert sorted(path.stem for path in PRESETS.glob("*")) == PRESET_NAMES


def test_the_default_preset_is_the_default():
    assert BlendConfig.preset("default") == BlendConfig()


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_presets_load_and_say_on_top_what_they_are(name):
    config = BlendConfig.preset(name)
    assert not config.reproduce_resampling_leak
    assert config.real_prob == 0.5
    assert preset_path(name).read_text(encoding="utf-8").startswith("# ")


def test_presets_differ_as_their_sources_do():
    """The paper and its generator pair with the nearest face, SBI with itself; the generator's window is fixed."""
    paper, generator, sbi = (BlendConfig.preset(name) for name in ("paper", "generator", "sbi"))
    assert (paper.mode, generator.mode, sbi.mode) == ("bi", "bi", "sbi")
    assert (paper.candidates, generator.candidates) == (1000, 5000)
    assert set(weights_of(paper.hull)) == {"whole", "without_forehead", "components", "extended"}
    assert (paper.colour, generator.colour) == ("rgb", "mean")
    assert (paper.soften, generator.soften) == ("gaussian", "feather")
    assert generator.window_corner == paper.window_corner == (30, 60)
    assert generator.window_range_px == paper.window_range_px == (256, 256)


def test_an_unknown_preset_is_refused_and_the_known_ones_are_listed():
    with pytest.raises(SettingsError, match=r"preset: 'papr' is none of default, generator, paper, sbi"):
        BlendConfig.preset("papr")


@pytest.mark.parametrize("name", [*PRESET_NAMES, "everything"])
def test_comes_back_equal_through_json(name, everything):
    config = everything if name == "everything" else BlendConfig.preset(name)
    assert BlendConfig.from_dict(json.loads(json.dumps(plain(config)))) == config
    assert BlendConfig.from_dict(plain(config)) == config


def test_a_part_is_the_rest_by_default():
    assert BlendConfig.from_dict({}) == BlendConfig()
    assert BlendConfig.from_dict({"blur_range_px": [2, 3], "degradations": {}}) == BlendConfig(
        blur_range_px=(2, 3), degradations={}
    )
    assert BlendConfig.from_dict({"window_range_px": [232, 256], "window_corner": [1, 2]}).window_corner == (1, 2)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"jpeg_prob": 0.5}, "jpeg_prob"),
        ({"hulls": ["whole"]}, "hulls"),
        ({"hull": ["whole"]}, "hull"),
        ({"jpeg_subsampling": 420}, "jpeg_subsampling"),
        ({"degradations": {"jpeg": {"prob": 1, "low": 50, "high": 90, "quality": 3}}}, "quality"),
        ({"degradations": {"jpeg": {"prob": 1}}}, "low"),
        ({"degradations": {"jpeg": 3}}, "Chance"),
        ({"degradations": {"jpeg": {"prob": 1, "low": 0, "high": 90}}}, "jpeg"),
        ({"real_prob": 7}, "real_prob"),
        ({"candidates": "many"}, "'str'"),
    ],
)
def test_data_that_is_no_config_is_refused(data, named):
    with pytest.raises(SettingsError, match=r"^blending: ") as caught:
        BlendConfig.from_dict(data)
    assert named in str(caught.value)


def test_data_is_not_changed_by_reading():
    data = json.loads(json.dumps(plain(BlendConfig())))
    before = json.dumps(data)
    BlendConfig.from_dict(data)
    assert json.dumps(data) == before


def test_a_config_is_fixed_and_a_changed_copy_is_checked_again():
    config = BlendConfig()
    with pytest.raises(FrozenInstanceError):
        config.real_prob = 0.1
    with pytest.raises(SettingsError, match="real_prob"):
        replace(config, real_prob=3)


def test_numbers_that_name_a_choice_are_names():
    """YAML reads 420 as a number."""
    assert BlendConfig(jpeg_subsampling={420: 1, 444: 2}) == BlendConfig(jpeg_subsampling={"420": 1, "444": 2})
    with pytest.raises(SettingsError, match="hull: 7 is none of whole"):
        BlendConfig(hull={7: 1})
