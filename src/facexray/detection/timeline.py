"""What a face's scores through a video amount to: a score, a verdict, and when.

The scores are smoothed by a running median over `WINDOW_S` seconds, or three looks where these are rare; a track's
score is the highest value of that curve. A mean over the whole track would wash out a forgery of a part of it; the
highest single score would be that of one bad frame. The median wants most of the window: what stands for less than half
of it does not move the curve, what stands for more of it appears with its own length, since a median keeps edges where
they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facexray.detection.verdict import Verdict, verdict_of_score
from facexray.runtime.model import Thresholds

WINDOW_S = 3.0
"""Length of the running median's window."""
WINDOW_LOOKS = 3
"""Its length in distances between two looks, where these are rare."""
MIN_LOOKS = 3
"""Judged frames under which no window gives a score, however rare looks are, in a video that has as many."""
DISAGREE = 0.25
"""Share of the frames, where the curve is the highest and says fake, that say real: from it on, nothing is told."""
SPANS_TOLD = 3
"""Spans of time that a reason names."""


def window_of(step_s: float) -> float:
    """Length in seconds of the running median's window, where looks are so many seconds apart."""
    return max(WINDOW_S, WINDOW_LOOKS * step_s)


def needed_of(step_s: float, looks: int) -> int:
    """Judged frames that a window needs: half of what it holds, so that no few of them speak for all of it.

    Args:
        step_s: Seconds between two looks.
        looks: Of the whole video, which may be shorter than that.
    """
    half = int(window_of(step_s) / 2 / step_s) if step_s else 0
    return min(max(MIN_LOOKS, half), looks)


def smooth_scores(
    times_s: NDArray[np.float64], scores: NDArray[np.float32], needed: int, window_s: float = WINDOW_S
) -> NDArray[np.float32]:
    """The running median (N,) of scores (N,) at rising times (N,).

    A value is NaN where the score is, or where the window around it holds fewer than `needed` scores.
    """
    smooth = np.full(len(scores), np.nan, np.float32)
    judged = np.flatnonzero(~np.isnan(scores))
    at, values = times_s[judged], scores[judged]
    starts = np.searchsorted(at, at - window_s / 2, side="left")
    ends = np.searchsorted(at, at + window_s / 2, side="right")
    for i, start, end in zip(judged, starts, ends, strict=True):
        if end - start >= needed:
            smooth[i] = np.median(values[start:end])
    return smooth


def spans_above(times_s: NDArray[np.float64], smooth: NDArray[np.float32], level: float) -> list[tuple[float, float]]:
    """From when to when a curve (N,) lies above a level; a NaN neither begins nor ends a span."""
    spans: list[tuple[float, float]] = []
    inside = False
    for time, value in zip(times_s.tolist(), smooth.tolist(), strict=True):
        if value != value:
            continue
        if value > level:
            spans[-1:] = [(spans[-1][0], time)] if inside else [*spans[-1:], (time, time)]
        inside = value > level
    return spans


def judge_track(
    times_s: NDArray[np.float64],
    scores: NDArray[np.float32],
    smooth: NDArray[np.float32],
    thresholds: Thresholds,
    why_not: Counter[str],
    window_s: float = WINDOW_S,
) -> tuple[Verdict, str, float | None]:
    """The verdict on a track, its reason and its score.

    Args:
        times_s: (N,) when the face was seen.
        scores: (N,) NaN where it was not judged.
        smooth: (N,) what `smooth_scores` makes of them.
        thresholds: Where a score becomes a verdict.
        why_not: How often the face was not judged, by reason.
        window_s: Length of the window that made `smooth`.
    """
    judged = int((~np.isnan(scores)).sum())
    if not judged:
        return "cannot tell", f"the face is {why_not.most_common(1)[0][0]}", None
    if np.isnan(smooth).all():
        return "cannot tell", f"the face could be judged in {judged} frame{'s' * (judged > 1)} only", None
    worst = int(np.nanargmax(smooth))
    score = float(smooth[worst])
    high = scores[(np.abs(times_s - times_s[worst]) <= window_s / 2) & (smooth > thresholds.fake_above)]
    disagree = float((high < thresholds.real_below).mean()) if len(high) else 0.0
    if disagree >= DISAGREE:
        low = f"{disagree:.0%} of them are below {thresholds.real_below:.2f}"
        return "cannot tell", f"frames disagree: where their median is {score:.2f}, {low}", score
    verdict, reason = verdict_of_score(score, thresholds)
    return verdict, reason, score


def clock(time_s: float) -> str:
    """A time as minutes, seconds and tenths: 00:04.2, 61:05.0."""
    tenths = max(0, round(10 * time_s))
    return f"{tenths // 600:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"


def tell_spans(spans: Sequence[tuple[float, float]]) -> str:
    """Spans of time as text: 00:04.2–00:07.8, 00:09.0–00:10.0 and 2 more."""
    told = ", ".join(f"{clock(start)}–{clock(end)}" for start, end in spans[:SPANS_TOLD])
    return told + (f" and {len(spans) - SPANS_TOLD} more" if len(spans) > SPANS_TOLD else "")
