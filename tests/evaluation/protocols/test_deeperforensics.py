import layouts
import pytest

from facexray.errors import SettingsError
from facexray.evaluation.protocols.registry import read_manifest


@pytest.fixture
def tree(tmp_path):
    return layouts.deeperforensics(tmp_path / "deeper")


def test_the_real_part_is_faceforensics_and_each_variant_a_method(tree):
    manifest = read_manifest(tree, "deeperforensics")
    assert [(item.method, item.video, item.label) for item in manifest.items] == [
        ("real", "000", 0),
        ("real", "003", 0),
        ("end_to_end", "000_M101", 1),
        ("end_to_end", "003_W018", 1),
        ("end_to_end_level_1", "000_M101", 1),
        ("end_to_end_level_1", "003_W018", 1),
    ]
    assert manifest.missing == []
    assert not any("source_videos" in str(item.files[0]) for item in manifest.items), "these are no real part"


@pytest.mark.parametrize(("split", "count"), [("train", 2 + 4), ("val", 1 + 2)])
def test_splits(tree, split, count):
    items = read_manifest(tree, "deeperforensics", split).items
    assert len(items) == count
    assert {item.split for item in items} == {split}


def test_a_video_that_one_variant_lacks_is_named(tree):
    gone = tree / "manipulated_videos" / "end_to_end_level_1" / "000_M101.mp4"
    gone.unlink()
    assert read_manifest(tree, "deeperforensics").missing == [(str(gone), "not there")]


@pytest.mark.parametrize("text", ["", "\n", "000_M101.mp4\nnonsense\n"])
def test_a_list_that_names_no_videos_is_refused(tree, text):
    (tree / "lists" / "splits" / "test.txt").write_text(text)
    with pytest.raises(SettingsError, match=r"test\.txt: .*expected a line per manipulated video"):
        read_manifest(tree, "deeperforensics")


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("lists", r"splits/test\.txt: no such file"),
        ("original_sequences", r"youtube/c23/videos: no such folder; expected FaceForensics\+\+'s originals at c23"),
        ("manipulated_videos", "manipulated_videos: no such folder"),
    ],
)
def test_what_is_missing_is_named_with_the_place_to_get_it(tree, tmp_path, gone, named):
    (tree / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match=rf"{named}.*github\.com/EndlessSora.*FaceForensics"):
        read_manifest(tree, "deeperforensics")


def test_no_variant_at_all(tree, tmp_path):
    for variant in ("end_to_end", "end_to_end_level_1"):
        (tree / "manipulated_videos" / variant).rename(tmp_path / variant)
    with pytest.raises(SettingsError, match="manipulated_videos/end_to_end: no such folder"):
        read_manifest(tree, "deeperforensics")
