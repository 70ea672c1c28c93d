"""Work in several processes; the results come in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from threading import Thread
from typing import Any, TypeVar

from facexray.errors import BlendError
from facexray.workers import one_thread, start_worker

WINDOW = 3
"""Tasks per worker under way at once, so that memory does not grow with their number."""

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


def in_order(work: Callable[[TaskT], ResultT], tasks: Sequence[TaskT], workers: int) -> Generator[ResultT]:
    """The result of `work` for every task, in their order; each process computes on one core.

    Args:
        work: Picklable: it is sent to every worker once.
        tasks: What it is called with.
        workers: Processes; with 1, or for a single task, it runs in this one.

    Raises:
        BlendError: A worker was killed, for example for want of memory.
    """
    if workers == 1 or len(tasks) <= 1:
        with one_thread():
            yield from map(work, tasks)
        return
    context = multiprocessing.get_context("spawn")  # forking a process that runs threads may hang
    executor = ProcessPoolExecutor(workers, context, _start, (work,))
    waiting: deque[Future[ResultT]] = deque()
    try:
        for task in tasks:
            with _without_interrupts():
                waiting.append(executor.submit(_work_on, task))
            if len(waiting) == WINDOW * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise BlendError(
            "a worker process ended; if it ran out of memory, use fewer --workers; in a script of your own, "
            "call from within: if __name__ == '__main__'"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes that start within never see Ctrl-C, not even before they can say that it is not for them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_work: Callable[[Any], Any]
"""What this worker process does."""


def _start(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    start_worker()
    Thread(target=_end_with_owner, daemon=True).start()


def _end_with_owner() -> None:
    """A worker whose owner was killed would wait for work for ever."""
    if owner := multiprocessing.parent_process():
        owner.join()
        os._exit(1)


def _work_on(task: Any) -> Any:
    return _work(task)
