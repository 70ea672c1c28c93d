"""The command `blend` as a whole: the same bytes however it was run, stopped and gone on with; and its check."""

import hashlib
import json
import shlex
import shutil
import signal
import subprocess
import sys

import cv2
import h5py
import numpy as np
import pytest
from PIL import Image

from facexray.blending import command
from facexray.blending.command import blend
from facexray.blending.config import BlendConfig, Chance
from facexray.blending.generate import draw_sample
from facexray.blending.writers import LABELS, formats, hdf5, manifest, parts, read_blended, webdataset
from facexray.cli import main
from facexray.errors import SettingsError, StoreError
from facexray.faces.neighbours import FacePool
from facexray.images import read_image, write_image

COUNT, SEED = 26, 3
FORMATS = ["tree", "hdf5", "webdataset"]
EACH_FORMAT = pytest.mark.parametrize("form", FORMATS)


def digest(path):
    """Of all that a set holds, as its reader gives it."""
    digest = hashlib.sha256()
    for view in read_blended(path):
        digest.update(f"{view.name} {view.label} {json.dumps(view.recipe)}".encode())
        digest.update(view.image.tobytes() + view.mask.tobytes())
    return digest.hexdigest()


def is_sample(path):
    """Whether a file of a set holds samples: the manifest has a date, and what a kill cut off is cleared."""
    return path.is_file() and path.name not in (manifest.NAME, manifest.LOCK) and ".part" not in str(path)


def file_digests(path):
    files = filter(is_sample, path.rglob("*"))
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def make_shards_small(patch):
    patch.setattr(webdataset, "SHARD_SAMPLES", 8)
    patch.setattr(parts, "PART_SAMPLES", 4)


@pytest.fixture(scope="module")
def small_shards():
    """Shards of 8 samples and parts of 4, so that a small set has several."""
    with pytest.MonkeyPatch.context() as patch:
        make_shards_small(patch)
        yield


@pytest.fixture(scope="module")
def whole(store, small_shards, tmp_path_factory):
    """The same set in each format, each made by another number of workers."""
    folder = tmp_path_factory.mktemp("whole")
    return {
        form: blend(store.path, COUNT, folder / form, format=form, seed=SEED, workers=workers)
        for form, workers in zip(FORMATS, (1, 2, 4), strict=True)
    }


@pytest.fixture
def copy_of_whole(whole, tmp_path):
    """A function that gives a copy of such a set to spoil."""
    return lambda form: shutil.copytree(whole[form], tmp_path / form)


def test_any_format_and_any_number_of_workers_give_the_same_bytes(whole):
    assert len({digest(path) for path in whole.values()}) == 1
    assert {view.label for view in read_blended(whole["tree"])} == {0, 1}


def test_sample_i_is_that_of_seed_and_i(whole, store):
    pool = FacePool.of(store)
    for number, view in enumerate(read_blended(whole["webdataset"])):
        sample = draw_sample(BlendConfig(), pool, store, SEED, 0, number)
        assert np.array_equal(view.image, sample.image)


def test_another_seed_gives_others(store, whole, tmp_path):
    other = blend(store.path, 4, tmp_path / "set", seed=SEED + 1)
    here, there = next(read_blended(whole["tree"])), next(read_blended(other))
    assert not np.array_equal(here.image, there.image)


@EACH_FORMAT
def test_the_manifest_says_how_it_was_made(whole, form, store):
    about = json.loads((whole[form] / "manifest.json").read_text())
    assert about["complete"]
    assert about["counts"] == {
        name: sum(view.label == label for view in read_blended(whole[form])) for label, name in enumerate(LABELS)
    }
    assert (about["settings"]["seed"], about["settings"]["format"]) == (SEED, form)
    assert about["opencv_version"] == cv2.__version__
    assert about["store_sha256"] == hashlib.sha256((store.path / "faces.parquet").read_bytes()).hexdigest()


KILLED_AFTER = """
import inspect, itertools, os, pkgutil, signal, sys
from facexray.blending.writers import parts, webdataset
from facexray.cli import main

webdataset.SHARD_SAMPLES, parts.PART_SAMPLES = 8, 4
place, function, after = sys.argv[1:4]
place = pkgutil.resolve_name(place)
real, calls = getattr(place, function), itertools.count()

def count(result=None):
    if next(calls) == int(after):
        os.kill(os.getpid(), signal.SIGKILL)
    return result

def killed(*args, **options):
    if inspect.isgeneratorfunction(real):
        return map(count, real(*args, **options))
    count()
    return real(*args, **options)

setattr(place, function, killed)
main(sys.argv[4:])
"""


def run_until_killed(store, out, form, where="facexray.blending.command.in_order", after=4, workers=1):
    words = ["blend", str(store.path), "--count", str(COUNT), "--out", str(out), "--format", form]
    words += ["--seed", str(SEED), "--workers", str(workers)]
    child = [sys.executable, "-c", KILLED_AFTER, *where.rsplit(".", 1), str(after), *words]
    run = subprocess.run(child, capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr


@pytest.mark.parametrize(
    ("form", "where", "after"),
    [
        *[(form, "facexray.blending.command.in_order", 4) for form in FORMATS],
        ("hdf5", "facexray.blending.writers.hdf5.read_tar", 25),
        ("webdataset", "pathlib.Path.unlink", 6),
        *[(form, "pathlib.Path.replace", 7) for form in FORMATS],
    ],
)
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(store, whole, tmp_path, form, where, after, capsys):
    out = tmp_path / "集 合"
    run_until_killed(store, out, form, where, after)
    begun = {path: path.stat().st_mtime_ns for path in out.rglob("*") if is_sample(path)}
    assert begun, "nothing was made before the kill"
    halves = [path for path in begun if path.parent.name == "real" and path.with_suffix(".png") not in begun]
    with pytest.raises(StoreError, match="was not finished") as refused:
        list(read_blended(out))
    command_line = str(refused.value).splitlines()[-1]
    assert main(shlex.split(command_line)[1:]) == 0
    assert "are there already; going on" in capsys.readouterr().err
    assert file_digests(out) == file_digests(whole[form])
    kept = [path for path in begun if path.exists() and path not in halves]  # parts are gone by now
    assert kept or form != "tree"
    assert all(path.stat().st_mtime_ns == begun[path] for path in kept), "made again"


@pytest.mark.parametrize("form", ["hdf5", "webdataset"])
def test_parts_that_a_killed_run_made_are_not_made_again(store, small_shards, tmp_path, form, monkeypatch):
    def recorded(source, folder, part):
        made.append(list(part))
        make(source, folder, part)

    made, module = [], formats.FORMATS[form]
    make = module.make
    run_until_killed(store, tmp_path / "set", form)
    monkeypatch.setattr(module, "make", recorded)
    blend(store.path, COUNT, tmp_path / "set", format=form, seed=SEED)
    assert made == [[20, 21, 22, 23], [24, 25]]


def test_parts_of_a_shard_that_is_whole_are_removed(store, small_shards, tmp_path, monkeypatch):
    def watched(*args):
        for result in in_order(*args):
            left.append(len(list((tmp_path / "set" / "parts").iterdir())))
            yield result

    in_order, left = command.in_order, []
    monkeypatch.setattr(command, "in_order", watched)
    blend(store.path, COUNT, tmp_path / "set", format="webdataset", seed=SEED)
    assert left == [1, 2, 1, 2, 1, 2, 1]


@EACH_FORMAT
def test_a_whole_set_is_left_as_it_is(store, whole, form, capsys):
    before = {path: path.stat().st_mtime_ns for path in whole[form].rglob("*") if path.name != manifest.LOCK}
    blend(store.path, COUNT, whole[form], format=form, seed=SEED)
    assert f"all {COUNT} samples are there already" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(
    ("form", "part"),
    [
        ("tree", "fake/*"),
        ("tree", "real/*.png"),
        ("tree", "real/*.json"),
        ("hdf5", "blended.h5"),
        ("webdataset", "blended-000001.tar"),
    ],
)
def test_a_part_that_was_removed_is_made_again(store, whole, copy_of_whole, form, part):
    out = copy_of_whole(form)
    gone = next(out.glob(part))
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(StoreError, match="run the blend that made it again"):
        list(read_blended(out))
    blend(store.path, COUNT, out, format=form, seed=SEED)
    assert file_digests(out) == file_digests(whole[form])


def test_what_a_kill_cut_off_is_cleared(store, small_shards, tmp_path):
    leftovers = ["real/.000000.png.1.part", "fake/.000001.part/mask.png", ".blended.h5.part", ".manifest.json.1.part"]
    out = blend(store.path, 4, tmp_path / "set")
    for path in [*(out / name for name in leftovers), *(out / "fake").iterdir()]:
        shutil.rmtree(path) if path.is_dir() else path.parent.mkdir(exist_ok=True)
    for name in leftovers:
        (out / name).write_text("half")
    blend(store.path, 4, out)
    assert list(out.rglob("*.part")) == []
    assert len(list(read_blended(out))) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": SEED + 1}, "seed 3, now 4"),
        ({"count": COUNT + 1}, f"count {COUNT}, now {COUNT + 1}"),
        ({"format": "hdf5"}, "format 'webdataset', now 'hdf5'"),
        ({"blending": BlendConfig(real_prob=0.25)}, "real_prob 0.5, now 0.25"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_set_of_other_settings_is_refused_and_kept(store, whole, changes, said):
    before = file_digests(whole["webdataset"])
    settings = {"count": COUNT, "format": "webdataset", "seed": SEED, **changes}
    with pytest.raises(SettingsError, match=said) as refused:
        blend(store.path, out=whole["webdataset"], **settings)
    assert f"--seed {SEED}" in str(refused.value).splitlines()[-1]
    assert file_digests(whole["webdataset"]) == before


def test_a_store_that_was_changed_is_another(store, copy_of_whole, tmp_path):
    about = json.loads((copy_of_whole("tree") / "manifest.json").read_text())
    manifest.write(tmp_path / "tree", {**about, "store_sha256": "0"})
    with pytest.raises(SettingsError, match="store_sha256"):
        blend(store.path, COUNT, tmp_path / "tree", seed=SEED)


def test_a_store_that_is_changed_meanwhile_is_told(store, tmp_path, monkeypatch):
    def grow(*args):
        yield from in_order(*args)
        with (copy / "faces.parquet").open("ab") as file:
            file.write(b"more")

    in_order, copy = command.in_order, shutil.copytree(store.path, tmp_path / "store")
    monkeypatch.setattr(command, "in_order", grow)
    with pytest.raises(StoreError, match="was changed while the set was made"):
        blend(copy, 2, tmp_path / "set")
    with pytest.raises(StoreError, match="was not finished"):
        list(read_blended(tmp_path / "set"))


def test_a_run_that_made_nothing_leaves_its_folder_to_other_settings(store, tmp_path, monkeypatch):
    def stopped(*args):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(command, "in_order", stopped)
    with pytest.raises(KeyboardInterrupt):
        blend(store.path, 9, tmp_path / "set")
    monkeypatch.undo()
    blend(store.path, 4, tmp_path / "set")
    assert len(list(read_blended(tmp_path / "set"))) == 4


@pytest.mark.parametrize("name", ["mine.txt", "manifest.json", ".hidden", "blended.h5"])
def test_a_folder_of_somebody_else_is_refused_and_kept(store, tmp_path, name):
    (tmp_path / name).write_text('{"samples": []}')
    with pytest.raises(SettingsError, match="name a new folder"):
        blend(store.path, 2, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"samples": []}'


def test_a_file_in_the_place_of_the_folder_is_refused(store, tmp_path):
    (tmp_path / "set").write_text("mine")
    with pytest.raises(SettingsError, match="name a new folder"):
        blend(store.path, 2, tmp_path / "set")
    with pytest.raises(SettingsError, match="name another folder"):
        blend(store.path, 2, tmp_path / "set" / "below")


def test_two_writers_at_once_are_refused(store, whole):
    about = manifest.read(whole["tree"])
    with manifest.claimed(whole["tree"], about), pytest.raises(StoreError, match="another facexray blend"):
        blend(store.path, COUNT, whole["tree"], seed=SEED)


@EACH_FORMAT
def test_a_full_disk_leaves_a_set_to_go_on_with(store, whole, tmp_path, form, monkeypatch):
    def full(*args):
        for number, sample in enumerate(in_order(*args)):
            if number == 3:
                raise OSError(28, "No space left on device")
            yield sample

    in_order = command.in_order
    monkeypatch.setattr(command, "in_order", full)
    with pytest.raises(StoreError, match=r"free space, .*the same command again"):
        blend(store.path, COUNT, tmp_path / "set", format=form, seed=SEED)
    assert list(tmp_path.rglob("*.part*")) == []
    monkeypatch.undo()
    make_shards_small(monkeypatch)
    blend(store.path, COUNT, tmp_path / "set", format=form, seed=SEED)
    assert file_digests(tmp_path / "set") == file_digests(whole[form])


def test_a_disk_that_is_full_when_the_parts_are_joined_is_told(store, whole, tmp_path, monkeypatch):
    def full(*args):
        raise RuntimeError("Can't decrement id ref count (No space left on device)")

    monkeypatch.setattr(hdf5, "_copy", full)
    with pytest.raises(StoreError, match=r"No space left.*the same command again"):
        blend(store.path, COUNT, tmp_path / "set", format="hdf5", seed=SEED)
    monkeypatch.undo()
    make_shards_small(monkeypatch)
    blend(store.path, COUNT, tmp_path / "set", format="hdf5", seed=SEED)
    assert file_digests(tmp_path / "set") == file_digests(whole["hdf5"])


@EACH_FORMAT
def test_a_disk_without_room_is_told_beforehand(store, tmp_path, form, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(formats, "shutil", type("Full", (), {"disk_usage": lambda _: usage}))
    with pytest.raises(StoreError, match=r"3 samples need up to .* GB.*free space"):
        blend(store.path, 3, tmp_path / "set", format=form)


@EACH_FORMAT
def test_verify_redraws_a_set(whole, form, capsys):
    assert main(["blend", "--verify", str(whole[form]), "--samples", "7"]) == 0
    assert capsys.readouterr().out == "7 of 7 samples redrawn byte for byte\n"


def test_verify_redraws_every_sample_of_a_small_set(whole, capsys):
    blend(verify=whole["tree"], samples=1000)
    assert f"{COUNT} of {COUNT} samples" in capsys.readouterr().out


def test_verify_takes_a_store_that_was_moved(whole, copy_of_whole, store, tmp_path):
    out = copy_of_whole("hdf5")
    about = manifest.read(out)
    about["settings"]["store"] = str(tmp_path / "gone")
    manifest.write(out, about)
    with pytest.raises(StoreError, match=r"gone: .* name it: facexray blend STORE --verify"):
        blend(verify=out)
    assert main(["blend", str(store.path), "--verify", str(out)]) == 0


def test_verify_takes_an_hdf5_file_that_stands_alone(whole, tmp_path, capsys):
    shutil.copy(whole["hdf5"] / "blended.h5", tmp_path / "moved.hdf5")
    blend(verify=tmp_path / "moved.hdf5")
    assert "20 of 20" in capsys.readouterr().out


def test_verify_finds_a_changed_pixel(copy_of_whole):
    out = copy_of_whole("tree")
    image = next(iter(sorted((out / "real").glob("*.png"))))
    pixels = read_image(image)
    pixels[7, 7, 0] ^= 1
    write_image(image, pixels)
    with pytest.raises(StoreError, match=rf"sample {image.stem}: 1 of 196608 values of the image differ, by up to 1"):
        blend(verify=out, samples=COUNT)


def test_verify_finds_a_changed_mask(copy_of_whole):
    out = copy_of_whole("tree")
    fake = next((out / "fake").iterdir())
    mask = np.array(Image.open(fake / "mask.png"))
    mask[128] ^= 1
    Image.fromarray(mask).save(fake / "mask.png")
    with pytest.raises(StoreError, match=rf"sample {fake.name}: 256 of 65536 values of the mask"):
        blend(verify=out, samples=COUNT)


def test_verify_finds_a_changed_recipe(copy_of_whole):
    out = copy_of_whole("tree")
    fakes = sorted((out / "fake").iterdir())
    recipe = json.loads((fakes[0] / "recipe.json").read_text())
    (fakes[0] / "recipe.json").write_text(json.dumps({**recipe, "flip": not recipe["flip"]}))
    (fakes[1] / "recipe.json").write_text(json.dumps({**recipe, "background": "nobody"}))
    (fakes[2] / "recipe.json").write_text(json.dumps({"background": recipe["background"]}))
    with pytest.raises(StoreError, match=f"3 of {COUNT} samples came out otherwise; sample {fakes[0].name}: "):
        blend(verify=out, samples=COUNT)


def test_verify_finds_a_sample_of_another_number(copy_of_whole):
    out = copy_of_whole("tree")
    fakes = sorted((out / "fake").iterdir())
    shutil.rmtree(fakes[1])
    shutil.copytree(fakes[0], fakes[1])
    with pytest.raises(StoreError, match=rf"sample {fakes[1].name}: its recipe is not the one that is drawn for"):
        blend(verify=out, samples=COUNT)


def test_verify_finds_an_xray_of_another_mask(copy_of_whole):
    out = copy_of_whole("tree")
    fake = next((out / "fake").iterdir())
    shutil.copy(fake / "mask.png", fake / "xray.png")
    with pytest.raises(StoreError, match=rf"1 of {COUNT} .*sample {fake.name}: its xray\.png is not"):
        blend(verify=out, samples=COUNT)


@pytest.mark.parametrize("name", ["blended.png", "mask.png", "xray.png", "foreground.png"])
def test_a_file_of_a_fake_that_was_removed_is_made_again(store, whole, copy_of_whole, name):
    out = copy_of_whole("tree")
    next((out / "fake").iterdir()).joinpath(name).unlink()
    blend(store.path, COUNT, out, format="tree", seed=SEED)
    assert file_digests(out) == file_digests(whole["tree"])


def test_verify_finds_a_changed_label(copy_of_whole):
    out = copy_of_whole("hdf5")
    with h5py.File(out / "blended.h5", "r+") as file:
        label = file["labels"][5]
        file["labels"][5] = 1 - label
    with pytest.raises(StoreError, match=f"sample 000005: label {1 - label}, redrawn {label}"):
        blend(verify=out, samples=COUNT)


def test_verify_says_what_may_have_made_the_difference(copy_of_whole):
    out = copy_of_whole("tree")
    fake = next((out / "fake").iterdir())
    shutil.copy(fake / "background.png", fake / "blended.png")
    manifest.write(out, {**manifest.read(out), "opencv_version": "4.0.0", "store_sha256": "0"})
    with pytest.raises(StoreError, match=r"opencv_version was 4\.0\.0, is .*is another store, or was changed"):
        blend(verify=out, samples=COUNT)


def test_the_contact_sheet_shows_fakes(store, tmp_path):
    blend(store.path, 3, tmp_path / "set", sheet=tmp_path / "sheet.png", blending=BlendConfig(real_prob=0))
    assert Image.open(tmp_path / "sheet.png").size == (5 * 164, 24 + 3 * 184)


def test_a_sheet_may_lie_in_the_set_s_own_new_folder(store, tmp_path):
    for _ in range(2):
        blend(store.path, 3, tmp_path / "set", sheet=tmp_path / "set" / "sheet.png")
    assert (tmp_path / "set" / "sheet.png").is_file()
    assert len(list(read_blended(tmp_path / "set"))) == 3


def test_a_sheet_has_a_limit(store, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "SHEET_ROWS", 2)
    blend(store.path, 3, tmp_path / "set", sheet=tmp_path / "sheet.png", blending=BlendConfig(real_prob=0))
    assert Image.open(tmp_path / "sheet.png").size == (5 * 164, 24 + 2 * 184)


def test_a_sheet_of_a_set_without_fakes_is_its_header(store, tmp_path):
    blend(store.path, 2, tmp_path / "set", sheet=tmp_path / "sheet.png", blending=BlendConfig(real_prob=1))
    assert Image.open(tmp_path / "sheet.png").size == (5 * 164, 24)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"count": 0}, "at least 1"),
        ({"workers": 0}, "at least 1"),
        ({"seed": -1}, "at least 0"),
        ({"format": "zip"}, "tree, hdf5, webdataset"),
        ({"count": None}, "--count"),
        ({"out": None}, "--out"),
        ({"store": None}, "a store"),
        ({"verify": "set", "samples": 0}, "at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(store, tmp_path, settings, said):
    with pytest.raises(SettingsError, match=said):
        blend(**{"store": store.path, "count": 5, "out": tmp_path / "set", **settings})
    assert list(tmp_path.iterdir()) == []


def test_the_command_that_goes_on_gives_the_same_settings(store, tmp_path):
    config = BlendConfig(
        mode="bi",
        hull={"whole": 2.0, "mouth": 1.0},
        window_corner=(3, 4),
        degradations={"jpeg": Chance(0.5, 50, 60)},
        jpeg_subsampling="444",
    )
    about = manifest.describe(store.path, {"count": 2, "format": "tree", "seed": 9, "blending": config})
    words = shlex.split(manifest.command_of(about, tmp_path / "a b"))
    assert words[:2] == ["facexray", "blend"]
    assert main(words[1:]) == 0
    again = json.loads((tmp_path / "a b" / "manifest.json").read_text())["settings"]
    assert again == json.loads(json.dumps(about["settings"]))
    assert BlendConfig.from_dict(again["blending"]) == config
