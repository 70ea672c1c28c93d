"""Recipes: everything random about one sample, drawn once, as plain numbers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from facexray.blending.colour import COLOURS
from facexray.blending.degrade import Degradation
from facexray.blending.hull import HULLS
from facexray.errors import SettingsError
from facexray.faces.crop import CROP_SIZE, VIEW_OFFSET, VIEW_SIZE
from facexray.faces.neighbours import FacePool

REAL, FAKE = 0, 1


@dataclass(frozen=True)
class BlendConfig:
    """The distributions that recipes are drawn from."""

    mode: Literal["bi", "sbi", "mix"] = "mix"
    """bi: the nearest other face (the paper); sbi: the face onto itself (Shiohara & Yamasaki 2022); mix: half each."""
    real_prob: float = 0.5
    """Share of samples that stay real."""
    candidates: int = 1000
    """Size of the random subset of which bi takes the nearest face."""
    align: Literal["none", "similarity"] = "similarity"
    """How bi's foreground is laid on the background: as its crop lies, or by the landmarks."""
    hulls: list[str] = field(default_factory=lambda: list(HULLS))
    """Hull kinds, drawn evenly."""
    colours: list[str] = field(default_factory=lambda: ["lab", "rgb", "lab", "none"])
    """Colour methods, drawn evenly; one that stands twice comes twice as often."""
    grid_nodes: int = 4
    """Nodes a side of the grid that deforms the mask."""
    grid_std_range: tuple[float, float] = (0.005, 0.04)
    """Standard deviation of the nodes' displacements, as a share of the crop's side."""
    erode_max_px: int = 15
    """Largest radius of the mask's erosion; half of the masks are eroded, half dilated."""
    dilate_max_px: int = 6
    """Largest radius of the mask's dilation."""
    blur_range_px: tuple[float, float] = (1.0, 10.0)
    """Sigma of the Gaussian that softens the mask, drawn evenly in its logarithm."""
    resample_prob: float = 0.5
    """Share of samples, real and fake alike, that are down- and up-sampled."""
    resample_range_px: tuple[int, int] = (80, CROP_SIZE)
    """Side in pixels to which they go down."""
    jpeg_prob: float = 0.5
    """Share of samples, real and fake alike, that are JPEG-compressed."""
    jpeg_range: tuple[int, int] = (40, 100)
    """JPEG quality."""
    window_range_px: tuple[int, int] = (232, 290)
    """Side of the window that is cut out of the crop and resized to the view."""
    flip_prob: float = 0.5
    """Share of samples that are mirrored."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from.

        Raises:
            SettingsError: Names every setting that is out of its range.
        """
        shares = ("real_prob", "resample_prob", "jpeg_prob", "flip_prob")
        faults = [f"{name} must be in [0, 1]" for name in shares if not 0 <= getattr(self, name) <= 1]
        ranges = ("grid_std_range", "blur_range_px", "resample_range_px", "jpeg_range", "window_range_px")
        faults += [f"{name} must rise" for name in ranges if getattr(self, name)[0] > getattr(self, name)[1]]
        faults += [f"hulls: {name!r} is none of {', '.join(HULLS)}" for name in self.hulls if name not in HULLS]
        faults += [f"colours: {name!r} is none of {', '.join(COLOURS)}" for name in self.colours if name not in COLOURS]
        checks = {
            f"mode must be bi, sbi or mix, not {self.mode!r}": self.mode in ("bi", "sbi", "mix"),
            f"align must be none or similarity, not {self.align!r}": self.align in ("none", "similarity"),
            "grid_std_range must be at least 0": self.grid_std_range[0] >= 0,
            "hulls and colours must not be empty": bool(self.hulls and self.colours),
            "candidates must be at least 1": self.candidates >= 1,
            "grid_nodes must be at least 2": self.grid_nodes >= 2,
            "erode_max_px and dilate_max_px must be at least 0": min(self.erode_max_px, self.dilate_max_px) >= 0,
            "blur_range_px must be above 0": self.blur_range_px[0] > 0,
            "resample_range_px must be at least 8": self.resample_range_px[0] >= 8,
            "jpeg_range must be in [1, 100]": self.jpeg_range[0] >= 1 and self.jpeg_range[1] <= 100,
            f"window_range_px must be in [200, {CROP_SIZE}]": self.window_range_px[0] >= 200
            and self.window_range_px[1] <= CROP_SIZE,
        }
        faults += [message for message, holds in checks.items() if not holds]
        if faults:
            raise SettingsError(f"blending: {'; '.join(faults)}")


@dataclass(frozen=True)
class SourceChange:
    """What makes a self-blended foreground differ from its background (SBI, section 3.1)."""

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factor per RGB channel."""
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Added per RGB channel, in grey levels."""
    sharpness: float = 0.0
    """Share of the detail (image less its blur) that is added, or taken away where negative."""
    scale: float = 1.0
    """Enlargement about the crop's centre."""
    shift_px: tuple[float, float] = (0.0, 0.0)
    """Displacement x, y in crop pixels."""


@dataclass(frozen=True)
class Recipe:
    """Everything random about one sample. The same recipe and faces give the same bytes."""

    mode: Literal["real", "bi", "sbi"]
    background: str
    """Id of the face that is kept."""
    foreground: str | None = None
    """Id of the face that brings the inner face; None where real."""
    hull: str = "whole"
    grid_px: tuple[tuple[tuple[float, float], ...], ...] = ()
    """(rows, columns, 2) displacements x, y of the mask's grid, in crop pixels."""
    grow_px: int = 0
    """Radius of the mask's dilation; negative for erosion."""
    blur_px: float = 1.0
    """Sigma of the Gaussian that softens the mask."""
    align: Literal["none", "similarity"] = "none"
    colour: str = "none"
    ratio: float = 1.0
    """Factor on the mask in blending alone, of self-blended samples; the X-ray is of the unscaled mask."""
    source: SourceChange = SourceChange()
    degradations: tuple[Degradation, ...] = ()
    window: tuple[int, int, int] = (VIEW_OFFSET, VIEW_OFFSET, VIEW_SIZE)
    """Left, top and side of the part of the crop that becomes the view, in crop pixels."""
    flip: bool = False

    @property
    def label(self) -> int:
        """0 for real, 1 for fake."""
        return REAL if self.mode == "real" else FAKE

    def as_real(self) -> Recipe:
        """The real twin: the same background, degradations, window and flip, and no blend."""
        return replace(
            Recipe("real", self.background),
            degradations=self.degradations,
            window=self.window,
            flip=self.flip,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Recipe:
        """The recipe that `to_dict` wrote, also after a way through JSON."""
        source: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data["source"].items()
        }
        return cls(
            **{
                **data,
                "grid_px": tuple(tuple((float(x), float(y)) for x, y in row) for row in data["grid_px"]),
                "source": SourceChange(**source),
                "degradations": tuple(Degradation(**step) for step in data["degradations"]),
                "window": tuple(data["window"]),
            }
        )


def draw_recipe(config: BlendConfig, pool: FacePool, rng: np.random.Generator) -> Recipe:
    """Draw one recipe: the only place of facexray's blending that rolls dice.

    Args:
        config: The distributions.
        pool: The faces to draw from.
        rng: The dice; `generate.sample_rng` makes one from (seed, epoch, index).
    """
    background = int(rng.integers(len(pool.ids)))
    shared: dict[str, Any] = {
        "background": pool.ids[background],
        "degradations": _draw_degradations(config, rng),
        "window": _draw_window(config, rng),
        "flip": bool(rng.random() < config.flip_prob),
    }
    if rng.random() < config.real_prob:
        return Recipe("real", **shared)
    mode = config.mode
    if mode == "mix":
        mode = "bi" if rng.random() < 0.5 else "sbi"
    of_mode = _draw_sbi(pool.ids[background], rng) if mode == "sbi" else _draw_bi(config, pool, background, rng)
    return Recipe(mode, **shared, **_draw_mask(config, rng), **of_mode)


def _draw_bi(config: BlendConfig, pool: FacePool, background: int, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "foreground": pool.ids[pool.nearest(background, config.candidates, rng)],
        "align": config.align,
        "colour": config.colours[int(rng.integers(len(config.colours)))],
    }


def _draw_sbi(face: str, rng: np.random.Generator) -> dict[str, Any]:
    def triple(low: float, high: float) -> tuple[float, float, float]:
        a, b, c = rng.uniform(low, high, 3).tolist()
        return a, b, c

    shift = tuple(rng.uniform([-0.03, -0.015], [0.03, 0.015]) * CROP_SIZE)
    change = SourceChange(
        gain=triple(0.9, 1.1),
        offset=triple(-18, 18),
        sharpness=float(rng.uniform(-1, 1)),
        scale=float(math.exp(rng.uniform(-0.05, 0.05))),
        shift_px=(float(shift[0]), float(shift[1])),
    )
    return {"foreground": face, "source": change, "ratio": float(rng.choice([0.25, 0.5, 0.75, 1, 1, 1]))}


def _draw_mask(config: BlendConfig, rng: np.random.Generator) -> dict[str, Any]:
    std = rng.uniform(*config.grid_std_range) * CROP_SIZE
    grid = rng.normal(0, std, (config.grid_nodes, config.grid_nodes, 2)).clip(-2 * std, 2 * std)
    erode = rng.random() < 0.5
    low, high = (math.log(sigma) for sigma in config.blur_range_px)
    return {
        "hull": config.hulls[int(rng.integers(len(config.hulls)))],
        "grid_px": tuple(tuple((float(x), float(y)) for x, y in row) for row in grid),
        "grow_px": int(
            -rng.integers(0, config.erode_max_px + 1) if erode else rng.integers(0, config.dilate_max_px + 1)
        ),
        "blur_px": float(math.exp(rng.uniform(low, high))),
    }


def _draw_degradations(config: BlendConfig, rng: np.random.Generator) -> tuple[Degradation, ...]:
    steps = []
    if rng.random() < config.resample_prob:
        side = int(rng.integers(config.resample_range_px[0], config.resample_range_px[1] + 1))
        steps.append(Degradation("resample", side, "nearest" if rng.random() < 0.5 else "bilinear"))
    if rng.random() < config.jpeg_prob:
        steps.append(Degradation("jpeg", int(rng.integers(config.jpeg_range[0], config.jpeg_range[1] + 1))))
    return tuple(steps)


def _draw_window(config: BlendConfig, rng: np.random.Generator) -> tuple[int, int, int]:
    side = int(rng.integers(config.window_range_px[0], config.window_range_px[1] + 1))
    left, top = (int(value) for value in rng.integers(0, CROP_SIZE - side + 1, 2))
    return left, top, side
