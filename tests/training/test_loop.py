"""The loop: what a run writes, what it refuses, and that an interruption costs nothing."""

import csv
import json
import math
import shutil
import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.fabric.plugins.precision import Precision
from lightning.fabric.strategies import SingleDeviceStrategy, Strategy

from facexray.blending.recipe import Recipe
from facexray.errors import ModelError, SettingsError, StoreError
from facexray.faces.store import FaceStore
from facexray.faces.store_writer import StoreWriter
from facexray.runtime.card import read_card
from facexray.training import loop
from facexray.training.checkpoint import STATE, load_checkpoint, load_model, save_checkpoint, save_model
from facexray.training.command import train
from facexray.training.config import DataConfig, NetworkConfig, OptimConfig, RunConfig
from facexray.training.datasets import BlendedPairs, PairSampler, collate
from facexray.training.losses import face_xray_loss
from facexray.training.schedule import learning_rate
from facexray.training.state import Settings


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def copy_of_run(tiny_run, tmp_path):
    return shutil.copytree(tiny_run, tmp_path / "run")


def test_a_run_leaves_its_files_and_nothing_else(tiny_run):
    files = {path.name for path in tiny_run.iterdir()}
    weights = {"last.ckpt", "best.safetensors", "last.safetensors"}
    assert files == weights | {"log.csv", "validation.csv", "validation", "tensorboard", "run.json"}
    assert {path.name for path in (tiny_run / "validation").iterdir()} == {"000003.png", "000006.png"}


def test_run_json_says_how_it_was_made(tiny_run, tiny, store):
    about = json.loads((tiny_run / "run.json").read_text(encoding="utf-8"))
    assert about["made_by"] == "facexray train"
    assert about["settings"]["optim"] == vars(tiny["optim"])
    assert about["settings"]["network"] == vars(tiny["network"])
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
    assert all(0 <= row[f"auc_{name}"] <= 1 for row in rows for name in ("degraded", "clean", "unseen"))


def test_the_last_are_the_run_s_weights_at_its_last_validation(tiny_run):
    net, card = load_model(tiny_run / "last.safetensors")
    row = rows_of(tiny_run / "validation.csv")[-1]
    assert (card["iteration"], card["weights"]) == (row["iteration"], "last")
    assert card["validation"] == {name: value for name, value in row.items() if name != "iteration"}
    trained = load_checkpoint(tiny_run / "last.ckpt")["net"]
    assert all(torch.equal(weight, trained[f"net.{name}"]) for name, weight in net.state_dict().items())


def test_the_best_is_the_first_with_the_highest_auc(tiny_run):
    net, card = load_model(tiny_run)
    best = max(rows_of(tiny_run / "validation.csv"), key=lambda row: row["auc_degraded"])
    assert card["iteration"] == best["iteration"]
    assert card["validation"] == {name: value for name, value in best.items() if name != "iteration"}
    assert not net.training
    last = load_checkpoint(tiny_run / "last.ckpt")["net"]
    same = all(torch.equal(weight, last[f"net.{name}"]) for name, weight in net.state_dict().items())
    assert same == (best["iteration"] == 6)


def test_the_checkpoint_is_of_the_last_iteration(tiny_run, tiny):
    state = load_checkpoint(tiny_run / "last.ckpt")
    assert state["progress"]["iteration"] == 6
    assert state["optimizer"]["param_groups"][0]["lr"] == learning_rate(tiny["optim"], 5)


def test_refuses_a_folder_that_holds_a_run(tiny_run, tiny):
    before = (tiny_run / "last.ckpt").stat().st_mtime_ns
    with pytest.raises(SettingsError, match="--resume"):
        train(out=tiny_run, **tiny)
    assert (tiny_run / "last.ckpt").stat().st_mtime_ns == before


def test_refuses_a_folder_that_holds_a_checkpoint_alone(tiny_run, tiny, tmp_path):
    shutil.copy(tiny_run / "last.ckpt", tmp_path)
    with pytest.raises(SettingsError, match="holds a run already; say --resume auto"):
        train(out=tmp_path, **tiny)


def test_goes_on_though_what_it_began_from_has_become_another(tiny_run, tiny, tmp_path):
    """The checkpoint has the weights, and says whose they were."""
    first = Path(shutil.copytree(tiny_run, tmp_path / "first"))
    settings = tiny | {"network": replace(tiny["network"], pretrained=str(first))}
    run = train(out=tmp_path / "run", **settings)
    _, card = load_model(first)
    save_model(first, load_model(first)[0], {**card, "commit": "another"})
    train(out=run, resume="auto", **settings)
    shutil.rmtree(first)
    train(out=run, resume="auto", **settings)
    written = (run / "run.json").read_text(encoding="utf-8")
    about = read_card(written)
    assert about["resumed_at"] == 6
    assert json.loads(written)["ancestors"] == [about["pretrained"]], "each stands there once"
    assert about["pretrained"]["commit"] == card["commit"]


@pytest.mark.parametrize("sees_it", [True, False])
def test_a_folder_that_the_machines_do_not_share_is_refused(sees_it, tiny_run, tiny, tmp_path, monkeypatch):
    """One would go on, and the other begin."""
    run = copy_of_run(tiny_run, tmp_path) if sees_it else tmp_path / "run"
    monkeypatch.setattr(SingleDeviceStrategy, "reduce_boolean_decision", lambda self, decision, all=True: not all)
    with pytest.raises(SettingsError, match=r"last\.ckpt: some processes see it and some do not"):
        train(out=run, resume="auto", **tiny)


@pytest.mark.parametrize("seed", [-1, 1 << 63])
def test_a_seed_that_no_generator_takes_is_refused(seed, tiny, tmp_path):
    with pytest.raises(SettingsError, match=rf"seed must be in \[0, 2\^63\), got {seed}"):
        train(out=tmp_path / "run", **{**tiny, "seed": seed})


def test_an_empty_store_is_refused_and_not_taken_for_none(tiny, tmp_path):
    for name, masked in (("reals", False), ("fakes", True)):
        with StoreWriter(tmp_path / name, {}, masks=masked):
            pass
    with pytest.raises(StoreError, match=r"reals: holds 0 faces of 0 people"):
        train(out=tmp_path / "run", **{**tiny, "val_store": tmp_path / "reals"})
    with pytest.raises(StoreError, match=r"fakes: holds no fakes; its errors\.jsonl says why"):
        train(out=tmp_path / "run", **{**tiny, "data": DataConfig(fakes=tmp_path / "fakes", fakes_share=0.5)})


def test_float16_on_a_cpu_is_refused_and_not_taken_for_bfloat16(tiny, tmp_path):
    with pytest.raises(SettingsError, match=r"16-mixed needs a GPU; on a CPU say bf16-mixed, or 32-true"):
        train(out=tmp_path / "run", **{**tiny, "run": replace(tiny["run"], precision="16-mixed")})


def test_a_finished_run_has_nothing_to_go_on_with(tiny_run, tiny, tmp_path):
    run = copy_of_run(tiny_run, tmp_path)
    train(out=run, resume="auto", **tiny | {"run": replace(tiny["run"], log_every=2)})  # how it runs may change
    assert (run / "validation.csv").read_bytes() == (tiny_run / "validation.csv").read_bytes()
    assert (run / "last.ckpt").read_bytes() == (tiny_run / "last.ckpt").read_bytes()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"optim": OptimConfig(iterations=6, batch_size=4, lr=2e-3, xray_weight=20)}, r"optim\.lr"),
        ({"seed": 6}, "seed"),
        ({"network": NetworkConfig(class_head="paper"), "seed": 7}, r"network\.backbone, network\.class_head, seed"),
    ],
)
def test_does_not_go_on_with_other_settings(changed, named, tiny_run, tiny, tmp_path):
    run = copy_of_run(tiny_run, tmp_path)
    with pytest.raises(ModelError, match=f"made with another {named};"):
        train(out=run, resume="auto", **tiny | changed)


@pytest.mark.parametrize(
    ("named", "remembered"),
    [
        ("store", {"data": {"faces_sha256": "of another store"}}),
        ("val_store", {"data": {"validation_faces_sha256": "of another store"}}),
        ("grouping of the store's faces into people", {"data": {"people_sha256": "of other people"}}),
        ("grouping of the val_store's faces into people", {"data": {"validation_people_sha256": "of other people"}}),
        ("grouping of the store's faces into people", {"data": {"people_sha256": None}}),  # of an earlier version
        ("data.fakes", {"data": {"given_fakes_sha256": "of fakes"}}),
        ("optim.teacher", {"teacher": {"iteration": 7}}),
        ("run.validation_pairs", {"settings": {"run": {"validation_pairs": 9}}}),
    ],
)
def test_does_not_go_on_with_what_decides_other_numbers(named, remembered, tiny_run, tiny, tmp_path):
    def put(into, values):
        for name, value in values.items():
            if isinstance(into.get(name), dict):
                put(into[name], value)
            elif value is None:
                del into[name]
            else:
                into[name] = value

    run = copy_of_run(tiny_run, tmp_path)
    state = load_checkpoint(run / "last.ckpt")
    put(state["about"], remembered)
    save_checkpoint(run / "last.ckpt", state)
    with pytest.raises(ModelError, match=f"made with another {named};"):
        train(out=run, resume="auto", **tiny)


def test_goes_on_in_another_precision(tiny_run, tiny, tmp_path, monkeypatch):
    """To or from float16, whose scaler does not take the state of a run that had none."""
    taken = []
    monkeypatch.setattr(Precision, "load_state_dict", lambda self, state: taken.append(state))
    train(out=copy_of_run(tiny_run, tmp_path), resume="auto", **tiny)
    assert not taken


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device that must be missing")
def test_a_device_that_is_not_there_is_refused(tiny, tmp_path):
    with pytest.raises(SettingsError, match=r"run: accelerator cuda, devices 1, .*not available"):
        train(out=tmp_path / "run", **{**tiny, "run": replace(tiny["run"], accelerator="cuda")})


def test_a_slurm_job_that_lightning_does_not_understand_is_refused(tiny, tmp_path, monkeypatch):
    for name, value in {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "train", "SLURM_LOCALID": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=r"devices 2, .*--ntasks-per-node=2"):
        train(out=tmp_path / "run", **{**tiny, "run": replace(tiny["run"], devices=2)})


@pytest.mark.parametrize("variable", ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_processes_that_the_settings_do_not_know_are_refused(variable, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, "4")
    with pytest.raises(SettingsError, match=r"run\.devices: 4 processes were started, and the settings make 1 of them"):
        train(out=tmp_path / "run", **tiny)


def test_a_signal_to_another_process_stops_this_one(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "first_alone", lambda fabric, work: work())  # nothing went wrong in the first process
    monkeypatch.setattr(Strategy, "reduce_boolean_decision", lambda *_, **__: True)
    with pytest.raises(SystemExit, match="143"):
        train(out=tmp_path / "run", **tiny)
    assert load_checkpoint(tmp_path / "run" / "last.ckpt")["progress"]["iteration"] == 1


def test_a_thread_trains(tiny, tiny_run, tmp_path):
    """As a notebook or a server may start it: signals are the main thread's."""
    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(train, out=tmp_path / "run", **tiny).result()
    assert (run / "validation.csv").read_bytes() == (tiny_run / "validation.csv").read_bytes()


@pytest.mark.parametrize("left", [b"", b"iteration,xray_ex"])
def test_a_table_cut_off_before_its_first_line_is_begun_anew(left, tiny, tiny_run, tmp_path):
    run = copy_of_run(tiny_run, tmp_path)
    (run / "log.csv").write_bytes(left)
    train(out=run, resume="auto", **tiny)
    assert not (run / "log.csv").exists()


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
        train(out=tmp_path, resume="auto", **tiny)


def test_does_not_go_on_from_the_weights_of_others(tiny, tmp_path):
    torch.save({"state_dict": {"conv.weight": torch.zeros(1)}}, tmp_path / "last.ckpt")
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ModelError, match=r"last\.ckpt: not a checkpoint .*lacks about, average, net"):
        train(out=tmp_path, resume="auto", **tiny)


def test_does_not_run_code_from_a_checkpoint(tmp_path):
    torch.save({"net": RunConfig()}, tmp_path / "last.ckpt")  # any class may hide code in its pickle
    with pytest.raises(ModelError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "last.ckpt")


@pytest.mark.parametrize("error", [OSError("no space left on device"), RuntimeError("unexpected pos 64 vs 0")])
def test_a_failed_write_leaves_the_last_good_checkpoint(error, tmp_path, monkeypatch):
    first, second = ({**dict.fromkeys(STATE), "progress": {"iteration": i}} for i in (1, 2))
    save_checkpoint(tmp_path / "last.ckpt", first)

    def full_disk(state, path):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(ModelError, match=r"last\.ckpt: cannot be written .*last good checkpoint is still there"):
        save_checkpoint(tmp_path / "last.ckpt", second)
    assert load_checkpoint(tmp_path / "last.ckpt") == first
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_its_batch(tiny, tmp_path, monkeypatch):
    def spoilt(output, *args):
        losses = face_xray_loss(output, *args)
        calls.append(1)
        return losses if len(calls) < 3 else losses._replace(total=losses.total * math.nan)

    calls = []
    monkeypatch.setattr(loop, "face_xray_loss", spoilt)
    with pytest.raises(
        ModelError, match=r"iteration 2: the loss .*not-a-number-2\.json\. Go on .*--resume auto, or .* lower optim\.lr"
    ):
        train(out=tmp_path, **tiny)
    assert not (tmp_path / "last.ckpt").exists()
    recipes = json.loads((tmp_path / "not-a-number-2.json").read_text(encoding="utf-8"))
    pairs = BlendedPairs(tiny["blending"], FaceStore(tiny["store"]), None, tiny["seed"])
    expected = [[sample.recipe for sample in pairs[number]] for number in (4, 5)]
    assert [[Recipe.from_dict(recipe) for recipe in pair] for pair in recipes] == expected


def trained_by(tmp_path, tiny, **changes):
    """A run of its own, and the weights that it began with and ended with."""
    optim, network = changes.pop("optim"), changes.pop("network", tiny["network"])
    settings = Settings(tiny["blending"], DataConfig(), network, optim, tiny["run"], tiny["seed"])
    training = loop.setup(tmp_path, FaceStore(tiny["store"]), FaceStore(tiny["val_store"]), settings)
    before = {name: weight.detach().clone() for name, weight in training.net.named_parameters()}
    loop.fit(training)
    return before, {name: weight.detach() for name, weight in training.net.named_parameters()}


def test_the_first_step_moves_the_weights_by_the_learning_rate(tiny, tmp_path):
    """Adam's first step is ± lr on every weight that has a gradient; weight decay takes its share."""
    optim = OptimConfig(iterations=1, batch_size=2, lr=1e-3, weight_decay=0.0)
    before, after = trained_by(tmp_path, tiny, optim=optim)
    steps = torch.cat([(after[name] - before[name]).abs().flatten() for name in before])
    assert steps.max().item() == pytest.approx(1e-3, rel=0.01)
    assert steps.median().item() == pytest.approx(1e-3, rel=0.01)


def test_a_batch_in_parts_gives_the_gradient_of_the_whole(tiny, tmp_path):
    """A network of layer norms: BatchNorm's statistics are those of each part."""
    ends = []
    for parts in (1, 2):
        optim = OptimConfig(iterations=2, batch_size=8, lr=1e-3, optimizer="adam", accumulate=parts)
        network = NetworkConfig(backbone="test_convnext", class_head="features")
        ends.append(trained_by(tmp_path / f"{parts}", tiny, optim=optim, network=network)[1])
    whole, in_parts = ends
    for name, weight in whole.items():
        torch.testing.assert_close(in_parts[name], weight, atol=2e-5, rtol=1e-3)


def test_the_gradient_is_clipped_where_a_limit_is_set(tiny, tmp_path, monkeypatch):
    norms = []
    step = torch.optim.AdamW.step

    def noted(self, *args, **kwargs):
        weights = [weight for group in self.param_groups for weight in group["params"] if weight.grad is not None]
        norms.append(torch.cat([weight.grad.flatten() for weight in weights]).norm().item())
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    for limit in (0.01, 0):
        trained_by(tmp_path / f"{limit}", tiny, optim=OptimConfig(iterations=1, batch_size=4, clip_norm=limit))
    assert norms[0] == pytest.approx(0.01, rel=1e-3)
    assert norms[1] > 0.1


def test_the_average_of_the_weights_is_what_is_kept(tiny, tmp_path):
    optim = OptimConfig(iterations=3, batch_size=4, lr=1e-2, ema=0.9)
    train(out=tmp_path, **tiny | {"optim": optim})
    last, (kept, _) = load_checkpoint(tmp_path / "last.ckpt"), load_model(tmp_path)
    name = "class_head.weight"
    assert torch.equal(kept.state_dict()[name], last["average"][f"module.{name}"])
    assert not torch.equal(kept.state_dict()[name], last["net"][f"net.{name}"])


def test_bfloat16_trains(tiny, tmp_path):
    run = replace(tiny["run"], precision="bf16-mixed")
    train(out=tmp_path, **tiny | {"run": run, "network": NetworkConfig(class_head="features")})
    assert all(math.isfinite(row["xray_excess"]) for row in rows_of(tmp_path / "log.csv"))


@pytest.mark.gpu
def test_float16_trains_and_scales_its_gradients(tiny, tmp_path):
    run = replace(tiny["run"], precision="16-mixed", accelerator="cuda")
    train(out=tmp_path, **tiny | {"run": run, "network": NetworkConfig(class_head="features")})
    assert load_checkpoint(tmp_path / "last.ckpt")["precision"]["scale"] > 1


@pytest.mark.gpu
def test_a_gpu_renders_and_trains(tiny, tmp_path):
    run = replace(tiny["run"], precision="bf16-mixed", accelerator="cuda", renderer="torch")
    train(out=tmp_path, **tiny | {"run": run})
    assert all(math.isfinite(row["xray_excess"]) for row in rows_of(tmp_path / "log.csv"))


def test_batches_of_the_torch_renderer_are_trained_on(tiny, tiny_run, tmp_path):
    train(out=tmp_path, **tiny | {"run": replace(tiny["run"], renderer="torch")})
    ours, theirs = (rows_of(run / "log.csv") for run in (tmp_path, tiny_run))
    assert ours[0]["xray_excess"] == pytest.approx(theirs[0]["xray_excess"], rel=0.01)


def test_people_held_out_are_not_trained_on(tiny, store, tmp_path, monkeypatch):
    """Rule 9, on a store of 20 people without a validation store."""
    with StoreWriter(tmp_path / "store", {}) as writer:
        for number in range(20):
            face = replace(store[number % len(store)], id=f"f{number}", video=f"v{number}", identity=f"p{number:02}")
            writer.add(face, store.crop(number % len(store)))
            writer.end_source(f"{number}")
    given = []
    monkeypatch.setattr(loop, "validation_sets", lambda *args: given.append(args) or {})
    people = FaceStore(tmp_path / "store")
    settings = Settings(tiny["blending"], DataConfig(), tiny["network"], tiny["optim"], tiny["run"])
    training = loop.setup(tmp_path, people, None, settings)
    held_out = {people.column("id")[index] for index in given[0][2]}
    assert given[0][1] is people
    assert len(held_out) == 2
    assert sorted(held_out | set(training.pairs.pool.ids)) == sorted(people.column("id"))
    assert not held_out & set(training.pairs.pool.ids)
    assert (training.about["data"]["faces"], training.about["data"]["validation_faces"]) == (18, 2)


def test_batches_must_divide(tiny, tmp_path):
    with pytest.raises(SettingsError, match="batch_size 6 must divide into pairs for 1 processes and 2 parts"):
        train(out=tmp_path, **tiny | {"optim": OptimConfig(batch_size=6, accumulate=2)})


@pytest.mark.slow
def test_it_learns_two_pairs_by_heart(tiny, tmp_path, monkeypatch):
    """The X-ray loss falls to a fifth of what the best single number for every pixel has: it learns where."""
    monkeypatch.setattr(PairSampler, "__iter__", lambda sampler: (number % 2 for number in sampler.numbers))
    optim = OptimConfig(iterations=200, batch_size=4, lr=2e-3, xray_weight=20)
    run = replace(tiny["run"], validate_every=200, log_every=10)
    train(out=tmp_path, **tiny | {"optim": optim, "run": run})

    pairs = BlendedPairs(tiny["blending"], FaceStore(tiny["store"]), None, tiny["seed"])
    xrays = collate([pairs[0], pairs[1]]).xrays
    everywhere = binary_entropy(xrays.mean()) - binary_entropy(xrays).mean()
    assert rows_of(tmp_path / "log.csv")[-1]["xray_excess"] < everywhere.item() / 5


def binary_entropy(p):
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p))


@pytest.mark.slow
def test_it_truly_learns(faces_dir, tmp_path):
    """configs/smoke.yaml on 60 real people: the X-ray loss falls, forgeries of others are told."""
    from facexray.cli import main
    from facexray.faces.prepare import prepare

    photos = sorted((faces_dir / "us_senate").glob("*.jpg"))[:60]
    prepare(photos, tmp_path / "store", identity=r"^(.+)\.jpg$")
    config = Path(__file__).parents[2] / "configs" / "smoke.yaml"
    main(["train", "--config", str(config), "--store", str(tmp_path / "store"), "--out", str(tmp_path / "run")])
    losses = [row["xray_excess"] for row in rows_of(tmp_path / "run" / "log.csv")]
    assert statistics.mean(losses[-5:]) < 0.75 * losses[0]
    assert rows_of(tmp_path / "run" / "validation.csv")[-1]["auc_clean"] > 0.65


def test_resume_begins_where_there_is_nothing_to_go_on_with(tiny, tiny_run, tmp_path):
    train(out=tmp_path, resume="auto", **tiny)
    assert rows_of(tmp_path / "validation.csv") == rows_of(tiny_run / "validation.csv")


def test_a_run_without_a_checkpoint_yet_is_not_begun_twice(tiny, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(SettingsError, match="holds a run already"):
        train(out=tmp_path, **tiny)
