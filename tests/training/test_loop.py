"""The loop: what a run writes, what it refuses, and that an interruption costs nothing."""

import csv
import json
import math
import shutil
from dataclasses import replace
from itertools import chain

import pytest
import torch
from sklearn.metrics import roc_auc_score

from facexray.blending.config import BlendConfig
from facexray.errors import ModelError, SettingsError, StoreError
from facexray.faces.store import FaceStore
from facexray.faces.store_writer import StoreWriter
from facexray.training import loop
from facexray.training.checkpoint import load_checkpoint, load_model, save_checkpoint
from facexray.training.command import train
from facexray.training.config import NetworkConfig, OptimConfig, RunConfig
from facexray.training.loop import learning_rate


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def copy_of_run(tiny_run, tmp_path):
    return shutil.copytree(tiny_run, tmp_path / "run")


def test_a_run_leaves_its_files_and_nothing_else(tiny_run):
    files = {path.name for path in tiny_run.iterdir()}
    assert files == {"last.ckpt", "best.safetensors", "best.json", "log.csv", "validation.csv", "run.json"}


def test_run_json_says_how_it_was_made(tiny_run, tiny, store):
    about = json.loads((tiny_run / "run.json").read_text(encoding="utf-8"))
    assert about["made_by"] == "facexray train"
    assert about["settings"]["optim"] == vars(tiny["optim"])
    assert about["settings"]["seed"] == tiny["seed"]
    assert about["data"]["store"] == str(store.path)
    assert about["data"]["validation_store"] == str(tiny["val_store"])
    assert (about["data"]["faces"], about["data"]["validation_faces"]) == (len(store), 4)


def test_logs_every_iteration_that_was_asked_for(tiny_run):
    rows = rows_of(tiny_run / "log.csv")
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(row["xray_excess"] > 0 for row in rows)
    assert all(0 <= row["data_wait_share"] <= 1 for row in rows)


def test_validates_as_often_as_was_asked_for(tiny_run):
    rows = rows_of(tiny_run / "validation.csv")
    assert [row["iteration"] for row in rows] == [3, 6]
    assert all(0 <= row[f"auc_{name}"] <= 1 for row in rows for name in ("degraded", "clean"))


def test_the_best_is_the_first_with_the_highest_auc(tiny_run):
    net, card = load_model(tiny_run)
    best = max(rows_of(tiny_run / "validation.csv"), key=lambda row: row["auc_degraded"])
    assert card["iteration"] == best["iteration"]
    assert card["validation"] == {name: value for name, value in best.items() if name != "iteration"}
    assert not net.training
    if best["iteration"] == 6:
        last = load_checkpoint(tiny_run / "last.ckpt")["net"]
        assert all(torch.equal(weight, last[name]) for name, weight in net.state_dict().items())


def test_the_checkpoint_is_of_the_last_iteration(tiny_run, tiny):
    state = load_checkpoint(tiny_run / "last.ckpt")
    assert state["progress"]["iteration"] == 6
    assert state["optimizer"]["param_groups"][0]["lr"] == learning_rate(tiny["optim"], 5)


def test_refuses_a_folder_that_holds_a_run(tiny_run, tiny):
    before = (tiny_run / "last.ckpt").stat().st_mtime_ns
    with pytest.raises(SettingsError, match="--resume"):
        train(out=tiny_run, **tiny)
    assert (tiny_run / "last.ckpt").stat().st_mtime_ns == before


def test_an_interrupted_run_goes_on_to_the_same_weights(tiny_run, tiny, tmp_path, monkeypatch):
    """Stopped after the checkpoint of iteration 3, then resumed: bit for bit the run that was not stopped."""
    save = loop._validate_and_save

    def save_and_stop(training):
        save(training)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_validate_and_save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train(out=tmp_path, **tiny)
    assert load_checkpoint(tmp_path / "last.ckpt")["progress"]["iteration"] == 3
    monkeypatch.setattr(loop, "_validate_and_save", save)
    train(out=tmp_path, resume=True, **tiny)

    whole, resumed = (load_checkpoint(run / "last.ckpt") for run in (tiny_run, tmp_path))
    assert resumed["progress"] == whole["progress"]
    for name, weight in whole["net"].items():
        assert torch.equal(resumed["net"][name], weight), name
    for number, moments in whole["optimizer"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(resumed["optimizer"]["state"][number][name], value), (number, name)
    assert rows_of(tmp_path / "validation.csv") == rows_of(tiny_run / "validation.csv")
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["resumed_at"] == 3


def test_a_finished_run_has_nothing_to_go_on_with(tiny_run, tiny, tmp_path):
    run = copy_of_run(tiny_run, tmp_path)
    train(out=run, resume=True, **tiny | {"run": replace(tiny["run"], log_every=2)})  # how it runs may change
    assert (run / "validation.csv").read_bytes() == (tiny_run / "validation.csv").read_bytes()
    assert (run / "last.ckpt").read_bytes() == (tiny_run / "last.ckpt").read_bytes()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"optim": OptimConfig(iterations=6, batch_size=4, lr=2e-3, xray_weight=20)}, "optim"),
        ({"seed": 6}, "seed"),
        ({"network": NetworkConfig(class_head="paper"), "seed": 7}, "network, seed"),
    ],
)
def test_does_not_go_on_with_other_settings(changed, named, tiny_run, tiny, tmp_path):
    run = copy_of_run(tiny_run, tmp_path)
    with pytest.raises(ModelError, match=f"other settings of {named};"):
        train(out=run, resume=True, **tiny | changed)


def test_does_not_go_on_with_other_faces(tiny_run, tiny, tmp_path):
    run = copy_of_run(tiny_run, tmp_path)
    state = load_checkpoint(run / "last.ckpt")
    state["about"]["data"]["faces_sha256"] = "of another store"
    save_checkpoint(run / "last.ckpt", state)
    with pytest.raises(ModelError, match="other settings of faces;"):
        train(out=run, resume=True, **tiny)


def test_needs_four_people_where_no_validation_store_is_named(tiny, tmp_path):
    with pytest.raises(StoreError, match=r"holds 2 people; .* at least 4"):
        train(out=tmp_path / "run", **tiny | {"val_store": None})


@pytest.mark.parametrize(("renamed", "what"), [("somebody", "photographs"), (None, "photographs")])
def test_photographs_do_not_validate_what_they_taught(tiny, tmp_path, renamed, what):
    copy = shutil.copytree(tiny["store"], tmp_path / "copy")
    with StoreWriter(copy, {}) as writer:
        for sha256 in FaceStore(copy).column("sha256"):
            writer.identify(sha256, renamed)
    with pytest.raises(SettingsError, match=f"6 of its {what} stand in the store too"):
        train(out=tmp_path / "run", **tiny | {"val_store": copy})


def test_people_do_not_validate_what_they_taught(tiny, tmp_path):
    copy = shutil.copytree(tiny["val_store"], tmp_path / "copy")
    with StoreWriter(copy, {}) as writer:
        for sha256 in FaceStore(copy).column("sha256"):
            writer.identify(sha256, "hopper")
    with pytest.raises(SettingsError, match="1 of its people stand in the store too"):
        train(out=tmp_path / "run", **tiny | {"val_store": copy})


@pytest.mark.parametrize("content", [b"not a checkpoint", b"", b"PK\x03\x04 cut off"])
def test_does_not_go_on_from_what_is_no_checkpoint(content, tiny, tmp_path):
    (tmp_path / "last.ckpt").write_bytes(content)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ModelError, match=r"last\.ckpt: not a checkpoint"):
        train(out=tmp_path, resume=True, **tiny)


def test_does_not_go_on_from_the_weights_of_others(tiny, tmp_path):
    torch.save({"state_dict": {"conv.weight": torch.zeros(1)}}, tmp_path / "last.ckpt")
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ModelError, match=r"last\.ckpt: not a checkpoint .*lacks about, net, optimizer, progress"):
        train(out=tmp_path, resume=True, **tiny)


def test_does_not_run_code_from_a_checkpoint(tmp_path):
    torch.save({"net": RunConfig()}, tmp_path / "last.ckpt")  # any class may hide code in its pickle
    with pytest.raises(ModelError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "last.ckpt")


def test_a_failed_write_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    first, second = ({"net": {}, "optimizer": {}, "progress": {"iteration": i}, "about": {}} for i in (1, 2))
    save_checkpoint(tmp_path / "last.ckpt", first)

    def full_disk(state, path):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(tmp_path / "last.ckpt", second)
    assert load_checkpoint(tmp_path / "last.ckpt") == first
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_loss_that_is_no_number_stops_the_run(tiny, tmp_path):
    optim = OptimConfig(iterations=6, batch_size=2, lr=1e30)
    with pytest.raises(ModelError, match=r"iteration [1-5]: the loss is (nan|inf); lower optim\.lr"):
        train(out=tmp_path, **tiny | {"optim": optim, "run": replace(tiny["run"], validate_every=6)})
    assert not (tmp_path / "last.ckpt").exists()


def test_the_first_step_moves_the_weights_by_the_learning_rate(tiny, tmp_path):
    """Adam's first step is ± lr on every weight that has a gradient; weight decay takes its share."""
    settings = tiny | {"run": replace(tiny["run"], validate_every=1, validation_pairs=1)}
    optim = OptimConfig(iterations=1, batch_size=2, lr=1e-3, weight_decay=0.0)
    stores = (FaceStore(tiny["store"]), FaceStore(tiny["val_store"]))
    training = loop.setup(tmp_path, stores, tiny["blending"], tiny["network"], optim, settings["run"], tiny["seed"])
    before = {name: weight.detach().clone() for name, weight in training.net.module.named_parameters()}
    loop.fit(training)
    steps = torch.cat(
        [(weight.detach() - before[name]).abs().flatten() for name, weight in training.net.module.named_parameters()]
    )
    assert steps.max().item() == pytest.approx(1e-3, rel=0.01)
    assert steps.median().item() == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize(
    ("iterations", "iteration", "share"),
    [
        (200, 0, 0.25),  # 2 % are 4 iterations of warm-up
        (200, 3, 1),
        (200, 4, 1),
        (200, 102, 0.5),
        (200, 199, (1 + math.cos(math.pi * 195 / 196)) / 2),
        (200, 200, 0),
        (10, 0, 1),
        (1, 0, 1),
    ],
)
def test_the_learning_rate_warms_up_and_falls_to_0(iterations, iteration, share):
    optim = OptimConfig(iterations=iterations, lr=3e-4)
    assert learning_rate(optim, iteration) == pytest.approx(3e-4 * share, abs=1e-12)


def test_the_learning_rate_never_rises_after_its_warm_up():
    optim = OptimConfig(iterations=500)
    rates = [learning_rate(optim, iteration) for iteration in range(500)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-4 * optim.lr


def test_people_held_out_are_not_trained_on(tiny, store, tmp_path, monkeypatch):
    """Rule 9, on a store of 20 people without a validation store."""
    with StoreWriter(tmp_path / "store", {}) as writer:
        for number in range(20):
            face = replace(store[number % len(store)], id=f"f{number}", video=f"v{number}", identity=f"p{number:02}")
            writer.add(face, store.crop(number % len(store)))
            writer.end_source(f"{number}")
    given = []
    monkeypatch.setattr(loop, "validation_set", lambda *args: given.append(args) or {})
    people = FaceStore(tmp_path / "store")
    training = loop.setup(tmp_path, (people, None), tiny["blending"], tiny["network"], tiny["optim"], tiny["run"], 0)
    held_out = {people.column("id")[index] for index in given[0][2]}
    assert given[0][1] is people
    assert len(held_out) == 2
    assert sorted(held_out | set(training.pairs.pool.ids)) == sorted(people.column("id"))
    assert not held_out & set(training.pairs.pool.ids)
    assert (training.about["data"]["faces"], training.about["data"]["validation_faces"]) == (18, 2)


def test_the_validation_set_is_fixed_paired_and_undegraded_where_clean(tiny, store):
    sets = loop.validation_set(tiny["blending"], store, None, count=3)
    again = loop.validation_set(tiny["blending"], store, None, count=3)
    assert set(sets) == {"degraded", "clean"}
    for name, pairs in sets.items():
        assert [(real.label, fake.label) for real, fake in pairs] == [(0, 1)] * 3
        for one, other in zip(chain(*pairs), chain(*again[name]), strict=True):
            assert one.recipe == other.recipe
            assert (one.image == other.image).all()
    degraded = [
        bool(fake.recipe.degradations) for _, fake in loop.validation_set(BlendConfig(), store, None, 8)["clean"]
    ]
    assert not any(degraded)


def test_validation_scores_the_network_as_it_will_be_used_and_leaves_it_alone(tiny, tiny_run, tmp_path):
    """In evaluation mode: its numbers are those of the saved network, and no statistics of BatchNorm move."""
    shutil.copy(tiny_run / "last.ckpt", tmp_path)
    stores = (FaceStore(tiny["store"]), FaceStore(tiny["val_store"]))
    training = loop.setup(tmp_path, stores, tiny["blending"], tiny["network"], tiny["optim"], tiny["run"], tiny["seed"])
    training.net.train()
    before = {name: value.clone() for name, value in training.net.module.state_dict().items()}
    result = loop.validate(training)
    assert all(torch.equal(value, before[name]) for name, value in training.net.module.state_dict().items())
    assert training.net.module.training

    for name, pairs in training.validation.items():
        views, xrays, labels = loop.collate(pairs)
        with torch.no_grad():
            output = training.net.module.eval()(views)
        p = output.xray_logits.double().sigmoid()
        divergence = torch.xlogy(xrays, xrays / p) + torch.xlogy(1 - xrays, (1 - xrays) / (1 - p))
        assert result[f"xray_excess_{name}"] == pytest.approx(divergence.mean().item(), rel=1e-3)
        scores = output.class_logits.softmax(1)[:, 1]
        assert result[f"auc_{name}"] == pytest.approx(roc_auc_score(labels, scores))


@pytest.mark.slow
def test_it_learns_two_pairs_by_heart(tiny, tmp_path, monkeypatch):
    """The X-ray loss falls to a fifth of what the best single number for every pixel has: it learns where."""
    monkeypatch.setattr(loop.PairSampler, "__iter__", lambda sampler: (number % 2 for number in sampler.numbers))
    optim = OptimConfig(iterations=50, batch_size=4, lr=2e-3, xray_weight=20)
    run = replace(tiny["run"], validate_every=50, log_every=10)
    train(out=tmp_path, **tiny | {"optim": optim, "run": run})

    pairs = loop.BlendedPairs(tiny["blending"], FaceStore(tiny["store"]), None, tiny["seed"])
    xrays = loop.collate([pairs[0], pairs[1]])[1]
    everywhere = binary_entropy(xrays.mean()) - binary_entropy(xrays).mean()
    assert rows_of(tmp_path / "log.csv")[-1]["xray_excess"] < everywhere.item() / 5


def binary_entropy(p):
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p))


@pytest.mark.slow
def test_it_truly_learns(faces_dir, tmp_path):
    """The settings of configs/smoke.yaml on 60 real people: the X-ray loss falls by half."""
    from facexray.faces.prepare import prepare

    photos = sorted((faces_dir / "us_senate").glob("*.jpg"))[:60]
    prepare(photos, tmp_path / "store", identity=r"^(.+)\.jpg$")
    train(
        tmp_path / "store",
        tmp_path / "run",
        network=NetworkConfig(class_head="features"),
        optim=OptimConfig(iterations=100, batch_size=8, lr=1e-3, xray_weight=20),
        run=RunConfig(accelerator="cpu", validate_every=100, validation_pairs=20, log_every=5),
    )
    losses = [row["xray_excess"] for row in rows_of(tmp_path / "run" / "log.csv")]
    assert losses[-1] < losses[0] / 2


def test_resume_wants_a_run_to_go_on_with(tiny, tmp_path):
    with pytest.raises(SettingsError, match="no run to go on with"):
        train(out=tmp_path / "typo", resume=True, **tiny)


def test_a_run_without_a_checkpoint_yet_is_not_begun_twice(tiny, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(SettingsError, match="holds a run already"):
        train(out=tmp_path, **tiny)
