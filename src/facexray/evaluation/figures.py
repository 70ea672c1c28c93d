"""The figures of an evaluation as SVG for a page: ROC, PR and DET curves, reliability, robustness.

A figure holds fixed words only, in text that the browser sets. Whose curve is whose stands beside it, in the page:
matplotlib's fonts lack most scripts, and a name may be written in any. Lines take the page's ink.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from markupsafe import escape
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from facexray.images import printable
from facexray.metrics.classification import CALIBRATION_BINS, calibration_bin
from facexray.metrics.curves import precision_recall, reliability, roc

INK = "#123456"
"""Stands for the colour of the page's text, which is not known while drawing."""
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, which people with any colour vision tell apart."""
DASHES = ((), (5, 2), (1, 1.5), (6, 1.5, 1, 1.5))
STEPS = 400
"""Curves are drawn to this part of an axis, a pixel or so, however many points they have."""
DET_TICKS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
_SETTINGS = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "grid.alpha": 0.15,
    "lines.linewidth": 1.6,
    "path.simplify_threshold": 0.3,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    "grid.color": INK,
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
}

Array = NDArray[np.float64]
Scored = Mapping[str, tuple[ArrayLike, ArrayLike]]
"""Name of a curve → labels (N,) of 0 real and 1 fake, scores (N,) of which the higher is the more fake."""


@dataclass(frozen=True)
class Stroke:
    """How a curve is drawn, for its figure and for the legend in the page."""

    colour: str
    dashes: tuple[float, ...]
    """Lengths of line and gap, in widths of the line."""
    width: float

    @property
    def css(self) -> str:
        """The colour as the page knows it."""
        return "currentColor" if self.colour == INK else self.colour


def strokes(names: Sequence[str]) -> dict[str, Stroke]:
    """A stroke per curve: 24 that differ, and a broad one in ink for the last, which is overall."""
    found = {
        name: Stroke(PALETTE[place % len(PALETTE)], DASHES[place // len(PALETTE) % len(DASHES)], 1.4)
        for place, name in enumerate(names[:-1])
    }
    return found | {names[-1]: Stroke(INK, (), 2.2)}


def draw_roc(scored: Scored) -> str:
    """ROC curves: the share of fakes that are found against the share of reals that are called fake."""
    with _style("roc"):
        figure, axes = _square("reals called fake (%)", "fakes found (%)")
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, alpha=0.5)
        for name, stroke in strokes(list(scored)).items():
            _curve(axes, *roc(*scored[name]), stroke)
        return _svg(figure, "ROC curves")


def draw_precision_recall(scored: Scored) -> str:
    """PR curves: the share of fakes among what is called fake against the share of fakes that are found."""
    with _style("pr"):
        figure, axes = _square("fakes found (%)", "fakes among what is called fake (%)")
        for name, stroke in strokes(list(scored)).items():
            _curve(axes, *precision_recall(*scored[name]), stroke)
        return _svg(figure, "Precision-recall curves")


def draw_det(scored: Scored) -> str:
    """DET curves: both error rates, on axes of normal deviates, from 0.1 to 80 %."""
    with _style("det"):
        figure, axes = _square("reals called fake (%)", "fakes missed (%)")
        low, high = _probit([DET_TICKS[0], DET_TICKS[-1]])
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, alpha=0.5)
        for name, stroke in strokes(list(scored)).items():
            false_positive, true_positive = roc(*scored[name])
            x, y = ((_probit(rate) - low) / (high - low) for rate in (false_positive, 1 - true_positive))
            _curve(axes, x, y, stroke)
        places, words = (_probit(DET_TICKS) - low) / (high - low), [f"{100 * tick:g}" for tick in DET_TICKS]
        axes.set_xticks(places, words)
        axes.set_yticks(places, words)
        return _svg(figure, "DET curves")


def draw_reliability(labels: ArrayLike, probabilities: ArrayLike) -> str:
    """The reliability diagram: the share of fakes against the mean score, in the bins of the ECE; below, their counts.

    Args:
        labels: (N,) 0 real, 1 fake.
        probabilities: (N,) in [0, 1].
    """
    found = reliability(labels, probabilities)
    middle = (calibration_bin(found.probability) + 0.5) / CALIBRATION_BINS
    with _style("reliability"):
        figure = Figure(figsize=(4, 4.4), layout="constrained")
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=INK, linewidth=0.8, alpha=0.5)
        upper.plot(found.probability, found.share, color=PALETTE[0], marker="o", markersize=4)
        upper.set(ylabel="fakes in the bin (%)", xlim=(0, 1), ylim=(-0.02, 1.02))
        _percent_ticks(upper.yaxis)
        lower.bar(middle, found.count, 0.92 / CALIBRATION_BINS, color=PALETTE[0], alpha=0.7)
        lower.set(xlabel="score (%)", ylabel="frames")
        _percent_ticks(lower.xaxis)
        return _svg(figure, "Reliability diagram")


def draw_robustness(kind: str, auc: Sequence[Mapping[str, float]], floor: float) -> str:
    """AUC against the strength of a disturbance, 0 to 5, with the band of its 95 % intervals.

    Args:
        kind: Name of the disturbance; tells one figure's parts from another's.
        auc: By strength from 0: `value`, `low_95`, `high_95`.
        floor: Where the axis of the AUC begins, the same for figures that are to be compared.
    """
    value, low, high = (np.array([point[part] for point in auc]) for part in ("value", "low_95", "high_95"))
    strengths = np.arange(len(auc))
    with _style(f"robustness {printable(kind)}"):
        figure = Figure(figsize=(3.2, 2.4), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0.5, color=INK, linewidth=0.8, alpha=0.5)
        axes.fill_between(strengths, low, high, color=PALETTE[0], alpha=0.2, linewidth=0)
        axes.plot(strengths, value, color=PALETTE[0], marker="o", markersize=4)
        axes.set(xlabel="strength", ylabel="AUC (%)", xlim=(-0.15, len(auc) - 0.85), ylim=(floor, 1.01))
        tenths = range(math.ceil(floor * 10), 11)
        axes.set_yticks([tenth / 10 for tenth in tenths], [str(10 * tenth) for tenth in tenths])
        return _svg(figure, f"AUC against strength: {kind}")


def _style(salt: str) -> AbstractContextManager[None]:
    """Matplotlib's own defaults and ours, whatever the user's are; the salt makes the same figure the same bytes."""
    return style.context(["default", _SETTINGS | {"svg.hashsalt": salt}])


def _square(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4, 3.9), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    _percent_ticks(axes.xaxis)
    _percent_ticks(axes.yaxis)
    return figure, axes


def _percent_ticks(axis: Axis) -> None:
    axis.set_ticks([0, 0.2, 0.4, 0.6, 0.8, 1], labels=["0", "20", "40", "60", "80", "100"])


def _curve(axes: Axes, x: Array, y: Array, stroke: Stroke) -> None:
    line = (0, stroke.dashes) if stroke.dashes else "solid"
    axes.plot(*_thin(x, y), color=stroke.colour, linestyle=line, linewidth=stroke.width)


def _thin(x: Array, y: Array) -> tuple[Array, Array]:
    """The points of a curve in the unit square where it enters a new cell of the drawing, and its last."""
    cells = np.rint(np.stack([x, y]) * STEPS)
    keep = np.r_[True, np.any(np.diff(cells), axis=0)]
    keep[-1] = True
    return x[keep], y[keep]


def _probit(shares: ArrayLike) -> Array:
    """Normal deviates of shares, which are kept away from 0 and 1, where they have none."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse(share) for share in np.clip(np.asarray(shares, np.float64), 1e-4, 1 - 1e-4).tolist()])


def _svg(figure: Figure, title: str) -> str:
    """The figure as an SVG element to stand in HTML: nothing loaded, no date, as small as it is sharp."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>\s*", "", svg, flags=re.DOTALL)  # In HTML it would hold for the whole page.
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)  # Of several figures in one page, the same ids.
    svg = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path.group()), svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(printable(title))}" ', 1)
