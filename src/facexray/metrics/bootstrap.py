"""Resamples of videos, drawn once for all that is measured on them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from facexray.metrics.ranking import Values, Weights

RESAMPLES = 1000
BLOCK = 2**18
"""Numbers that a block of resamples takes at a time: few enough for a core's own cache."""


class Resampling:
    """The stratified bootstrap over groups: each resample draws, with replacement, as many of a stratum as it has.

    Frames of one video are no independent witnesses: a video is drawn with all its frames, or not at all. Strata keep
    the numbers of reals, and of each method's fakes, as they are. The resamples come from the seed and from the order
    in which strata and groups appear; whatever is measured on one `Resampling` is measured on the same draws.
    """

    def __init__(
        self, strata: Sequence[Hashable], groups: Sequence[Hashable] | None = None, resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> None:  # fmt: skip
        """Name the groups.

        Args:
            strata: (N,) what each frame is drawn among: its label, or its method.
            groups: (N,) what is drawn as one: a frame's video. None where each stands alone. A group that lies in two
                strata, such as a face and its blended twin, is drawn in each for itself.
            resamples: How often to draw.
            seed: Of the draws.
        """
        self.resamples, self._seed = resamples, seed
        numbers: dict[Hashable, dict[Hashable, int]] = {}
        within = np.empty(len(strata), np.int64)
        for index, stratum in enumerate(strata):
            members = numbers.setdefault(stratum, {})
            within[index] = members.setdefault(index if groups is None else groups[index], len(members))
        ends = np.cumsum([len(members) for members in numbers.values()]).tolist()
        self.strata = {name: slice(end - len(numbers[name]), end) for name, end in zip(numbers, ends, strict=True)}
        """Which columns of the weights are a stratum's."""
        self.units: NDArray[np.int64] = within + [self.strata[stratum].start for stratum in strata]
        """(N,) which column of the weights each frame goes by."""
        self.count: int = ends[-1]
        """How many columns there are: a group has one in each stratum it lies in."""

    def blocks(self) -> Iterator[Weights]:
        """Yield all resamples, some at a time: (R, units) how often each unit was drawn."""
        rows = max(1, BLOCK // len(self.units))
        generators = [np.random.default_rng([self._seed, number]) for number in range(len(self.strata))]
        sizes = [columns.stop - columns.start for columns in self.strata.values()]
        for start in range(0, self.resamples, rows):
            block = min(rows, self.resamples - start)
            parts = [_draw(rng, size, block) for rng, size in zip(generators, sizes, strict=True)]
            yield np.concatenate(parts, axis=1)

    def sums(self, terms: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, C) terms of frames → (units, C) their sums in each unit."""
        columns = [np.bincount(self.units, column, self.count) for column in terms.T]
        return np.stack(columns, axis=1)


def _draw(rng: np.random.Generator, size: int, rows: int) -> Weights:
    """(rows, size) how often each of `size` was drawn in `size` draws."""
    drawn = rng.integers(size, size=(rows, size), dtype=np.uint32) + size * np.arange(rows, dtype=np.uint32)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(np.int32)


def interval(values: Values) -> tuple[float, float]:
    """The 95 % percentile interval of a number's resamples (R,)."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
