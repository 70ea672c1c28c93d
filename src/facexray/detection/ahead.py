"""Letting one stage work ahead of the next: a thread and a buffer that holds so many bytes and no more."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from threading import Condition, Thread
from typing import Generic, TypeVar

from facexray.errors import MediaError

ItemT = TypeVar("ItemT")

ROOM = 32 << 20
"""Bytes of items that wait between two stages; one item may be larger, and waits alone."""
FAREWELL_S = 2.0
"""How long a stage that is no longer wanted may take to notice."""


class _Buffer(Generic[ItemT]):
    """Between a thread that puts and a thread that takes. The item None ends it."""

    def __init__(self, room: int) -> None:
        self._items: deque[tuple[ItemT | None, int]] = deque()
        self._room = room
        self._changed = Condition()
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: ItemT | None, size: int) -> bool:
        """Add an item when there is room for it; False where nobody will take it."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._items or self._held() + size <= self._room)
            if not self._closed:
                self._items.append((item, size))
                self._changed.notify_all()
            return not self._closed

    def end(self, error: BaseException | None = None) -> None:
        """No more will come: because of an error, or because all is there."""
        with self._changed:
            self._error = error
            self._items.append((None, 0))
            self._changed.notify_all()

    def take(self, patience_s: float | None) -> ItemT | None:
        """The next item, or None at the end; an error of the other side is raised at its place.

        Raises:
            TimeoutError: Nothing came within the patience.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._items), patience_s):
                raise TimeoutError
            item, _ = self._items.popleft()
            self._changed.notify_all()
            if item is None and self._error is not None:
                raise self._error
            return item

    def close(self) -> None:
        """Nothing will be taken any more."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def _held(self) -> int:
        return sum(size for _, size in self._items)


def ahead(
    items: Iterator[ItemT], size_of: Callable[[ItemT], int], room: int = ROOM, limit_s: float | None = None
) -> Generator[ItemT, None, None]:
    """Yield items of an iterator that runs ahead in a thread of its own.

    What the iterator raises is raised here, after the items before it. Whoever stops early, by an error, by
    Ctrl-C or by closing this generator, closes the iterator, too; stages may be stacked, and end one after the other.

    Args:
        items: The stage that runs ahead.
        size_of: Bytes that an item holds.
        room: Bytes of items that may wait.
        limit_s: How long its items may be waited for, all in all.

    Raises:
        MediaError: The limit was reached. The thread may then hang in foreign code; it is left behind.
    """
    buffer: _Buffer[ItemT] = _Buffer(room)

    def work() -> None:
        try:
            try:
                for item in items:
                    if not buffer.put(item, size_of(item)):
                        break
            finally:
                close = getattr(items, "close", None)
                if close:
                    close()
        except BaseException as error:
            buffer.end(error)
        else:
            buffer.end()

    thread = Thread(target=work, name="facexray ahead", daemon=True)
    thread.start()
    waited = 0.0
    try:
        while True:
            began = time.monotonic()
            item = buffer.take(None if limit_s is None else max(0.0, limit_s - waited))
            waited += time.monotonic() - began
            if item is None:
                return
            yield item
    except TimeoutError as error:
        raise MediaError(f"gave up after waiting {limit_s:g} seconds for it; allow more with time_limit") from error
    finally:
        buffer.close()
        thread.join(FAREWELL_S)
