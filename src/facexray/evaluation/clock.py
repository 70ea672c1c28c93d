"""Where the time goes: decoding, faces, network."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


class Clock:
    """Adds up seconds by what they were spent on, and counts frames."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.frames = 0
        self._start = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds since the clock was made."""
        return time.perf_counter() - self._start

    @contextmanager
    def measure(self, what: str) -> Iterator[None]:
        """Add what happens within."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - start

    def each(self, what: str, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items, adding what it takes to make them."""
        iterator = iter(items)
        while True:
            with self.measure(what):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def speed(self) -> dict[str, float]:
        """Frames per second, from end to end and of each part alone."""
        parts = {f"{what}_frames_per_s": self.frames / spent for what, spent in self.seconds.items() if spent}
        return {name: round(value, 2) for name, value in {"frames_per_s": self.frames / self.elapsed, **parts}.items()}
