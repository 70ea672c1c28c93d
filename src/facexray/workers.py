"""How a process should use its machine: the cores that it is granted, and memory kept from image to image."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def granted_cores() -> int:
    """The cores that this process may keep busy: those it may run on, or fewer where a container's quota is less.

    A machine's 64 cores are none of ours where a container grants two: threads above that only wait for each other.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, cpu_quota())))


def cpu_quota(root: Path = Path("/")) -> float:
    """CPU seconds a second that Linux's control groups grant this process, version 1 or 2; infinite where none do.

    Args:
        root: Of the file system.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return math.inf
    quotas = [math.inf]
    for _, controllers, path in (line.split(":", 2) for line in groups if line.count(":") >= 2):
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        own = mount / path.lstrip("/")
        # None has more than the groups above it; in a container the path may be the host's, and only the mount there.
        for folder in (own, *(above for above in own.parents if above.is_relative_to(mount))):
            quotas.append(_quota_v1(folder) if controllers else _quota_v2(folder))
    return min(quotas)


def _quota_v2(group: Path) -> float:
    match _words(group / "cpu.max"):
        case [quota, period] if quota != "max":
            return float(quota) / float(period)
    return math.inf


def _quota_v1(group: Path) -> float:
    quota, period = (" ".join(_words(group / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
    return float(quota) / float(period) if period and quota not in ("", "-1") else math.inf


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
