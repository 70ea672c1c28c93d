import json

import layouts
import pytest

from facexray.errors import SettingsError
from facexray.evaluation.protocols.registry import read_manifest


@pytest.fixture
def tree(tmp_path):
    return layouts.faceforensics(tmp_path / "ff")


def names(manifest, method):
    return [item.video for item in manifest.items if item.method == method]


@pytest.mark.parametrize(("split", "a", "b"), [("train", "054", "071"), ("val", "672", "720"), ("test", "000", "003")])
def test_a_split_has_its_originals_and_both_directions_of_each_pair(tree, split, a, b):
    manifest = read_manifest(tree, "ff++", split)
    assert names(manifest, "real") == [a, b]
    for method in layouts.FF_METHODS:
        assert names(manifest, method) == [f"{a}_{b}", f"{b}_{a}"]
    assert len(manifest.items) == 2 + 2 * 5
    assert {(item.split, item.compression) for item in manifest.items} == {(split, "c23")}
    assert all(item.label == ("manipulated" in str(item.files[0])) for item in manifest.items)
    assert manifest.missing == []


def test_same_named_videos_of_two_methods_keep_apart_and_have_their_own_masks(tree):
    fakes = {item.method: item for item in read_manifest(tree, "ff++").items if item.video == "000_003"}
    assert len({item.key for item in fakes.values()}) == len(layouts.FF_METHODS)
    masks = tree / "manipulated_sequences" / "Deepfakes" / "masks" / "videos"
    assert fakes["Deepfakes"].masks == (masks / "000_003.mp4",)
    assert fakes["FaceSwap"].masks == ()


def test_originals_have_no_masks_even_if_one_bears_their_name(tree):
    layouts.put(tree / "manipulated_sequences" / "real" / "masks" / "videos" / "000.mp4")
    assert [item.masks for item in read_manifest(tree, "ff++").items if item.label == 0] == [(), ()]


def test_a_listed_video_that_is_not_there_is_named(tree):
    gone = tree / "manipulated_sequences" / "FaceSwap" / "c23" / "videos" / "003_000.mp4"
    gone.unlink()
    manifest = read_manifest(tree, "ff++")
    assert manifest.missing == [(str(gone), "not there")]
    assert names(manifest, "FaceSwap") == ["000_003"]


def test_a_method_that_was_never_downloaded_is_named_once(tmp_path):
    tree = layouts.faceforensics(tmp_path / "ff", methods=("Deepfakes",))
    manifest = read_manifest(tree, "ff++")
    assert [what.split("/")[1] for what, _ in manifest.missing] == list(layouts.FF_METHODS[1:])
    assert {why for _, why in manifest.missing} == {"no such folder: all of this method"}
    assert {item.method for item in manifest.items} == {"real", "Deepfakes"}


def test_of_several_compressions_one_must_be_named(tmp_path):
    tree = layouts.faceforensics(tmp_path / "ff", methods=("Deepfakes",), compressions=("c23", "c40"))
    with pytest.raises(SettingsError, match="holds c23, c40; name one: --compression c23"):
        read_manifest(tree, "ff++")
    for compression in ("c23", "c40"):
        items = read_manifest(tree, "ff++", compression=compression).items
        assert {item.compression for item in items} == {compression}
        assert all(f"/{compression}/" in item.files[0].as_posix() for item in items)


@pytest.mark.parametrize("on_disk", ["raw", "c0"])
@pytest.mark.parametrize("asked", ["raw", "c0", None])
def test_the_lossless_videos_have_two_names(tmp_path, on_disk, asked):
    tree = layouts.faceforensics(tmp_path / "ff", methods=("FaceSwap",), compressions=(on_disk,))
    items = read_manifest(tree, "ff++", compression=asked).items
    assert {item.compression for item in items} == {"raw"}
    assert all(item.files[0].is_file() for item in items)


def test_splits_are_found_where_the_repository_has_them(tree):
    (tree / "splits").mkdir()
    (tree / "test.json").rename(tree / "splits" / "test.json")
    assert len(read_manifest(tree, "ff++").items) == 12


@pytest.mark.parametrize("content", [[["000"]], [["000", 3]], ["000_003"], [["000", ""]]])
def test_a_split_that_holds_no_pairs_is_refused(tree, content):
    (tree / "test.json").write_text(json.dumps(content))
    with pytest.raises(SettingsError, match=r"test\.json: .* is no pair of names"):
        read_manifest(tree, "ff++")


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("test.json", r"test\.json: no such file"),
        ("original_sequences", "original_sequences/youtube/c23/videos: no such folder"),
        ("manipulated_sequences", "manipulated_sequences/Deepfakes/c23/videos: no such folder"),
    ],
)
def test_what_is_missing_is_named_with_the_place_to_get_it(tree, tmp_path, gone, named):
    (tree / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match=rf"{named}; expected .*github\.com/ondyari/FaceForensics"):
        read_manifest(tree, "ff++")


def test_dfd_takes_all_of_both_folders_in_one_tree_with_faceforensics(tree):
    layouts.dfd(tree)
    manifest = read_manifest(tree, "dfd")
    assert [(item.method, item.video, item.label) for item in manifest.items] == [
        ("real", "01__walking", 0),
        ("real", "02__walking", 0),
        ("DeepFakeDetection", "01_02__walking__YVGY8LOK", 1),
    ]
    assert [bool(item.masks) for item in manifest.items] == [False, False, True]
    assert {(item.split, item.compression) for item in manifest.items} == {("", "c23")}
    assert len(read_manifest(tree, "ff++").items) == 12, "DeepFakeDetection is no method of FaceForensics++"


@pytest.mark.parametrize("gone", ["original_sequences/actors", "manipulated_sequences/DeepFakeDetection"])
def test_dfd_without_one_of_its_folders(tmp_path, gone):
    tree = layouts.dfd(tmp_path / "ff")
    (tree / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match=f"{gone}/c23/videos: no such folder; expected .*ondyari"):
        read_manifest(tree, "dfd")
