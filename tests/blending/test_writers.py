"""The formats of blended sets: what lies on disk, and what their readers refuse."""

import json
import re
import shutil
import tarfile

import h5py
import numpy as np
import pytest
from PIL import Image

from facexray.blending.command import blend
from facexray.blending.generate import render, render_both, view_of
from facexray.blending.recipe import Recipe
from facexray.blending.writers import is_blended_set, manifest, parts, read_blended, webdataset
from facexray.errors import StoreError

COUNT = 12


@pytest.fixture(scope="module")
def sets(store, tmp_path_factory):
    """The same set in each format; the shards hold 5 samples."""
    folder = tmp_path_factory.mktemp("sets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webdataset, "SHARD_SAMPLES", 5)
        patch.setattr(parts, "PART_SAMPLES", 2)
        yield {
            form: blend(store.path, COUNT, folder / form, format=form, seed=3)
            for form in ("tree", "hdf5", "webdataset")
        }


@pytest.fixture
def copy_of_set(sets, tmp_path):
    """A function that gives a copy of such a set to spoil."""
    return lambda form: shutil.copytree(sets[form], tmp_path / form)


@pytest.mark.parametrize("form", ["tree", "hdf5", "webdataset"])
def test_the_reader_gives_what_the_recipes_say(sets, store, form):
    views = list(read_blended(sets[form]))
    assert [view.name for view in views] == [f"{number:06d}" for number in range(COUNT)]
    for view in views:
        sample = render(Recipe.from_dict(view.recipe), store)
        assert np.array_equal(view.image, sample.image)
        assert np.array_equal(view.mask, sample.mask)
        assert np.array_equal(view.xray, sample.xray)
        assert (view.label, view.background) == (sample.label, sample.recipe.background)
        assert view.video == store[store.index_of[view.background]].video
        assert view.mask.dtype == np.float32


@pytest.mark.parametrize("form", ["tree", "hdf5", "webdataset"])
def test_single_samples_can_be_read(sets, form):
    everything = list(read_blended(sets[form]))
    for view in read_blended(sets[form], [0, 4, 5, 11]):
        assert np.array_equal(view.image, everything[int(view.name)].image)


def test_a_tree_holds_numbered_pictures(sets, store):
    tree = sets["tree"]
    reals, fakes = {path.stem for path in (tree / "real").iterdir()}, {path.name for path in (tree / "fake").iterdir()}
    assert reals | fakes == {f"{number:06d}" for number in range(COUNT)}
    assert not reals & fakes
    assert {path.suffix for path in (tree / "real").iterdir()} == {".png", ".json"}
    for folder in (tree / "fake").iterdir():
        pictures = {path.stem: np.array(Image.open(path)) for path in folder.glob("*.png")}
        assert set(pictures) == {"background", "foreground", "mask", "blended", "xray"}
        mask = pictures["mask"] / 255
        assert np.abs(4 * mask * (1 - mask) * 255 - pictures["xray"]).max() <= 0.5 + 1e-4
        (view,) = read_blended(tree, [int(folder.name)])
        recipe = Recipe.from_dict(view.recipe)
        _, layers = render_both(recipe, store)
        assert np.array_equal(pictures["background"], view_of(layers.background, recipe))
        assert np.array_equal(pictures["foreground"], view_of(layers.foreground, recipe))


def test_an_hdf5_file_holds_arrays(sets):
    assert {path.name for path in sets["hdf5"].iterdir()} == {"blended.h5", "manifest.json", ".lock"}
    with h5py.File(sets["hdf5"] / "blended.h5") as file:
        shapes = {name: (data.shape, data.dtype) for name, data in file.items()}
        assert shapes["images"] == ((COUNT, 256, 256, 3), np.uint8)
        assert shapes["masks"] == ((COUNT, 256, 256), np.uint8)
        assert file["masks"].compression == "gzip"
        assert shapes["labels"] == ((COUNT,), np.uint8)
        recipes = [json.loads(text) for text in file["recipes"].asstr()]
        assert [recipe["background"] for recipe in recipes] == list(file["backgrounds"].asstr())
        about = json.loads(file.attrs["about"])
        assert (about["complete"], about["settings"]["seed"]) == (True, 3)


def test_tar_shards_keep_to_the_convention_of_webdataset(sets):
    """Members of one sample follow each other and share all before the first dot; the rest is the key."""
    keys = []
    paths = sorted(sets["webdataset"].glob("*.tar"))
    assert [path.name for path in paths] == [f"blended-{shard:06d}.tar" for shard in range(3)]
    for path in paths:
        with tarfile.open(path) as tar:
            members = tar.getmembers()
        assert {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in members} == {
            (0, 0, 0, "", 0o644)
        }
        keys += [re.fullmatch(r"([^.]+)[.]([^/]*)", member.name).groups() for member in members]
    suffixes = ["cls", "json", "mask.png", "png"]
    assert keys == [(f"{number:06d}", suffix) for number in range(COUNT) for suffix in suffixes]


def spoil_tree_image(out):
    path = next((out / "fake").iterdir()) / "blended.png"
    path.write_bytes(path.read_bytes()[:1000])
    return path.parent


def spoil_tree_recipe(out):
    path = next((out / "real").glob("*.json"))
    path.write_text("{")
    return path.with_suffix(".png")


def spoil_tree_mask(out):
    path = next((out / "fake").iterdir()) / "mask.png"
    Image.new("L", (9, 9)).save(path)
    return path.parent


def remove_real(out):
    path = next((out / "real").glob("*.png"))
    path.unlink()
    return path


def cut_file(name, share):
    def spoil(out):
        path = out / name
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        return path

    return spoil


def remove_shard(out):
    (out / "blended-000001.tar").unlink()
    return out / "blended-000001.tar"


def spoil_shard_image(out):
    path = out / "blended-000001.tar"
    with tarfile.open(path) as tar:
        place = tar.getmember("000006.png").offset_data
    content = bytearray(path.read_bytes())
    content[place : place + 8] = bytes(8)
    path.write_bytes(content)
    return path


def change_label(out):
    with h5py.File(out / "blended.h5", "r+") as file:
        file["labels"][2] = 9
    return "label 9"


def drop_dataset(out):
    with h5py.File(out / "blended.h5", "r+") as file:
        del file["masks"]
    return out / "blended.h5"


@pytest.mark.parametrize(
    ("form", "spoil"),
    [
        ("tree", spoil_tree_image),
        ("tree", spoil_tree_recipe),
        ("tree", spoil_tree_mask),
        ("tree", remove_real),
        ("webdataset", remove_shard),
        ("webdataset", spoil_shard_image),
        ("webdataset", cut_file("blended-000001.tar", 0.5)),
        ("webdataset", cut_file("blended-000000.tar", 0)),
        ("webdataset", cut_file("blended-000002.tar", 0.9)),
        ("hdf5", cut_file("blended.h5", 0.9)),
        ("hdf5", cut_file("blended.h5", 0)),
        ("hdf5", change_label),
        ("hdf5", drop_dataset),
    ],
)
def test_what_is_damaged_is_named_with_its_remedy(sets, copy_of_set, form, spoil):
    out = copy_of_set(form)
    named = spoil(out)
    with pytest.raises(StoreError, match=re.escape(str(named))) as refused:
        list(read_blended(out))
    assert "run the blend that made it again" in str(refused.value)
    assert f"facexray blend {manifest.read(out)['settings']['store']} --out {out}" in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b'{"made_by": "facexray blend"}',
        b'{"made_by": "facexray blend", "complete": true, "settings": {"count": "many"}}',
        b'{"made_by": "facexray blend", "complete": true, "settings": null}',
        b'{"made_by": "facexray blend", "complete": true, "settings": {"count": 0, "format": "tree"}}',
        b'{"made_by": "facexray blend", "complete": true, "settings": {"count": 1, "format": []}}',
    ],
)
def test_a_damaged_manifest_is_named(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"manifest\.json"):
        list(read_blended(tmp_path))


@pytest.mark.parametrize("content", [b"", b"no hdf5"])
def test_a_damaged_hdf5_file_that_stands_alone_is_named(tmp_path, content):
    (tmp_path / "alone.h5").write_bytes(content)
    with pytest.raises(StoreError, match=r"alone\.h5"):
        list(read_blended(tmp_path / "alone.h5"))


def test_an_hdf5_file_may_stand_alone(sets, tmp_path):
    shutil.copy(sets["hdf5"] / "blended.h5", tmp_path / "other.hdf5")
    assert is_blended_set(tmp_path / "other.hdf5")
    assert len(list(read_blended(tmp_path / "other.hdf5"))) == COUNT


def test_a_place_without_a_set_says_how_to_make_one(tmp_path):
    assert not is_blended_set(tmp_path)
    with pytest.raises(StoreError, match="facexray blend"):
        list(read_blended(tmp_path))


def test_a_part_is_awaited_even_if_a_later_one_comes_first(tmp_path):
    def made():
        for part in ([4, 5], [2, 3], [0, 1]):
            parts.write_part(tmp_path, part, [{"cls": b"0"}, {"cls": b"1"}])
            yield

    (tmp_path / "parts").mkdir()
    makes = made()
    assert list(parts.read_tar(parts.await_part(tmp_path, [2, 3], makes), [3], {"cls"})) == [(3, {"cls": b"1"})]
    assert not parts.part_path(tmp_path, [0, 1]).exists()
    with pytest.raises(FileNotFoundError):
        parts.await_part(tmp_path, [6, 7], makes)


def test_a_set_of_an_earlier_version_says_no_video_and_is_read(copy_of_set):
    out = copy_of_set("tree")
    before = list(read_blended(out))
    for path in (*out.glob("real/*.json"), *out.glob("fake/*/recipe.json")):
        record = json.loads(path.read_text())
        del record["background_video"]
        path.write_text(json.dumps(record))
    after = list(read_blended(out))
    assert [view.recipe for view in after] == [view.recipe for view in before]
    assert [view.video for view in after] == [view.background for view in before]
    assert all(view.video != view.background for view in before)
