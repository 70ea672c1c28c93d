import threading
import time

import pytest

from facexray.detection.ahead import ahead
from facexray.errors import MediaError


def test_items_come_in_their_order():
    assert list(ahead(iter(range(1000)), lambda _: 1, room=10)) == list(range(1000))


def test_only_so_many_bytes_wait():
    made, most = [], []

    def make():
        for i in range(40):
            made.append(i)
            yield i

    for taken in ahead(make(), lambda _: 10, room=50):
        time.sleep(0.002)
        most.append(len(made) - taken)
    assert max(most) <= 5 + 2, "those that wait, the one in hand here, and the one in hand there"


def test_an_item_larger_than_the_room_waits_alone():
    assert list(ahead(iter([1, 2, 3]), lambda _: 100, room=10)) == [1, 2, 3]


def test_an_error_comes_after_the_items_before_it():
    def make():
        yield 1
        yield 2
        raise KeyError("three")

    seen = []
    with pytest.raises(KeyError, match="three"):
        seen.extend(ahead(make(), lambda _: 1))
    items = ahead(make(), lambda _: 1)
    assert [next(items), next(items)] == [1, 2]


def test_who_stops_early_closes_every_stage_behind():
    closed = []

    def make():
        try:
            yield from iter(int, 1)
        finally:
            closed.append("source")

    def double(items):
        try:
            for item in items:
                yield 2 * item
        finally:
            items.close()
            closed.append("stage")

    before = threading.active_count()
    stacked = ahead(double(ahead(make(), lambda _: 1, room=4)), lambda _: 1, room=4)
    next(stacked)
    stacked.close()
    assert closed == ["source", "stage"]
    assert threading.active_count() == before


def test_waiting_has_an_end():
    release = threading.Event()

    def make():
        yield 1
        release.wait(20)
        yield 2

    items = ahead(make(), lambda _: 1, limit_s=0.2)
    assert next(items) == 1
    threading.Timer(0.4, release.set).start()
    with pytest.raises(MediaError, match=r"gave up after waiting 0\.2 seconds"):
        next(items)


def test_work_on_an_item_does_not_count_as_waiting():
    items = ahead(iter(range(5)), lambda _: 1, limit_s=0.3)
    for _ in items:
        time.sleep(0.1)
