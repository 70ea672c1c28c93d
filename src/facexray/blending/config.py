"""What recipes are drawn from: the distributions, and the presets that ship."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from facexray.blending.align import ALIGNMENTS, INTERPOLATIONS
from facexray.blending.blend import BLENDS
from facexray.blending.colour import COLOURS
from facexray.blending.deform import SPLINES
from facexray.blending.degrade import DEGRADATIONS, RESAMPLINGS, SUBSAMPLINGS
from facexray.blending.hull import HULLS
from facexray.errors import SettingsError
from facexray.faces.crop import CROP_SIZE

Choice = dict[str, float] | str
"""One name, or names with their weights: `lab`, or `{lab: 2, rgb: 1}`."""

MODES = ("bi", "sbi", "i2g")
SOFTENINGS = ("gaussian", "feather")


LIMITS: dict[str, tuple[float, float]] = {
    "real_prob": (0, 1),
    "candidates": (1, math.inf),
    "jitter_scale": (0, 0.5),
    "jitter_angle_deg": (0, 180),
    "jitter_shift": (0, 0.5),
    "grid_nodes_range": (2, 64),
    "grid_std_range": (0, 0.5),
    "erode_max_px": (0, 100),
    "dilate_max_px": (0, 100),
    "blur_range_px": (0.1, 50),
    "feather_range_px": (0.5, 200),
    "window_range_px": (200, CROP_SIZE),
    "flip_prob": (0, 1),
    "flip_vertical_prob": (0, 1),
}
"""Least and largest value of every number of a `BlendConfig`."""


@dataclass(frozen=True)
class Chance:
    """How often a degradation comes, and between which amounts."""

    prob: float
    """Share of samples, real and fake alike."""
    low: float
    """Least amount; what it means depends on the kind."""
    high: float
    """Largest amount."""


@dataclass(frozen=True)
class BlendConfig:
    """The distributions that recipes are drawn from. A choice is one name, or names with weights: {lab: 2, rgb: 1}."""

    mode: Choice = field(default_factory=lambda: {"bi": 1.0, "sbi": 1.0})
    """bi: the nearest other face (the paper); sbi: the face onto itself (Shiohara & Yamasaki 2022); i2g: any other."""
    real_prob: float = 0.5
    """Share of samples that stay real, of `blend`; training's batches hold as many reals as fakes."""
    candidates: int = 1000
    """Size of the random subset of which bi takes the nearest face."""
    align: Choice = "similarity"
    """How another's face is laid on the background by the landmarks: none, similarity, affine."""
    jitter_scale: float = 0.05
    """Largest share by which a self-blended foreground is enlarged or shrunk."""
    jitter_angle_deg: float = 0.0
    """Largest angle by which it is turned."""
    jitter_shift: tuple[float, float] = (0.03, 0.015)
    """Largest shares of the crop's side by which it is moved in x and y."""
    jitter_others: bool = False
    """Whether another's face is jittered as a self-blended one is."""
    interpolation: Choice = "linear"
    """How a moved foreground is resampled: linear, cubic, lanczos."""
    hull: Choice = field(
        default_factory=lambda: dict.fromkeys(
            ("whole", "without_forehead", "components", "forehead", "inner", "mouth"), 1.0
        )
    )
    """The region that the initial mask fills: whole, without_forehead, components, extended, forehead, inner,
    inner_without_brows, mouth."""
    grid_nodes_range: tuple[int, int] = (4, 4)
    """Rows, and columns, of the grid that deforms the mask."""
    grid_std_range: tuple[float, float] = (0.005, 0.04)
    """Standard deviation of its nodes' displacements, as a share of the crop's side."""
    grid_spline: Choice = "linear"
    """Between the nodes: linear (piecewise, as in the paper) or smooth (elastic)."""
    erode_max_px: float = 15.0
    """Largest radius of the mask's erosion; half of the masks are eroded, half dilated."""
    dilate_max_px: float = 6.0
    """Largest radius of the mask's dilation."""
    soften: Choice = "gaussian"
    """How the mask's edge is softened: gaussian, feather (a linear ramp inwards from the edge)."""
    blur_range_px: tuple[float, float] = (1.0, 10.0)
    """Sigma of the Gaussian, drawn evenly in its logarithm."""
    feather_range_px: tuple[float, float] = (3.0, 40.0)
    """Width of the ramp, drawn evenly in its logarithm."""
    colour: Choice = field(
        default_factory=lambda: {"lab": 3.0, "covariance": 3.0, "local": 3.0, "rgb": 2.0, "none": 1.0}
    )
    """How another's face takes the background's colour: none, mean, rgb, lab, covariance, histogram, local."""
    blend: Choice = "alpha"
    """alpha (equation 1), poisson, multiband."""
    degradations: dict[str, Chance] = field(
        default_factory=lambda: {
            "shading": Chance(0.3, 0, 0.35),
            "blur": Chance(0.15, 0.3, 2),
            "sharpen": Chance(0.15, 0, 1.5),
            "resample": Chance(0.5, 0.25, 1.0),
            "gaussian_noise": Chance(0.2, 0.5, 12),
            "brightness": Chance(0.3, -40, 40),
            "contrast": Chance(0.3, 0.65, 1.4),
            "hue": Chance(0.1, -12, 12),
            "saturation": Chance(0.15, 0.5, 1.5),
            "h264": Chance(0.2, 15, 40),
            "jpeg": Chance(0.5, 30, 100),
        }
    )
    """Kinds, real and fake alike, each {prob, low, high}: shading, blur, denoise, sharpen, resample,
    gaussian_noise, poisson_noise, brightness, contrast, hue, saturation, webp, h264, jpeg, blocks; {} for none."""
    resample_kernels: Choice = field(
        default_factory=lambda: {"nearest-linear": 1.0, "linear-linear": 1.0, "area-cubic": 2.0}
    )
    """Kernels down-up of the degradation resample: nearest, linear, area, cubic, lanczos; up also later: the image
    stays small, and is noisy and compressed as a small one, until the view is made."""
    jpeg_subsampling: Choice = "420"
    """Chroma subsampling of the degradation jpeg: 420, 444."""
    window_range_px: tuple[int, int] = (232, 290)
    """Side of the window that is cut out of the crop and resized to the view."""
    window_corner: tuple[int, int] | None = None
    """Left and top of the window in the crop, in pixels; anywhere where not given."""
    flip_prob: float = 0.5
    """Share of samples that are mirrored left to right."""
    flip_vertical_prob: float = 0.0
    """Share of samples that are turned upside down."""
    reproduce_resampling_leak: bool = False
    """Resample the fakes alone, as the authors' generator does: a fault, for comparisons only."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from.

        Raises:
            SettingsError: Names every setting that is out of its range.
        """
        if isinstance(self.jpeg_subsampling, dict):  # YAML takes 420 for a number
            by_name = {str(name): weight for name, weight in self.jpeg_subsampling.items()}
            object.__setattr__(self, "jpeg_subsampling", by_name)
        faults = [*self._wrong_numbers(), *self._wrong_choices(), *self._wrong_degradations()]
        if faults:
            raise SettingsError(f"blending: {'; '.join(faults)}")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> BlendConfig:
        """The config of a preset (default, paper, generator or sbi), with changes.

        Raises:
            SettingsError: There is none of that name, or a change is unknown or out of its range.
        """
        return cls.from_dict({**yaml.safe_load(preset_path(name).read_text(encoding="utf-8")), **changes})

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> BlendConfig:
        """The config of plain data, as a run's settings or a blended set's manifest keep it.

        Raises:
            SettingsError: A setting is unknown or out of its range.
        """
        lists = {name: tuple(value) for name, value in data.items() if isinstance(value, list)}
        try:
            chances = {name: Chance(**chance) for name, chance in data.get("degradations", {}).items()}
            return cls(**{**data, **lists, **({"degradations": chances} if "degradations" in data else {})})
        except (TypeError, AttributeError) as error:
            raise SettingsError(f"blending: {error}; it was made by another version of facexray") from error

    def _wrong_numbers(self) -> Iterable[str]:
        for name, (least, most) in LIMITS.items():
            value, pair = getattr(self, name), isinstance(getattr(BlendConfig, name), tuple)
            values = value if isinstance(value, tuple) else (value,)
            if len(values) != 1 + pair:
                yield f"{name} must be {'two numbers' if pair else 'one number'}, got {value}"
            elif not all(least <= number <= most for number in values):
                yield f"{name} must be in [{least:g}, {most:g}], got {value}"
            elif "_range" in name and values[0] > values[1]:
                yield f"{name} must rise, got {value}"
        corner, sides = self.window_corner, self.window_range_px
        if corner is not None and isinstance(sides, tuple):
            inside = len(corner) == 2 and all(0 <= place <= CROP_SIZE - sides[-1] for place in corner)
            if not inside:
                yield f"window_corner {corner} and the window's side {sides[-1]} leave the crop, {CROP_SIZE}"

    def _wrong_choices(self) -> Iterable[str]:
        known: dict[str, Iterable[str]] = {
            "mode": MODES,
            "align": ALIGNMENTS,
            "interpolation": INTERPOLATIONS,
            "hull": HULLS,
            "grid_spline": SPLINES,
            "soften": SOFTENINGS,
            "colour": COLOURS,
            "blend": BLENDS,
            "resample_kernels": RESAMPLINGS,
            "jpeg_subsampling": SUBSAMPLINGS,
        }
        for name, names in known.items():
            choice = getattr(self, name)
            if not isinstance(choice, str | dict):
                yield f"{name}: needs one of {', '.join(names)}, or several with their weights, got {choice!r}"
                continue
            weights = weights_of(choice)
            strange = [str(word) for word in weights if word not in names]
            if strange:
                yield f"{name}: {', '.join(strange)} is none of {', '.join(names)}"
            elif not all(0 <= weight < math.inf for weight in weights.values()) or not any(weights.values()):
                yield f"{name}: needs a name with a weight above 0, and none below"

    def _wrong_degradations(self) -> Iterable[str]:
        for name, chance in self.degradations.items():
            if name not in DEGRADATIONS:
                yield f"degradations: {name} is none of {', '.join(DEGRADATIONS)}"
                continue
            kind = DEGRADATIONS[name]
            if not (0 <= chance.prob <= 1 and kind.least <= chance.low <= chance.high <= kind.most):
                yield (
                    f"degradations: {name} needs a prob in [0, 1] and {kind.least:g} ≤ low ≤ high ≤ {kind.most:g} "
                    f"({kind.meaning}), got {chance.prob:g}, {chance.low:g}, {chance.high:g}"
                )
            elif kind.whole and (chance.low % 1 or chance.high % 1):
                yield f"degradations: {name} is drawn in whole numbers, got {chance.low:g}, {chance.high:g}"


def weights_of(choice: Choice) -> dict[str, float]:
    """A choice as names and their weights."""
    return {choice: 1.0} if isinstance(choice, str) else choice


PRESETS = Path(__file__).parent / "presets"
"""Folder of the presets that ship: NAME.yaml, options of `facexray blend`."""


def preset_path(name: str) -> Path:
    """The YAML file of a preset.

    Raises:
        SettingsError: There is none of that name.
    """
    path = PRESETS / f"{name}.yaml"
    if not path.is_file():
        raise SettingsError(f"preset: {name!r} is none of {', '.join(sorted(p.stem for p in PRESETS.glob('*.yaml')))}")
    return path
