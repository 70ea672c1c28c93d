"""Recipes: everything random about one sample, drawn once, as plain numbers."""

from __future__ import annotations

import math
from bisect import bisect
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from facexray.blending.config import BlendConfig, Choice, weights_of
from facexray.blending.degrade import DEGRADATIONS, Degradation
from facexray.faces.crop import CROP_SIZE, VIEW_OFFSET, VIEW_SIZE
from facexray.faces.neighbours import FacePool
from facexray.faces.store import FaceStore

REAL, FAKE = 0, 1

SBI_COLOUR_PROB = 0.3
"""How often a self-blended foreground changes its contrast by channel, and how often its brightness."""
SBI_RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
"""Factors on the mask of self-blended images, each as often as it stands here (SBI, section 3.1)."""
LEAK_RANGE_PX = (128, CROP_SIZE)
"""Sides to which the authors' generator shrinks its fakes, and only them."""


@dataclass(frozen=True)
class Jitter:
    """A small movement of the foreground about the crop's centre."""

    scale: float = 1.0
    angle_deg: float = 0.0
    shift_px: tuple[float, float] = (0.0, 0.0)
    """x, y in crop pixels."""


@dataclass(frozen=True)
class SourceChange:
    """What makes a self-blended foreground differ from its background (SBI, section 3.1)."""

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factor per RGB channel."""
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Added per RGB channel, in grey levels."""
    steps: tuple[Degradation, ...] = ()
    """Sharpening or down- and up-sampling, and JPEG, of the foreground alone."""


@dataclass(frozen=True)
class Recipe:
    """Everything random about one sample. The same recipe and faces give the same bytes."""

    mode: str
    """`real`, one of the config's modes, or `given`: a fake that came with its mask."""
    background: str
    """Id of the face that is kept; of the fake where given."""
    foreground: str | None = None
    """Id of the face that is blended in; None where real or given."""
    hull: str = "whole"
    grid_px: tuple[tuple[tuple[float, float], ...], ...] = ()
    """Displacements x, y of the mask's grid nodes: rows of columns of pairs; none where empty."""
    grid_spline: str = "linear"
    grow_px: float = 0.0
    """Radius of the mask's dilation; negative for erosion."""
    soften: str = "gaussian"
    soften_px: float = 1.0
    """Sigma of the Gaussian, or width of the feather."""
    align: str = "none"
    jitter: Jitter = Jitter()
    interpolation: str = "linear"
    source: SourceChange = SourceChange()
    colour: str = "none"
    blend: str = "alpha"
    ratio: float = 1.0
    """Factor on the mask in blending alone, of self-blended samples; the X-ray is of the unscaled mask."""
    leak_px: int = 0
    """Side to which the fake alone goes down and comes up again, where the authors' fault is reproduced."""
    degradations: tuple[Degradation, ...] = ()
    window: tuple[int, int, int] = (VIEW_OFFSET, VIEW_OFFSET, VIEW_SIZE)
    """Left, top and side of the part of the crop that becomes the view, in crop pixels."""
    flip: bool = False
    flip_vertical: bool = False

    @property
    def label(self) -> int:
        """0 for real, 1 for fake."""
        return REAL if self.mode == "real" else FAKE

    def as_real(self) -> Recipe:
        """The real twin: the same background, degradations, window and flips, and no blend."""
        shared = ("degradations", "window", "flip", "flip_vertical")
        return replace(Recipe("real", self.background), **{name: getattr(self, name) for name in shared})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Recipe:
        """The recipe that `to_dict` wrote, also after a way through JSON."""
        grid = tuple(tuple((float(x), float(y)) for x, y in row) for row in data["grid_px"])
        jitter = Jitter(**{**data["jitter"], "shift_px": tuple(data["jitter"]["shift_px"])})
        source = data["source"]
        return cls(
            **{
                **data,
                "grid_px": grid,
                "jitter": jitter,
                "source": SourceChange(tuple(source["gain"]), tuple(source["offset"]), _steps(source["steps"])),
                "degradations": _steps(data["degradations"]),
                "window": tuple(data["window"]),
            }
        )


def _steps(steps: list[dict[str, Any]]) -> tuple[Degradation, ...]:
    return tuple(Degradation(**step) for step in steps)


def draw_recipe(config: BlendConfig, pool: FacePool, rng: np.random.Generator) -> Recipe:
    """Draw one recipe; beside `draw_given_recipe`, the only place of facexray's blending that rolls dice.

    Args:
        config: The distributions.
        pool: The faces to draw from.
        rng: The dice; `generate.sample_rng` makes one from (seed, epoch, index).
    """
    background = int(rng.integers(len(pool.ids)))
    shared = {"background": pool.ids[background], **_draw_shared(config, rng)}
    if rng.random() < config.real_prob:
        return Recipe("real", **shared)
    mode = _pick(config.mode, rng)
    foreground = _draw_self if mode == "sbi" else _draw_other
    return Recipe(
        mode,
        **shared,
        **foreground(config, pool, background, mode, rng),
        **_draw_mask(config, rng),
        blend=_pick(config.blend, rng),
        interpolation=_pick(config.interpolation, rng),
        leak_px=_whole(LEAK_RANGE_PX, rng) if config.reproduce_resampling_leak else 0,
    )


def draw_given_recipe(config: BlendConfig, fakes: FaceStore, rng: np.random.Generator) -> Recipe:
    """Draw the recipe of a given fake: which one, how its mask is softened, and what all images share.

    Args:
        config: The distributions; of those of masks, that of the Gaussian alone.
        fakes: The fakes to draw from.
        rng: The dice.
    """
    fake = fakes[int(rng.integers(len(fakes)))].id
    shared = _draw_shared(config, rng)
    return Recipe("given", fake, **shared, soften_px=_log_uniform(*config.blur_range_px, rng))


def _draw_shared(config: BlendConfig, rng: np.random.Generator) -> dict[str, Any]:
    """What real and fake images have from the same distributions."""
    return {
        "degradations": _draw_degradations(config, rng),
        "window": _draw_window(config, rng),
        "flip": bool(rng.random() < config.flip_prob),
        "flip_vertical": bool(rng.random() < config.flip_vertical_prob),
    }


def _draw_other(
    config: BlendConfig, pool: FacePool, background: int, mode: str, rng: np.random.Generator
) -> dict[str, Any]:
    if mode == "bi":
        foreground = pool.nearest(background, config.candidates, rng)
    else:
        foreground = pool.random_stranger(background, rng)
    return {
        "foreground": pool.ids[foreground],
        "align": _pick(config.align, rng),
        "jitter": _draw_jitter(config, rng) if config.jitter_others else Jitter(),
        "colour": _pick(config.colour, rng),
    }


def _draw_self(
    config: BlendConfig, pool: FacePool, background: int, mode: str, rng: np.random.Generator
) -> dict[str, Any]:
    steps = [_draw_sharpness(rng)]
    if rng.random() < 0.5:
        steps.append(Degradation("jpeg", _whole((40, 100), rng), "420"))
    # Were its colour always changed, a network would learn little else of the face onto itself.
    gain = _triple(0.9, 1.1, rng) if rng.random() < SBI_COLOUR_PROB else (1.0, 1.0, 1.0)
    offset = _triple(-18, 18, rng) if rng.random() < SBI_COLOUR_PROB else (0.0, 0.0, 0.0)
    source = SourceChange(gain, offset, tuple(steps))
    return {
        "foreground": pool.ids[background],
        "jitter": _draw_jitter(config, rng),
        "source": source,
        "ratio": SBI_RATIOS[int(rng.integers(len(SBI_RATIOS)))],
    }


def _draw_sharpness(rng: np.random.Generator) -> Degradation:
    if rng.random() < 0.5:
        return Degradation("resample", float(rng.uniform(0.25, 1)), "linear-linear")
    return Degradation("sharpen", float(rng.uniform(-1, 1)))


def _draw_jitter(config: BlendConfig, rng: np.random.Generator) -> Jitter:
    scale, angle, x, y = rng.uniform(-1, 1, 4).tolist()
    share_x, share_y = config.jitter_shift
    return Jitter(
        scale=(1 + config.jitter_scale) ** scale,
        angle_deg=angle * config.jitter_angle_deg,
        shift_px=(x * share_x * CROP_SIZE, y * share_y * CROP_SIZE),
    )


def _draw_mask(config: BlendConfig, rng: np.random.Generator) -> dict[str, Any]:
    std = rng.uniform(*config.grid_std_range) * CROP_SIZE
    nodes = (_whole(config.grid_nodes_range, rng), _whole(config.grid_nodes_range, rng))
    grid = rng.normal(0, std, (*nodes, 2)).clip(-2 * std, 2 * std)
    erode = rng.random() < 0.5
    soften = _pick(config.soften, rng)
    low, high = config.blur_range_px if soften == "gaussian" else config.feather_range_px
    return {
        "hull": _pick(config.hull, rng),
        "grid_px": tuple(tuple((x, y) for x, y in row) for row in grid.tolist()),
        "grid_spline": _pick(config.grid_spline, rng),
        "grow_px": float(-rng.uniform(0, config.erode_max_px) if erode else rng.uniform(0, config.dilate_max_px)),
        "soften": soften,
        "soften_px": _log_uniform(low, high, rng),
    }


def _draw_degradations(config: BlendConfig, rng: np.random.Generator) -> tuple[Degradation, ...]:
    steps = []
    for name, kind in DEGRADATIONS.items():
        chance = config.degradations.get(name)
        if chance is None or rng.random() >= chance.prob:
            continue
        if kind.whole:
            amount = float(_whole((int(chance.low), int(chance.high)), rng))
        else:
            amount = (_log_uniform if kind.even_in_log else _uniform)(chance.low, chance.high, rng)
        choice = {"resample": config.resample_kernels, "jpeg": config.jpeg_subsampling}.get(name)
        seed = int(rng.integers(2**32)) if kind.seeded else 0
        steps.append(Degradation(name, amount, _pick(choice, rng) if choice else "", seed))
    return tuple(steps)


def _draw_window(config: BlendConfig, rng: np.random.Generator) -> tuple[int, int, int]:
    side = _whole(config.window_range_px, rng)
    left, top = config.window_corner or rng.integers(0, CROP_SIZE - side + 1, 2).tolist()
    return left, top, side


def _pick(choice: Choice, rng: np.random.Generator) -> str:
    weights = weights_of(choice)
    if len(weights) == 1:
        return next(iter(weights))
    names = sorted(name for name, weight in weights.items() if weight > 0)  # in whatever order they were written
    place = bisect(list(accumulate(weights[name] for name in names)), rng.random() * sum(weights.values()))
    return names[min(place, len(names) - 1)]


def _whole(limits: tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(limits[0], limits[1] + 1))


def _uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(low, high))


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _triple(low: float, high: float, rng: np.random.Generator) -> tuple[float, float, float]:
    a, b, c = rng.uniform(low, high, 3).tolist()
    return a, b, c
