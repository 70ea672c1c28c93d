"""Validate: a line for each step with a tick or its error, an exit status, and nothing left behind."""

import contextlib
import io
import math
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from facexray.cli import main
from facexray.errors import ModelError
from facexray.training import check, loop
from facexray.training.command import validate
from facexray.training.config import NetworkConfig, OptimConfig, RunConfig
from facexray.training.state import Settings

STEPS = ["settings", "stores", "samples", "network", "folder", "training", "checkpoint", "export", "disk"]


def tried(settings):
    """Whether it passed, and what each step said."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        passed = validate(**settings)
    return passed, dict(re.findall(r"^([✓✗] [a-z ]+): (.+)$", out.getvalue(), re.MULTILINE))


@pytest.fixture
def small(tiny, tmp_path):
    """Settings as a run of days might have them, of a network that trains in moments."""
    return {
        **tiny,
        "network": NetworkConfig(backbone="test_resnet", class_head="paper"),
        "optim": OptimConfig(iterations=9000, batch_size=4, freeze_iterations=100, ema=0.9),
        "run": RunConfig(accelerator="cpu", workers=0, validate_every=1000),
        "out": tmp_path / "runs" / "new",
    }


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_good_training_passes_every_step_and_leaves_nothing(small, tmp_path):
    passed, lines = tried(small)
    assert passed
    assert list(lines) == [f"✓ {step}" for step in [*STEPS, "the whole run"]]
    assert "9000 iterations of 4 images" in lines["✓ settings"]
    assert "6 faces to learn from and 4 to validate on, of 4 people; with so few" in lines["✓ stores"]
    assert "test_resnet" in lines["✓ network"]
    assert float(re.search(r"([\d.]+) images/s", lines["✓ training"])[1]) > 0
    assert re.search(r"about \d+:\d\d:\d\d at \d+ images/s", lines["✓ the whole run"])
    assert not list(tmp_path.iterdir())


def test_stores_and_network_are_both_told_where_both_are_wrong(small, tmp_path):
    passed, lines = tried({**small, "store": tmp_path / "none", "network": NetworkConfig(backbone="hrnet_w99")})
    assert not passed
    assert list(lines) == ["✓ settings", "✗ stores", "✗ network"]
    assert "facexray prepare" in lines["✗ stores"]
    assert "hrnet_w99" in lines["✗ network"]


def test_too_few_people_are_told(small):
    passed, lines = tried({**small, "val_store": None})
    assert not passed
    assert "2 people; training needs at least 4" in lines["✗ stores"]


def test_people_of_both_stores_are_told(small):
    passed, lines = tried({**small, "val_store": small["store"]})
    assert not passed
    assert "name a store of other people" in lines["✗ stores"]


def test_a_folder_that_holds_a_run_is_told_unless_it_goes_on(small, monkeypatch):
    monkeypatch.setattr(check, "_train", lambda *_: (_ for _ in ()).throw(ModelError("that far")))
    small["out"].mkdir(parents=True)
    (small["out"] / "run.json").touch()
    assert "holds a run already" in tried(small)[1]["✗ stores"]
    assert tried({**small, "resume": "auto"})[1]["✗ training"] == "that far"


def test_a_batch_that_does_not_divide_among_the_devices_is_told(small):
    passed, lines = tried({**small, "run": replace(small["run"], devices=3)})
    assert not passed
    assert "batch_size 4 must divide into pairs for 3 processes" in lines["✗ settings"]


def test_a_loss_that_is_no_number_is_told_and_leaves_nothing(small, monkeypatch, tmp_path):
    monkeypatch.setattr(loop, "validate", lambda *_: {"auc_degraded": math.nan, "auc_clean": 0.5})
    passed, lines = tried(small)
    assert not passed
    assert list(lines)[-1] == "✗ training"
    assert "no finite auc_degraded;" in lines["✗ training"]
    assert not list(tmp_path.iterdir())


def test_one_process_of_several_tries_its_part(small):
    optim, run = replace(small["optim"], batch_size=16), replace(small["run"], devices=2, nodes=2)
    part = check._in_small(Settings(optim=optim, run=run))
    assert (part.optim.batch_size, part.run.devices, part.run.nodes) == (4, 1, 1)
    assert part.optim.freeze_iterations == 1


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    """Two of each file while one is replaced, and 3 pictures."""
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "000005.png").write_bytes(bytes(10**6))
    settings = Settings(optim=OptimConfig(iterations=2001), run=RunConfig(validate_every=1000))
    for free, enough in ((203 * 10**6, True), (203 * 10**6 - 1, False)):
        monkeypatch.setattr(check.shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        with contextlib.nullcontext() if enough else pytest.raises(check.SettingsError, match=r"needs 0\.20 GB"):
            check._check_disk(tmp_path, 10**8, settings)


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        # 1000 steps of 0.5 s, 2 validations of 4 s for 8 pairs that are 80 in the run
        (0, "about 0:09:40 at 32 images/s"),
        (4, "about 0:09:40 at 32 images/s"),
        # 16 images of 0.1 s from one worker: 1.6 s a step
        (1, "about 0:28:00 at 10 images/s; the workers are what it waits for"),
    ],
)
def test_the_estimate_knows_what_a_step_waits_for(workers, expected):
    run = RunConfig(workers=workers, validate_every=500, validation_pairs=80)
    settings = Settings(optim=OptimConfig(iterations=1000, batch_size=16), run=run)
    trial = check._Trial(training=None, step_s=0.5, validation_s=4.0)
    assert check._estimate(trial, 0.1, settings)[1] == expected


def test_the_command_takes_the_file_and_the_store_by_place(small, tmp_path, capsys):
    (tmp_path / "run.yaml").write_text("network:\n  backbone: hrnet_w99\noptim:\n  iterations: 7\nout: elsewhere\n")
    words = ["validate", str(tmp_path / "run.yaml"), str(small["store"]), "--val-store", str(small["val_store"])]
    assert main([*words, "--optim.batch_size", "6"]) == 1
    out = capsys.readouterr().out
    assert "✓ settings: 7 iterations of 6 images" in out
    assert "✓ stores: 6 faces" in out
    assert re.search("✗ network: .*hrnet_w99", out)


def test_the_exit_status_is_0_where_all_passed(small, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "check_training", lambda *_: True)
    (tmp_path / "run.yaml").write_text("seed: 3\n")
    assert main(["validate", str(tmp_path / "run.yaml"), str(small["store"])]) == 0


def test_every_wrong_setting_of_the_file_is_told_at_once(tmp_path, capsys):
    (tmp_path / "run.yaml").write_text(
        "seed: many\nnonsense: 1\nblending:\n  flip_prob: 3\n  colours: [lab]\n"
        "network:\n  class_head: foot\noptim:\n  lr: -1\n  batch_size: 3\nrun:\n  workers: -1\n"
    )
    assert main(["validate", str(tmp_path / "run.yaml"), "store"]) == 1
    head, *faults = capsys.readouterr().err.splitlines()
    assert head.endswith("run.yaml: 7 to put right")
    patterns = [
        "seed.*int.*many",
        "nonsense",
        "colours",
        "flip_prob.*3",
        "class_head.*foot",
        "lr.*-1.*batch_size.*3",
        "workers",
    ]
    assert len(faults) == len(patterns)
    for fault, pattern in zip(faults, patterns, strict=True):
        assert re.match(rf"  ✗ .*{pattern}", fault)


@pytest.mark.parametrize("text", [None, "a: [", "- 3"])
def test_a_file_that_is_no_settings_is_told(text, tmp_path, capsys):
    if text:
        (tmp_path / "run.yaml").write_text(text)
    assert main(["validate", str(tmp_path / "run.yaml"), "store"]) == 2
    assert "config" in capsys.readouterr().err
