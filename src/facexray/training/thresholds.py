"""Where a score becomes a verdict: chosen on validation sets, and on more real photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from facexray.errors import StoreError
from facexray.faces.crop import cut_view
from facexray.faces.store import FaceStore
from facexray.runtime.model import XrayModel
from facexray.training.datasets import faces_sha256

Scores = NDArray[np.float32] | list[float]
FALSE_POSITIVE_RATE = 0.05
"""Share of validation reals above the threshold for fake."""
LEAST_REALS = round(1 / FALSE_POSITIVE_RATE)
"""Real photographs of which that share is one."""
FALSE_NEGATIVE_RATE = 0.1
"""Share of validation fakes below the threshold for real."""
AT_ONCE = 64
"""Real photographs that are held in memory, with their X-rays."""


def thresholds_by_validation(card: dict[str, Any]) -> dict[str, float]:
    """The thresholds of an export as its validation sets chose them, before more reals raised one."""
    reals = card.get("reals")
    return {**card["thresholds"], **({"fake_above": reals["fake_above_by_validation"]} if reals else {})}


def raised_by_reals(by_validation: dict[str, float], model: XrayModel, reals: Path | None) -> dict[str, Any]:
    """The thresholds of a card, and what it says of the photographs that raised one.

    Args:
        by_validation: The thresholds by the validation sets.
        model: What scores the photographs.
        reals: Face store of more real photographs, if any.

    Returns:
        `thresholds` and `reals`, the card's parts.

    Raises:
        StoreError: The store is missing, has too few faces for a share of 5 %, or given fakes.
    """
    if reals is None:
        return {"thresholds": by_validation, "reals": None}
    store = FaceStore(reals)
    store.check_real()
    if len(store) < LEAST_REALS:
        raise StoreError(
            f"{store.path}: {FALSE_POSITIVE_RATE:.0%} of its {len(store)} faces is less than one; "
            f"at least {LEAST_REALS} are needed"
        )
    parts = [range(len(store))[start : start + AT_ONCE] for start in range(0, len(store), AT_ONCE)]
    scores = np.concatenate([model.predict(np.stack([cut_view(store.crop(i)) for i in part])).scores for part in parts])
    fake_above = by_validation["fake_above"]
    facts = {
        "faces": len(store),
        "faces_sha256": faces_sha256(store, None),
        "fake_by_validation": round(float((scores > fake_above).mean()), 4),
        "fake_above_by_validation": fake_above,
    }
    return {"thresholds": {**by_validation, "fake_above": max(fake_above, _fake_above(scores))}, "reals": facts}


def thresholds_of(real: Scores, fake: Scores) -> dict[str, float]:
    """The thresholds by scores of N reals and M fakes."""
    fake_above = _fake_above(real)
    real_below = _fourth_place(np.floor, np.quantile(fake, FALSE_NEGATIVE_RATE, method="inverted_cdf"))
    return {"real_below": min(real_below, fake_above), "fake_above": fake_above}


def _fake_above(real: Scores) -> float:
    """The lowest threshold, in steps of 1/10,000, that no more than the share of the scores lies above."""
    return _fourth_place(np.ceil, np.quantile(real, 1 - FALSE_POSITIVE_RATE, method="inverted_cdf"))


def _fourth_place(rounding: np.ufunc, score: SupportsFloat) -> float:
    """A score in [0, 1] to four decimals, up or down: the shares beyond it must not grow."""
    return round(float(rounding(float(score) * 10_000)) / 10_000, 4)
