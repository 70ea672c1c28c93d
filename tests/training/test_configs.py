"""Every shipped YAML goes through the real parser; and the settings that training refuses."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentError, ArgumentParser

from facexray.errors import SettingsError
from facexray.provenance import plain
from facexray.training.command import train
from facexray.training.config import OptimConfig, RunConfig

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
EACH_CONFIG = pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)


@pytest.fixture
def parser(monkeypatch):
    """The options of `facexray train`; paths in commands are as seen from the project's root."""
    monkeypatch.chdir(ROOT)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_function_arguments(train)
    return parser


def command_of(config):
    """The command in the comment that the file opens with."""
    comment = re.match(r"(?:#.*\n)+", config.read_text(encoding="utf-8"))
    assert comment, f"{config.name} does not open with a comment"
    commands = [line for line in comment[0].splitlines() if "facexray train" in line]
    assert len(commands) == 1, f"{config.name}: its opening comment should hold one facexray train command"
    return shlex.split(commands[0].removeprefix("#"))


def test_there_are_configs():
    assert {"cpu.yaml", "further.yaml", "gpu.yaml", "hrnet.yaml", "paper.yaml", "sbi.yaml", "smoke.yaml"} == {
        config.name for config in CONFIGS
    }


@EACH_CONFIG
def test_opens_with_its_exact_command(config):
    command = command_of(config)
    assert command[:4] == ["facexray", "train", "--config", f"configs/{config.name}"]
    assert {"--store", "--out"} <= set(command)


@EACH_CONFIG
def test_its_command_parses_and_every_key_arrives(config, parser):
    parsed = parser.parse_args(command_of(config)[2:])
    settings = parser.instantiate(parsed)
    written = yaml.safe_load(config.read_text(encoding="utf-8"))
    assert {"network", "optim"} <= set(written)
    for group, values in written.items():
        read = plain(settings[group])
        assert (
            all(read[name] == value for name, value in values.items()) if isinstance(values, dict) else read == values
        )
    assert isinstance(settings.optim, OptimConfig)  # its checks ran
    assert isinstance(settings.run, RunConfig)


@pytest.mark.parametrize(
    "line", ["learning_rate: 0.1", "optim: {learning_rate: 0.1}", "blending: {hulls: [whole]}", "run: {epochs: 3}"]
)
def test_an_unknown_key_is_refused(line, parser, tmp_path):
    (tmp_path / "wrong.yaml").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ArgumentError, match=r"learning_rate|hulls|epochs"):
        parser.parse_args(["--config", str(tmp_path / "wrong.yaml"), "--store", "s", "--out", "o"])


@pytest.mark.parametrize(
    "line", ["optim: {lr: fast}", "blending: {mode: fsgan}", "run: {precision: 8-bit}", "network: {class_head: mlp}"]
)
def test_a_value_of_the_wrong_kind_is_refused(line, parser, tmp_path):
    (tmp_path / "wrong.yaml").write_text(line + "\n", encoding="utf-8")
    with pytest.raises((ArgumentError, SettingsError), match=r"lr|mode|precision|class_head"):
        parser.instantiate(parser.parse_args(["--config", str(tmp_path / "wrong.yaml"), "--store", "s", "--out", "o"]))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"iterations": 0}, "iterations"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 7}, "batch_size.*7"),
        ({"lr": 0.0}, "lr"),
        ({"lr": -1e-3}, "lr"),
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"ema": 1.0}, "ema"),
        ({"accumulate": 0}, "accumulate"),
        ({"freeze_iterations": -1}, "freeze_iterations"),
        ({"warm_up": 0.5, "decay": 0.6}, "warm_up and decay"),
        ({"lr": float("nan"), "batch_size": 5}, "lr.*batch_size"),
        ({"xray_weight": -1.0}, "xray_weight"),
    ],
)
def test_optim_refuses_a_bad_setting_by_its_name(settings, named):
    with pytest.raises(SettingsError, match=named):
        OptimConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"devices": 0}, "devices"),
        ({"nodes": 0}, "nodes"),
        ({"save_every": 0}, "save_every"),
        ({"workers": -1}, "workers"),
        ({"validate_every": 0}, "validate_every"),
        ({"validation_pairs": 0}, "validation_pairs"),
        ({"log_every": 0}, "log_every"),
    ],
)
def test_run_refuses_a_bad_setting_by_its_name(settings, named):
    with pytest.raises(SettingsError, match=f"{named} must be at least"):
        RunConfig(**settings)


@pytest.mark.parametrize("name", ["people.txt", "staff.txt", "community.txt", "contributors.txt", "reals.txt"])
def test_every_listed_photograph_s_repository_is_told_with_its_commit_and_licence(name):
    header, *rows = [line.split("\t") for line in (ROOT / "configs/sources.tsv").read_text("utf-8").splitlines()]
    assert header == ["repository", "commit", "licence", "list"]
    assert all(re.fullmatch("[0-9a-f]{7}", commit) and licence for _, commit, licence, _ in rows)
    clones = {repository for repository, _, _, lists in rows if name in lists.split()}
    ownerless = name in ("people.txt", "staff.txt")
    told = {clone.partition("/")[2] for clone in clones} if ownerless else clones
    photographs = (ROOT / "configs" / name).read_text("utf-8").splitlines()
    assert len(set(photographs)) == len(photographs)
    assert {"/".join(photograph.split("/")[: 1 if ownerless else 2]) for photograph in photographs} == told


def test_no_photograph_both_teaches_and_chooses_the_threshold():
    community, contributors, chosen = (
        set((ROOT / "configs" / name).read_text("utf-8").splitlines())
        for name in ("community.txt", "contributors.txt", "reals.txt")
    )
    assert not (community | contributors) & chosen
