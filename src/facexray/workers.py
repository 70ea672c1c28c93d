"""How a process that makes samples should use its machine: one thread, and memory kept from image to image."""

from __future__ import annotations

import ctypes
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
from threadpoolctl import threadpool_limits

_KEEP = {
    -3: 1 << 25,  # M_MMAP_THRESHOLD: blocks of up to 32 MB come from the heap
    -1: 1 << 28,  # M_TRIM_THRESHOLD: the heap gives back only what exceeds 256 MB
    -2: 1 << 24,  # M_TOP_PAD: it grows by 16 MB at a time
}


def start_worker() -> None:
    """Make this process a worker: one thread, Ctrl-C left to the process that owns it, images' memory kept."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    threadpool_limits(1, user_api="blas")
    keep_memory()


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, this process works as a worker does: images are too small to be worth more than one thread."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    keep_memory()
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        cv2.setNumThreads(before)


def keep_memory() -> None:
    """Let glibc keep freed memory for the next image.

    By default it hands every freed image back to the system, and each new one is then paid for page by page:
    half of the time of blending. Elsewhere than on glibc, nothing is done.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for parameter, value in _KEEP.items():
            libc.mallopt(parameter, value)
