import layouts
import pytest

from facexray.errors import SettingsError
from facexray.evaluation.protocols.registry import read_manifest


def test_uadfv_takes_videos_and_leaves_other_tools_frames_alone(tmp_path):
    items = read_manifest(layouts.uadfv(tmp_path / "uadfv"), "uadfv").items
    assert [(item.video, item.label) for item in items] == [
        ("0000", 0),
        ("0001", 0),
        ("0000_fake", 1),
        ("0001_fake", 1),
    ]


@pytest.mark.parametrize("gone", ["real", "fake"])
def test_uadfv_without_a_folder(tmp_path, gone):
    tree = layouts.uadfv(tmp_path / "uadfv")
    (tree / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match=f"/{gone}: no such folder; expected {gone} videos.*DeepfakeBench"):
        read_manifest(tree, "uadfv")


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("split", ["train", "val"])
def test_ffiw_pairs_same_named_videos_by_side_and_finds_masks(tmp_path, split, wrapped):
    layouts.ffiw(tmp_path / "FFIW10K-v1-release")
    tree = tmp_path if wrapped else tmp_path / "FFIW10K-v1-release"
    items = read_manifest(tree, "ffiw", split).items
    name = f"{split}_00000000"
    assert [(item.key, item.label, item.split) for item in items] == [
        (("FFIW", "real", name), 0, split),
        (("FFIW", "fake", name), 1, split),
    ]
    root = tmp_path / "FFIW10K-v1-release"
    assert [item.masks for item in items] == [(), (root / "target_mask" / split / f"{name}.mp4",)]


def test_ffiw_without_masks_has_none(tmp_path):
    tree = layouts.ffiw(tmp_path / "ffiw")
    (tree / "target_mask").rename(tmp_path / "elsewhere")
    assert [item.masks for item in read_manifest(tree, "ffiw", "val").items] == [(), ()]


def test_ffiw_says_which_splits_are_there(tmp_path):
    tree = layouts.ffiw(tmp_path / "ffiw")
    with pytest.raises(
        SettingsError, match=r"source/test: no such folder; .*those of train, val are there.*tfzhou/FFIW"
    ):
        read_manifest(tree, "ffiw")


def test_two_videos_of_one_name_are_refused(tmp_path):
    tree = layouts.uadfv(tmp_path / "uadfv")
    layouts.put(tree / "real" / "copy" / "0000.mp4")
    with pytest.raises(SettingsError, match=r"is the same video, UADFV / real / 0000, as .*; remove or rename one"):
        read_manifest(tree, "uadfv")
