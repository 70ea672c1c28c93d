"""SIGTERM and Ctrl-C: the run finishes its iteration, saves, and stops."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from facexray.training.state import Training


@contextmanager
def signals_noted(training: Training) -> Iterator[None]:
    """Within, the first SIGINT or SIGTERM asks the run to stop; a second one acts as ever."""

    def note(number: int, _: Any) -> None:
        training.stopped_by = number
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, note)
    except ValueError:  # not in the main thread: a notebook's or a server's, whose signals are its own
        pass
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) in (note, before[signal.SIGTERM]):
            for number, handler in before.items():
                signal.signal(number, handler)


def end_stopped(training: Training) -> None:
    """Say where the stopped run stands, and end as the signal asks."""
    if training.log:
        training.log.say(f"stopped at iteration {training.progress.iteration}; go on with --resume auto")
    if training.stopped_by == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + training.stopped_by)
