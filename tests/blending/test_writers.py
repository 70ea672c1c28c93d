import json

import h5py
import numpy as np
import pytest
from PIL import Image

from facexray.blending import writers
from facexray.blending.command import blend
from facexray.blending.generate import render
from facexray.blending.recipe import BlendConfig, Recipe
from facexray.blending.writers import read_blended
from facexray.errors import SettingsError, StoreError

COUNT = 12


@pytest.fixture(scope="module")
def tree(store, tmp_path_factory):
    return blend(store.path, COUNT, tmp_path_factory.mktemp("sets") / "tree", seed=3)


@pytest.fixture(scope="module")
def hdf5(store, tmp_path_factory):
    return blend(store.path, COUNT, tmp_path_factory.mktemp("sets") / "hdf5", format="hdf5", seed=3, workers=2)


def test_both_formats_and_any_workers_hold_the_same_images(tree, hdf5):
    by_tree = sorted((view.label, view.background, view.image.tobytes()) for view in read_blended(tree))
    by_hdf5 = sorted((view.label, view.background, view.image.tobytes()) for view in read_blended(hdf5))
    assert len(by_tree) == COUNT
    assert by_tree == by_hdf5
    assert {label for label, *_ in by_tree} == {0, 1}


def test_every_sample_can_be_redrawn_from_its_saved_recipe(tree, hdf5, store):
    for folder in (tree / "fake").iterdir():
        recipe = Recipe.from_dict(json.loads((folder / "recipe.json").read_text()))
        assert np.array_equal(render(recipe, store).image, np.array(Image.open(folder / "blended.png")))
    with h5py.File(hdf5 / "blended.h5") as file:
        for row, text in enumerate(file["recipes"].asstr()):
            sample = render(Recipe.from_dict(json.loads(text)), store)
            assert np.array_equal(sample.image, file["images"][row])
            assert np.array_equal(sample.mask, file["masks"][row])
            assert sample.label == file["labels"][row]
        assert json.loads(file.attrs["about"])["settings"]["seed"] == 3


def test_a_fake_has_its_five_pictures_and_the_xray_of_its_mask(tree):
    for folder in (tree / "fake").iterdir():
        pictures = {path.stem: np.array(Image.open(path)) for path in folder.glob("*.png")}
        assert set(pictures) == {"background", "foreground", "mask", "blended", "xray"}
        mask = pictures["mask"][..., 0] / 255
        # The mask's picture is rounded to 1/255, of which the X-ray's slope makes up to 4/255.
        assert np.abs(4 * mask * (1 - mask) * 255 - pictures["xray"][..., 0]).max() <= 3


def test_the_manifest_counts_and_says_how_it_was_made(tree):
    manifest = json.loads((tree / "manifest.json").read_text())
    assert sum(manifest["counts"].values()) == COUNT == len(manifest["samples"])
    assert manifest["settings"]["seed"] == 3
    assert manifest["counts"]["real"] == len(list((tree / "real").glob("*.png")))
    assert manifest["counts"]["fake"] == len(list((tree / "fake").iterdir()))


def test_the_contact_sheet_shows_fakes(store, tmp_path):
    blend(store.path, 3, tmp_path / "set", sheet=tmp_path / "sheet.png", blending=BlendConfig(real_prob=0))
    assert Image.open(tmp_path / "sheet.png").size == (5 * 164, 24 + 3 * 164)


def test_a_sheet_of_a_set_without_fakes_is_its_header(store, tmp_path):
    blend(store.path, 2, tmp_path / "set", sheet=tmp_path / "sheet.png", blending=BlendConfig(real_prob=1))
    assert Image.open(tmp_path / "sheet.png").size == (5 * 164, 24)


def test_an_output_that_is_in_the_way_is_refused_and_kept(store, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SettingsError, match="not empty"):
        blend(store.path, 2, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_full_disk_leaves_no_half_file(store, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writers.h5py, "File", full)
    with pytest.raises(StoreError, match="free space"):
        blend(store.path, 2, tmp_path / "set", format="hdf5")
    assert list((tmp_path / "set").iterdir()) == []


@pytest.mark.parametrize("content", ["", "{}", '{"samples": [{"image": "none.png"}]}'])
def test_a_damaged_tree_is_named(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(StoreError, match=r"manifest\.json"):
        list(read_blended(tmp_path))


def test_a_damaged_hdf5_file_is_named(tmp_path):
    (tmp_path / "blended.h5").write_bytes(b"no hdf5")
    with pytest.raises(StoreError, match=r"blended.h5"):
        list(read_blended(tmp_path))


def test_a_place_without_a_set_says_how_to_make_one(tmp_path):
    with pytest.raises(StoreError, match="facexray blend"):
        list(read_blended(tmp_path))


@pytest.mark.parametrize(("count", "workers"), [(0, 1), (5, 0)])
def test_counts_below_one_are_refused(store, tmp_path, count, workers):
    with pytest.raises(SettingsError, match="at least 1"):
        blend(store.path, count, tmp_path / "set", workers=workers)
