"""One writer at a time: a file's lock, which the system lets go of even when the process is killed."""

from __future__ import annotations

from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def hold(file: IO[bytes]) -> bool:
    """Lock an open file as long as it is open.

    Returns:
        False where another process holds it. True, too, where there are no locks: on Windows, and on file systems
        that have none, such as some of clusters.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True
