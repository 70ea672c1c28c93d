import operator
import os
import signal
import subprocess
import sys
import time

import cv2
import pytest

from facexray.blending.parallel import in_order
from facexray.errors import BlendError


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_tasks(workers):
    tasks = range(5, 250)
    assert list(in_order(operator.neg, tasks, workers)) == [-task for task in tasks]


def test_nothing_to_do_starts_nothing():
    assert list(in_order(operator.neg, [], 4)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_come_through(workers):
    with pytest.raises(TypeError):
        list(in_order(len, range(30), workers))


def test_this_process_computes_on_one_core_and_is_left_as_it_was():
    before = cv2.getNumThreads()
    assert next(in_order(lambda _: cv2.getNumThreads(), [0], 1)) == 1
    assert cv2.getNumThreads() == before


def test_a_worker_that_is_killed_is_told():
    """As the system does to one that takes too much memory; the owner must not wait for it for ever."""
    with pytest.raises(BlendError, match="fewer --workers"):
        list(in_order(os._exit, range(1, 30), 2))


OWNER = """
import os, sys, time
from facexray.blending.parallel import in_order

def pid(task):
    return os.getpid()

if __name__ == "__main__":
    results = in_order(pid, range(64), 2)
    print(*{next(results) for _ in range(32)}, flush=True)
    time.sleep(60)
"""


def test_workers_end_with_an_owner_that_is_killed(tmp_path):
    (tmp_path / "owner.py").write_text(OWNER)
    with subprocess.Popen([sys.executable, tmp_path / "owner.py"], stdout=subprocess.PIPE, text=True) as owner:
        workers = [int(word) for word in owner.stdout.readline().split()]
        owner.send_signal(signal.SIGKILL)
    assert workers
    deadline = time.monotonic() + 10
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
