"""Kills, signals and processes: however a run gets to its end, it is the same end."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from facexray.provenance import plain
from facexray.training.checkpoint import load_checkpoint
from facexray.training.command import train

COMMAND = [str(Path(sys.executable).with_name("facexray")), "train"]  # several processes start it again by its name


@pytest.fixture(scope="module")
def start(tiny, tmp_path_factory):
    """Start `facexray train` with the settings of the tiny run, some changed; it logs every step."""

    def start(out, *words, limit_kib=None, **changes):
        settings = {key: plain(value) for key, value in {**tiny, **changes}.items()}
        config = tmp_path_factory.mktemp("config") / "tiny.yaml"
        config.write_text(yaml.safe_dump({**settings, "out": str(out)}), encoding="utf-8")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        limit = ["bash", "-c", f'ulimit -f {limit_kib}; exec "$@"', "bash"] if limit_kib else []
        return subprocess.Popen(
            [*limit, *COMMAND, "--config", str(config), *words], env=environment, stderr=subprocess.PIPE, text=True
        )

    return start


def ends(process, seconds=240):
    """The exit status of a process, and what it said."""
    said = process.communicate(timeout=seconds)[1]
    return process.returncode, said


def rows_of(path):
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def await_iteration(out, iteration, process):
    deadline = time.monotonic() + 240
    while len(rows_of(out / "log.csv")) < iteration:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_same_state(one, other):
    one, other = (load_checkpoint(run / "last.ckpt") for run in (one, other))
    assert one["progress"] == other["progress"]
    assert torch.equal(one["rng"], other["rng"])
    for name, weight in one["net"].items():
        assert torch.equal(other["net"][name], weight), name
    for name, weight in (one["average"] or {}).items():
        assert torch.equal(other["average"][name], weight), name
    for number, moments in one["optimizer"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(other["optimizer"]["state"][number][name], value), (number, name)


def test_a_killed_run_ends_with_the_same_weights_bit_for_bit(start, tiny, tiny_run, tmp_path):
    """SIGKILL between two checkpoints, then the same command again.

    With all that has a state: an average, a rest for the backbone that ends after the kill, a teacher, a worker.
    """
    optim = replace(tiny["optim"], ema=0.9, freeze_iterations=5, teacher=tiny_run)
    changes = {"optim": optim, "run": replace(tiny["run"], workers=1)}
    alone, out = tmp_path / "alone", tmp_path / "run"
    assert ends(start(alone, **changes))[0] == 0
    process = start(out, **changes)
    await_iteration(out, 4, process)
    process.kill()
    ends(process)
    assert load_checkpoint(out / "last.ckpt")["progress"]["iteration"] == 3, "killed too late"
    status, said = ends(start(out, "--resume", "auto", **changes))
    assert status == 0, said
    assert_same_state(alone, out)
    validations = [[{**row} for row in rows_of(run / "validation.csv")] for run in (alone, out)]
    assert validations[0] == validations[1]
    assert [row["iteration"] for row in rows_of(out / "log.csv")] == [str(i) for i in range(1, 7)]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_stops(number, status, start, tiny, tiny_run, tmp_path):
    out = tmp_path / "run"
    process = start(out)
    await_iteration(out, 1, process)
    process.send_signal(number)
    got, said = ends(process)
    reached = load_checkpoint(out / "last.ckpt")["progress"]["iteration"]
    if reached < 6:  # else it was too quick for the signal
        assert got == status, said
        assert f"stopped at iteration {reached}; go on with --resume auto" in said
    assert "Traceback" not in said
    assert ends(start(out, "--resume", "auto"))[0] == 0
    assert_same_state(tiny_run, out)
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["resumed_at"] == reached


def test_two_processes_learn_what_one_does(start, tiny, tiny_run, tmp_path):
    """The same losses and weights: batches are shared out, gradients averaged, BatchNorm's statistics are of both, and
    so are those of what a teacher shows.

    With the paper's class head, whose gradient rounding changes little; the maximum in the features head may go over
    to another place that is all but equal.
    """
    network = {
        "network": replace(tiny["network"], class_head="paper"),
        "optim": replace(tiny["optim"], teacher=tiny_run),
    }
    alone, both = tmp_path / "alone", tmp_path / "both"
    train(out=alone, **{**tiny, **network})
    status, said = ends(start(both, "--run.devices", "2", **network))
    assert status == 0, said
    assert said.count(f"written: {both}\n") == 1, "of several processes one speaks"
    logs = [rows_of(run / "log.csv") for run in (alone, both)]
    assert [row["iteration"] for row in logs[0]] == [row["iteration"] for row in logs[1]]
    one, two = (load_checkpoint(run / "last.ckpt")["net"] for run in (alone, both))
    apart = torch.cat([(two[name] - weight).abs().flatten().float() for name, weight in one.items()])
    # Adam's first steps are ± lr: where a gradient is 0 but for rounding, a weight may go either way.
    assert (apart > 1e-4).float().mean() < 1e-4
    assert apart.mean() < 1e-6
    for row, other in zip(*logs, strict=True):
        for loss in ("xray_excess", "class_loss"):
            assert float(other[loss]) == pytest.approx(float(row[loss]), rel=1e-4, abs=1e-5)


def test_nobody_but_facexray_speaks(start, tiny, tmp_path):
    """Lightning would say twice what precision the settings say."""
    status, said = ends(start(tmp_path / "run", run=replace(tiny["run"], precision="bf16-mixed")))
    assert status == 0
    assert "Automatic Mixed Precision" not in said


def test_a_full_disk_ends_every_process(start, tiny, tmp_path):
    """The first process alone writes; the others must not wait for it for ever, nor drown what it says."""
    out = tmp_path / "run"
    # The smallest disk there is: a limit on the size of a file, below that of a checkpoint.
    process = start(out, "--run.devices", "2", limit_kib=1000)
    status, said = ends(process)
    assert status == 1
    assert f"{out / 'last.ckpt'}: cannot be written" in said
    assert "go on with --resume auto" in said
    assert "Traceback" not in said
    assert not (out / "last.ckpt").exists()
