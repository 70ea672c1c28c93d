"""The cores that a process is granted: by its affinity, and by control groups of both versions."""

import math
import os

import pytest

from facexray import workers
from facexray.workers import cpu_quota, granted_cores


def machine(root, files):
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        pytest.param({}, math.inf, id="no Linux"),
        pytest.param({"proc/self/cgroup": "0::/\n"}, math.inf, id="no controller"),
        pytest.param({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"}, math.inf, id="v2 max"),
        pytest.param({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "150000 100000\n"}, 1.5, id="v2"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/pod/box\n",
                "sys/fs/cgroup/pod/cpu.max": "200000 100000\n",
                "sys/fs/cgroup/pod/box/cpu.max": "max 100000\n",
            },
            2.0,
            id="v2, of the group above",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/host/path\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"},
            0.5,
            id="v2, the host's path in a container",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/a\n3:cpuset:/\n0::/\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            3.0,
            id="v1",
        ),
    ],
)
def test_the_quota_of_control_groups(files, quota, tmp_path):
    assert cpu_quota(machine(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("allowed", "quota", "cores"), [(8, math.inf, 8), (8, 2.0, 2), (8, 1.5, 2), (8, 0.1, 1), (2, 6.0, 2)]
)
def test_the_lesser_of_affinity_and_quota(allowed, quota, cores, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(allowed)), raising=False)
    monkeypatch.setattr(workers, "cpu_quota", lambda: quota)
    assert granted_cores() == cores
