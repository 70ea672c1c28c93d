"""SIGTERM and Ctrl-C: the run finishes its iteration, saves, and stops."""

from __future__ import annotations

import signal
import threading
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

    if threading.current_thread() is not threading.main_thread():  # a server's, whose signals are its own
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) in (note, before[signal.SIGTERM]):
            for number, handler in before.items():
                signal.signal(number, handler)


def end_stopped(training: Training) -> None:
    """Say where the stopped run stands, and end as the signal asks: SIGTERM, where another process got it."""
    if training.log:
        training.log.say(f"stopped at iteration {training.progress.iteration}; go on with --resume auto")
    if training.stopped_by == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + (training.stopped_by or signal.SIGTERM))
