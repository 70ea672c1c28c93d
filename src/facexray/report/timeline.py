"""The timeline of a video as a drawing: each face's scores over time, and when it is judged fake."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

from facexray.detection.result import Result, Track
from facexray.detection.timeline import clock
from facexray.report.heatmap import COLOURS
from facexray.runtime.model import Thresholds

WIDTH, ROW, PLOT = 460, 92, 62
"""Width of the drawing, height of a track's row, and of the scores in it, in its own units."""
LEFT, RIGHT, TOP = 70, 8, 18
"""What stands beside and above the scores of a row."""
TRACKS_SHOWN = 6
"""Tracks that are drawn: the most suspicious."""
POINTS = 400
"""Points of a line, at most: of a longer one, the highest of each stretch."""
FONT = "font: 11px system-ui, sans-serif; fill: currentColor"


def timeline_svg(result: Result, thresholds: Thresholds) -> str:
    """An SVG element with a row per track: the scores as dots, their running median as a line, spans of fake shaded.

    It holds numbers and the words of this module only, nothing that a user wrote; it takes the text's colour.
    """
    tracks = sorted((track for track in result.tracks if track.score is not None), key=lambda t: t.score or 0)
    shown = sorted(tracks[-TRACKS_SHOWN:], key=lambda track: track.number)
    if not shown:
        return ""
    start = min(float(track.times_s[0]) for track in shown)
    end = max(max(float(track.times_s[-1]) for track in shown), start + 0.1)
    rows = "".join(_row(track, number * ROW, (start, end), thresholds) for number, track in enumerate(shown))
    height = len(shown) * ROW + 16
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img">'
        f"<title>Scores over time</title>{rows}{_axis(height - 4, start, end)}</svg>"
    )


def _row(track: Track, top: float, times: tuple[float, float], thresholds: Thresholds) -> str:
    base = top + TOP + PLOT
    colour = _hex(track.verdict)

    def x(time_s: float) -> float:
        return LEFT + (time_s - times[0]) / (times[1] - times[0]) * (WIDTH - LEFT - RIGHT)

    def y(score: float) -> float:
        return base - score * PLOT

    title = f"track {track.number}: {track.verdict}, {track.score or 0:.2f}"
    parts = [f'<text x="{LEFT}" y="{top + 13}" style="{FONT}">{title}</text>']
    for begin, end in track.spans:
        width = max(1.5, x(end) - x(begin))
        parts.append(
            f'<rect x="{x(begin):.1f}" y="{top + TOP}" width="{width:.1f}" height="{PLOT}" '
            f'fill="{_hex("fake")}" opacity="0.18"/>'
        )
    real, fake = thresholds.real_below, thresholds.fake_above
    levels = ((0.0, ""), (real, f"real < {real:.2f}"), (fake, f"fake > {fake:.2f}"), (1.0, ""))
    for level, name in levels:
        dash = ' stroke-dasharray="3 3"' if name else ""
        parts.append(
            f'<path d="M{LEFT} {y(level):.1f}H{WIDTH - RIGHT}" stroke="currentColor" opacity="0.35" stroke-width="0.7"'
            f"{dash}/>"
        )
        parts.append(
            f'<text x="{LEFT - 4}" y="{y(level) + 4:.1f}" text-anchor="end" style="{FONT}">{escape(name)}</text>'
        )
    for time, score in _thin(track, track.scores):
        parts.append(f'<circle cx="{x(time):.1f}" cy="{y(score):.1f}" r="1.4" fill="currentColor" opacity="0.45"/>')
    points = _thin(track, track.smooth)
    steps = "".join(f"{'L' if i else 'M'}{x(time):.1f} {y(score):.1f}" for i, (time, score) in enumerate(points))
    parts.append(f'<path d="{steps}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>')
    return "".join(parts)


def _axis(y: float, start: float, end: float) -> str:
    marks = [
        (LEFT, "start", start),
        ((LEFT + WIDTH - RIGHT) / 2, "middle", (start + end) / 2),
        (WIDTH - RIGHT, "end", end),
    ]
    return "".join(f'<text x="{x}" y="{y}" text-anchor="{a}" style="{FONT}">{clock(t)}</text>' for x, a, t in marks)


def _thin(track: Track, values: NDArray[np.float32]) -> list[tuple[float, float]]:
    """(time, value) of at most `POINTS` points, those without a value left out."""
    judged = np.flatnonzero(~np.isnan(values))
    if len(judged) > POINTS:
        judged = np.array([part[values[part].argmax()] for part in np.array_split(judged, POINTS)])
    return [(float(track.times_s[i]), float(values[i])) for i in judged]


def _hex(verdict: str) -> str:
    return "#" + "".join(f"{value:02x}" for value in COLOURS[verdict])
