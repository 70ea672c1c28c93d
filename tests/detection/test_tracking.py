import numpy as np
import pytest

from facexray.detection.tracking import Tracker


def box(x, y=100.0, size=100.0):
    return np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2], np.float32)


def test_a_face_keeps_its_number_and_new_ones_get_new_numbers():
    tracker = Tracker()
    assert tracker.update([box(100), box(500)], 0.0) == [1, 2]
    assert tracker.update([box(505), box(104)], 0.2) == [2, 1]
    assert tracker.update([box(104), box(300), box(505)], 0.4) == [1, 3, 2]
    assert tracker.update([], 0.6) == []


@pytest.mark.parametrize(("gap", "number"), [(0.4, 1), (0.9, 1), (1.3, 2)])
def test_a_track_survives_a_short_gap_and_not_a_long_one(gap, number):
    tracker = Tracker()
    for i in range(6):
        tracker.update([box(100 + 20 * i)], 0.2 * i)
    assert tracker.update([box(200 + 100 * gap)], 1.0 + gap) == [number]


@pytest.mark.parametrize("step", [1.001, 2.0, 30.0])
def test_where_looks_are_rare_a_track_goes_on_from_one_to_the_next(step):
    tracker = Tracker()
    assert [tracker.update([box(100 + i)], step * i) for i in range(6)] == [[1]] * 6
    assert tracker.update([box(106)], step * 7) == [1], "missed once"
    assert tracker.update([box(107)], step * 10) == [2], "missed twice"


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_two_who_cross_keep_apart(seed, hidden):
    """One walks to the right, one to the left, and one hides the other when they meet."""
    rng, tracker = np.random.default_rng(seed), Tracker()
    numbers = []
    for i in range(26):
        ways = [box(100 + 24 * i, 100), box(700 - 24 * i, 118)]
        seen = [way + rng.normal(0, 2, 4).astype(np.float32) for way in ways]
        meeting = abs(seen[0][0] - seen[1][0]) < 40
        order = [0] if hidden and meeting else [1, 0] if i % 2 else [0, 1]
        told = tracker.update([seen[k] for k in order], 0.2 * i)
        numbers.append(dict(zip(order, told, strict=True)))
    assert numbers[0] == {0: 1, 1: 2}
    assert numbers[-1] == {0: 1, 1: 2}


@pytest.mark.parametrize("size", [40, 400])
def test_a_face_may_move_half_its_width_between_two_looks(size):
    tracker = Tracker()
    told = [tracker.update([box(size * 0.5 * i, size=size)], 0.2 * i)[0] for i in range(10)]
    assert told == [1] * 10


def test_another_face_elsewhere_is_another_track():
    tracker = Tracker()
    tracker.update([box(100)], 0.0)
    assert tracker.update([box(400)], 0.2) == [2]


def test_uneven_times_do_not_matter():
    """200 px a second, seen when it pleases."""
    tracker = Tracker()
    times = np.cumsum([0.0, 0.04, 0.2, 0.6, 0.04, 0.8, 0.3, 0.9])
    assert [tracker.update([box(200 * t, size=150)], t)[0] for t in times] == [1] * len(times)


def test_it_knows_the_smallest_face_and_whether_one_is_lost():
    tracker = Tracker()
    assert (tracker.smallest_px(), tracker.lost()) == (None, False)
    tracker.update([box(100, size=80), box(500, size=200)], 0.0)
    assert tracker.smallest_px() == pytest.approx(80)
    tracker.update([box(500, size=200)], 0.2)
    assert tracker.lost()
