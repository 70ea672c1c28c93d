import errno
import os
from pathlib import Path

import layouts
import pytest

from facexray.errors import SettingsError, StoreError
from facexray.evaluation.protocols.registry import read_manifest


@pytest.fixture
def tree(tmp_path):
    return layouts.folder(tmp_path / "labelled")


def test_the_first_folder_below_fake_is_the_method(tree):
    items = read_manifest(tree).items
    assert [(item.method, item.video, item.label) for item in items] == [
        ("real", "real/a.mp4", 0),
        ("real", "real/people/文/b.mp4", 0),
        ("fake", "fake/a.mp4", 1),
        ("lipsync", "fake/lipsync/a.mp4", 1),
        ("swap", "fake/swap/deep/a.mp4", 1),
    ]
    assert {item.dataset for item in items} == {"labelled"}


def test_each_picture_is_an_item_in_natural_order_and_nothing_else_is(tree):
    for name in ("real/set/10.png", "real/set/9.png", "real/set/notes.txt"):
        layouts.put(tree / name)
    videos = [item.video for item in read_manifest(tree).items if "set" in item.video]
    assert videos == ["real/set/9.png", "real/set/10.png"]


def test_the_folder_may_be_where_one_stands(tree, monkeypatch):
    monkeypatch.chdir(tree)
    items = read_manifest(Path()).items
    assert {item.dataset for item in items} == {"labelled"}
    assert items[0].video == "real/a.mp4"


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_that_are_no_text_become_text(tree):
    layouts.put(tree / "fake" / os.fsdecode(b"m\xff") / "b.png")
    item = next(item for item in read_manifest(tree).items if item.files[0].name == "b.png")
    assert (item.method, item.video) == ("m\\udcff", "fake/m\\udcff/b.png")
    item.video.encode()
    assert item.files[0].is_file()


@pytest.mark.parametrize("gone", ["real", "fake"])
def test_both_folders_are_needed(tree, tmp_path, gone):
    (tree / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(
        SettingsError, match=f"no folder {gone}/ in it; put real images in real/ and fake ones in fake/"
    ):
        read_manifest(tree)


@pytest.mark.parametrize(("emptied", "counts"), [("real", "0 real and 3 fake"), ("fake", "2 real and 0 fake")])
def test_both_classes_are_needed(tree, tmp_path, emptied, counts):
    (tree / emptied).rename(tmp_path / "elsewhere")
    (tree / emptied).mkdir()
    with pytest.raises(SettingsError, match=f"needs real and fake items; got {counts}"):
        read_manifest(tree)


def test_a_method_called_real_is_refused(tree):
    layouts.put(tree / "fake" / "real" / "a.png")
    with pytest.raises(SettingsError, match="fake/real: fakes of a method called real; rename the folder"):
        read_manifest(tree)


def test_a_blended_set_without_its_manifest_is_not_taken_for_a_labelled_folder(tree):
    layouts.put(tree / "fake" / "000005" / "recipe.json")
    with pytest.raises(StoreError, match=r"a blended set whose manifest\.json is gone"):
        read_manifest(tree)


def test_a_folder_that_may_not_be_read_is_reported(tree, monkeypatch):
    walk = os.walk

    def forbid(path, onerror, followlinks):
        for folder, subfolders, names in walk(path, onerror=onerror, followlinks=followlinks):
            if "swap" in subfolders:
                subfolders.remove("swap")
                onerror(PermissionError(errno.EACCES, "Permission denied", str(Path(folder, "swap"))))
            yield folder, subfolders, names

    monkeypatch.setattr("os.walk", forbid)
    manifest = read_manifest(tree)
    assert manifest.missing == [(str(tree / "fake" / "swap"), "folder cannot be read (Permission denied)")]
    assert len(manifest.items) == 4


def test_a_linked_folder_is_a_method_and_a_second_name_of_one_is_told(tree, tmp_path):
    layouts.put(tmp_path / "elsewhere" / "x.mp4")
    (tree / "fake" / "linked").symlink_to(tmp_path / "elsewhere")
    (tree / "fake" / "again").symlink_to(tree / "fake" / "lipsync")
    manifest = read_manifest(tree)
    assert ("linked", "fake/linked/x.mp4") in {(item.method, item.video) for item in manifest.items}
    assert "again" not in {item.method for item in manifest.items}
    why = f"same folder as another (taken as {tree / 'fake' / 'lipsync'})"
    assert manifest.missing == [(str(tree / "fake" / "again"), why)]
