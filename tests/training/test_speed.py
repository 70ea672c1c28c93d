"""That the figures of speed are those of the steps, the waits and the baseline that they name."""

import logging
import time
from types import SimpleNamespace

import pytest
import torch

from facexray.blending.config import BlendConfig
from facexray.training import speed
from facexray.training.config import NetworkConfig
from facexray.training.datasets import BlendedPairs, collate
from facexray.training.speed import Trainee, measure

SMALL = NetworkConfig(backbone="mobilenetv2_035")


@pytest.fixture
def short(monkeypatch):
    for name in ("ROUNDS", "STEPS", "BASELINE_STEPS", "DRAINED"):
        monkeypatch.setattr(speed, name, 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


class Sleeper:
    """A trainee whose step takes as long as it is told."""

    precision = "32-true"

    def __init__(self, seconds_a_step):
        self._pause = seconds_a_step

    def step(self, batch):
        time.sleep(self._pause)

    def seconds(self, batch, steps):
        return self._pause


def test_lightning_does_not_repeat_the_precision(caplog, monkeypatch):
    told = logging.getLogger("lightning.fabric")
    monkeypatch.setattr(told, "level", logging.INFO)
    monkeypatch.setattr(told, "handlers", [caplog.handler])
    Trainee(SMALL, "bf16-mixed", torch.channels_last)
    assert not caplog.records


def late(seconds):
    while True:
        time.sleep(seconds)
        yield SimpleNamespace(batch=None)


def test_waiting_counts_and_the_baselines_does_not(short):
    figures = speed._in_turns(Sleeper(0.1), Sleeper(0.8), late(0.3), size=8)
    assert figures["data_wait_share"] == pytest.approx(0.75, abs=0.05)
    assert figures["images_per_s"] == pytest.approx(20, rel=0.1)
    assert figures["baseline_images_per_s"] == pytest.approx(10, rel=0.01)
    assert figures["ratio_to_eager_fp32"] == pytest.approx(2, rel=0.1)


def test_what_was_made_in_the_baselines_turn_does_not_hide_the_wait(short, monkeypatch):
    """A worker has three batches ready when a round begins, and then makes one while two are wanted."""
    monkeypatch.setattr(speed, "DRAINED", 3)

    def ready():
        while True:
            for number in range(4):
                time.sleep(0.2 if number == 3 else 0)
                yield SimpleNamespace(batch=None)

    assert speed._in_turns(Sleeper(0.2), Sleeper(0.2), ready(), size=2)["data_wait_share"] > 0.4


@pytest.mark.slow
def test_it_measures_real_steps(store, short):
    (row,) = measure(store, SMALL, 2)
    assert (row["batch_size"], row["renderer"], row["workers"]) == (2, "numpy", 1)
    assert row["precision"] in ("bf16-mixed", "32-true")
    assert 0 <= row["data_wait_share"] <= 1
    assert row["ratio_to_eager_fp32"] == pytest.approx(row["images_per_s"] / row["baseline_images_per_s"], rel=0.05)


@pytest.mark.parametrize(
    ("precision", "layout"), [("32-true", torch.contiguous_format), ("bf16-mixed", torch.channels_last)]
)
def test_its_steps_learn(store, short, precision, layout):
    batch = collate([BlendedPairs(BlendConfig(), store, None, seed=0)[0]]).batch
    trainee = Trainee(SMALL, precision, layout)
    losses = [trainee.step(batch) for _ in range(6)]
    assert losses[-1] < losses[0]
    weights = [weight for weight in trainee.model.parameters() if weight.dim() == 4 and weight.shape[1] > 1]
    assert all(weight.is_contiguous(memory_format=layout) for weight in weights)
