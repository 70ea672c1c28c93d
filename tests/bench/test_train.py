"""`bench train` as a command: its options, its line of JSON, its table; what it measures is tested in training."""

import json
import sys

import pytest

from facexray.bench.train import bench_train
from facexray.cli import main
from facexray.errors import SettingsError

ROW = {
    "batch_size": 4,
    "renderer": "numpy",
    "workers": 1,
    "precision": "bf16-mixed",
    "images_per_s": 21.5,
    "data_wait_share": 0.0123,
    "baseline_images_per_s": 6.1,
    "ratio_to_eager_fp32": 3.52,
}


@pytest.fixture
def measured(monkeypatch):
    """What was measured, without measuring: stores' people, backbone and batch size of each call."""
    from facexray.training import speed

    calls = []

    def measure(store, network, batch_size):
        calls.append((set(store.people), network.backbone, batch_size))
        return [ROW, {**ROW, "batch_size": 8, "images_per_s": 33.25}]

    monkeypatch.setattr(speed, "measure", measure)
    return calls


def test_prints_one_line_of_json(store, measured, capsys):
    line = ["bench", "train", "--store", str(store.path), "--backbone", "hrnet_w32", "--batch-size", "4", "--json"]
    assert main(line) == 0
    (printed,) = capsys.readouterr().out.splitlines()
    figures = json.loads(printed)
    assert measured == [(set(store.people), "hrnet_w32", 4)]
    assert {name: figures[name] for name in ROW} == ROW
    assert [row["images_per_s"] for row in figures["rows"]] == [21.5, 33.25]
    assert figures["threads"] >= 1
    assert figures["device"]
    assert figures["made_by"] == "facexray bench train"
    assert figures["settings"] == {"store": str(store.path), "backbone": "hrnet_w32", "batch_size": 4}


def test_shows_a_row_each_and_takes_the_packaged_portraits(measured, capsys):
    bench_train()
    ((people, backbone, batch_size),) = measured
    assert (len(people), backbone, batch_size) == (2, "hrnet_w18_small", None)
    shown = capsys.readouterr().out
    for word in ("hrnet_w18_small", "bf16-mixed", "21.5", "33.2", "1.2%", "6.1", "3.5"):
        assert word in shown


@pytest.mark.parametrize("size", [-2, 0, 3])
def test_a_batch_is_of_pairs(size):
    with pytest.raises(SettingsError, match=f"batch_size must be even and at least 2, got {size}"):
        bench_train(batch_size=size)


def test_without_torch_it_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "facexray.training.speed", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["bench", "train"]) == 1
    assert capsys.readouterr().err == "facexray bench train: bench train needs torch: pip install 'facexray[train]'\n"
