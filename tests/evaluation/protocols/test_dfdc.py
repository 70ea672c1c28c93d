import json

import layouts
import pytest

from facexray.errors import SettingsError
from facexray.evaluation.protocols.registry import read_manifest


@pytest.fixture
def tree(tmp_path):
    return layouts.dfdc(tmp_path / "dfdc")


@pytest.fixture
def preview(tmp_path):
    return layouts.dfdc_preview(tmp_path / "preview")


def labels(data, protocol="dfdc", split="test"):
    return {item.video: item.label for item in read_manifest(data, protocol, split).items}


def test_each_split_has_its_own_way_to_say_the_label(tree):
    assert labels(tree) == {"test/aaa": 0, "test/bbb": 1}
    assert labels(tree, split="val") == {"validation/ccc": 1, "validation/ddd": 0}
    assert list(labels(tree, split="train").items()) == [
        ("train/dfdc_train_part_9/eee", 1),
        ("train/dfdc_train_part_9/fff", 0),
        ("train/dfdc_train_part_10/eee", 1),
        ("train/dfdc_train_part_10/fff", 0),
    ]


def test_the_folder_of_a_split_may_be_named_itself(tree):
    assert labels(tree / "test") == {"aaa": 0, "bbb": 1}
    assert labels(tree / "validation", split="val") == {"ccc": 1, "ddd": 0}
    assert labels(tree / "train" / "dfdc_train_part_9", split="train") == {"eee": 1, "fff": 0}


def test_videos_in_a_folder_of_their_own_are_found(tree):
    for name in ("aaa.mp4", "bbb.mp4"):
        layouts.put(tree / "test" / "videos" / name)
        (tree / "test" / name).unlink()
    manifest = read_manifest(tree, "dfdc")
    assert [item.files[0].parent.name for item in manifest.items] == ["videos", "videos"]
    assert manifest.missing == []


def test_training_videos_are_not_evaluated_as_the_test_set(tree):
    with pytest.raises(SettingsError, match="holds the split train, by its name, and not test"):
        read_manifest(tree / "train" / "dfdc_train_part_9", "dfdc")
    renamed = (tree / "train" / "dfdc_train_part_9").rename(tree / "part")
    with pytest.raises(SettingsError, match="name no video of the split test"):
        read_manifest(renamed, "dfdc")


def test_the_name_of_a_splits_folder_says_which_it_is_whatever_its_list(tree):
    (tree / "validation" / "metadata.json").unlink()
    (tree / "validation" / "labels.csv").write_text("filename,label\nccc.mp4,1\nddd.mp4,0\n")
    assert labels(tree / "validation", split="val") == {"ccc": 1, "ddd": 0}
    (tree / "test" / "metadata.json").write_text('{"aaa.mp4": {"is_fake": 0}, "bbb.mp4": {"is_fake": 1}}')
    for name, split, wrong in (("validation", "val", "test"), ("test", "test", "train"), ("test", "test", "val")):
        with pytest.raises(SettingsError, match=f"holds the split {split}, by its name, and not {wrong}"):
            read_manifest(tree / name, "dfdc", wrong)


def test_no_list_of_labels(tree):
    (tree / "test" / "labels.csv").unlink()
    with pytest.raises(
        SettingsError, match=r"test/labels\.csv: no such file; expected .*metadata\.json.*ai\.meta\.com"
    ):
        read_manifest(tree, "dfdc")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename,label\n", "has no row"),
        ("name,label\naaa.mp4,0\n", "has the columns name, label"),
        ("filename,label\naaa.mp4,0\nbbb.mp4,maybe\n", "line 3: .*expected a file name and 0"),
        ("label,filename\n1\n", "line 2: .*expected a file name and 0"),
        ("label,filename\n1,.\n", "line 2: .*expected a file name and 0"),
    ],
)
def test_a_damaged_table_is_named(tree, text, message):
    (tree / "test" / "labels.csv").write_text(text)
    with pytest.raises(SettingsError, match=rf"labels\.csv: {message}"):
        read_manifest(tree, "dfdc")


@pytest.mark.parametrize("entry", [{}, {"label": "fakish"}, {"is_fake": 2}, 1, None])
def test_damaged_metadata_is_named(tree, entry):
    (tree / "validation" / "metadata.json").write_text(json.dumps({"ccc.mp4": {"is_fake": 1}, "ddd.mp4": entry}))
    with pytest.raises(SettingsError, match=r"metadata\.json: 'ddd\.mp4' is .*; expected its label"):
        read_manifest(tree, "dfdc", "val")


def test_metadata_without_a_name_is_refused_and_booleans_are_labels(tree):
    path = tree / "validation" / "metadata.json"
    path.write_text(json.dumps({"ccc.mp4": {"is_fake": True}, "ddd.mp4": {"is_fake": False}}))
    assert labels(tree, split="val") == {"validation/ccc": 1, "validation/ddd": 0}
    path.write_text(json.dumps({"": {"is_fake": 1}}))
    with pytest.raises(SettingsError, match=r"metadata\.json: '' is"):
        read_manifest(tree, "dfdc", "val")


def test_a_listed_video_that_is_not_there_is_named(tree):
    layouts.put(tree / "test" / "eee.mp4")
    (tree / "test" / "labels.csv").write_text("filename,label\naaa.mp4,0\nbbb.mp4,1\nccc.mp4,1\n")
    manifest = read_manifest(tree, "dfdc")
    assert manifest.missing == [(str(tree / "test" / "ccc.mp4"), "not there")]
    assert [item.video for item in manifest.items] == ["test/aaa", "test/bbb"]


def test_the_previews_methods_keep_same_named_videos_apart(preview):
    items = read_manifest(preview, "dfdc-preview").items
    assert [(item.method, item.label) for item in items] == [("real", 0), ("method_A", 1), ("method_B", 1)]
    assert items[1].files[0].name == items[2].files[0].name
    assert items[1].key != items[2].key
    assert labels(preview, "dfdc-preview", "train") == {
        "original_videos/643049/643049_B_001": 0,
        "method_A/643049/643049_B/1224068_643049_B_001": 1,
    }


def test_the_previews_videos_in_a_folder_of_their_own_are_found(preview):
    for folder in ("original_videos", "method_A", "method_B"):
        (preview / folder).rename(preview / "moved")
        (preview / folder).mkdir()
        (preview / "moved").rename(preview / folder / "videos")
    manifest = read_manifest(preview, "dfdc-preview")
    assert len(manifest.items) == 3
    assert manifest.missing == []


@pytest.mark.parametrize("entry", [{"label": "fake"}, {"set": "test"}, {"label": "fake", "set": "holdout"}, "fake"])
def test_a_damaged_preview_is_named(preview, entry):
    (preview / "dataset.json").write_text(json.dumps({"method_A/a.mp4": entry}))
    with pytest.raises(
        SettingsError, match=r"dataset\.json: 'method_A/a\.mp4' is .*; expected each video's label and set"
    ):
        read_manifest(preview, "dfdc-preview")


def test_a_preview_without_its_list(preview):
    (preview / "dataset.json").unlink()
    with pytest.raises(SettingsError, match=r"dataset\.json: no such file; expected .*ai\.meta\.com"):
        read_manifest(preview, "dfdc-preview")
