import layouts
import pytest

from facexray.errors import SettingsError
from facexray.evaluation.protocols.registry import read_manifest

LIST = "List_of_testing_videos.txt"


@pytest.fixture
def tree(tmp_path):
    return layouts.celeb_df(tmp_path / "celeb")


@pytest.mark.parametrize("version", [1, 2])
def test_one_in_the_list_means_real(tree, version):
    manifest = read_manifest(tree, f"celeb-df-v{version}")
    assert [(item.video, item.method, item.label) for item in manifest.items] == [
        ("Celeb-real/00000", "real", 0),
        ("YouTube-real/00000", "real", 0),
        ("Celeb-synthesis/id0_id1_0000", "Celeb-synthesis", 1),
        ("Celeb-synthesis/id1_id0_0000", "Celeb-synthesis", 1),
    ]
    assert {(item.dataset, item.split) for item in manifest.items} == {(f"Celeb-DF-v{version}", "test")}
    assert all(item.files == (tree / f"{item.video}.mp4",) for item in manifest.items)


def test_training_videos_are_those_that_the_list_leaves_out(tree):
    items = read_manifest(tree, "celeb-df-v2", "train").items
    assert [item.video for item in items] == [
        "Celeb-real/id0_0001",
        "YouTube-real/00001",
        "Celeb-synthesis/id0_id1_0001",
    ]
    assert [item.label for item in items] == [0, 0, 1]


def test_labels_turned_round_are_refused(tree):
    lines = (tree / LIST).read_text().splitlines()
    (tree / LIST).write_text("\n".join(f"{1 - int(line[0])}{line[1:]}" for line in lines))
    with pytest.raises(SettingsError, match="line 1 says 0 of a video in Celeb-real; in Celeb-DF's list 1 is real"):
        read_manifest(tree, "celeb-df-v2")


@pytest.mark.parametrize("line", ["1", "2 Celeb-real/a.mp4", "1 elsewhere/a.mp4", "1 Celeb-real/", "Celeb-real/a.mp4"])
def test_a_line_that_says_nothing_is_named(tree, line):
    (tree / LIST).write_text(f"1 Celeb-real/00000.mp4\n\n{line}\n")
    with pytest.raises(SettingsError, match=r"line 3 is .*expected a line per test video"):
        read_manifest(tree, "celeb-df-v2")


def test_an_empty_list_is_refused(tree):
    (tree / LIST).write_text("\n\n")
    with pytest.raises(SettingsError, match=r"List_of_testing_videos\.txt: is empty.*celeb-deepfakeforensics"):
        read_manifest(tree, "celeb-df-v1")


def test_the_second_version_is_not_taken_for_the_first(tree):
    lines = [f"{i % 2} {('Celeb-synthesis', 'Celeb-real')[i % 2]}/{i}.mp4" for i in range(518)]
    (tree / LIST).write_text("\n".join(lines))
    with pytest.raises(SettingsError, match="this is version 2; name it: --protocol celeb-df-v2"):
        read_manifest(tree, "celeb-df-v1")
    with pytest.raises(SettingsError, match=r"0 real and 0 fake as Celeb-DF v2; of 518 missing.*/0\.mp4 \(not there\)"):
        read_manifest(tree, "celeb-df-v2")


def test_other_tools_folders_videos_and_capitals_are_found(tree):
    (tree / "YouTube-real").rename(tree / "Youtube-real")
    for folder in ("Celeb-real", "Youtube-real", "Celeb-synthesis"):
        for path in list((tree / folder).iterdir()):
            layouts.put(tree / folder / "videos" / path.name)
            path.unlink()
    for split, count in (("test", 4), ("train", 3)):
        manifest = read_manifest(tree, "celeb-df-v2", split)
        assert len(manifest.items) == count
        assert manifest.missing == []
        assert "YouTube-real" in {item.video.split("/")[0] for item in manifest.items}


@pytest.mark.parametrize("gone", [LIST, "Celeb-real", "YouTube-real", "Celeb-synthesis"])
def test_what_is_missing_is_named_with_the_place_to_get_it(tree, tmp_path, gone):
    (tree / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match=rf"/{gone}: no such .*; expected .*github\.com/yuezunli"):
        read_manifest(tree, "celeb-df-v2")


def test_a_listed_video_that_is_not_there_is_named(tree):
    (tree / "Celeb-synthesis" / "id0_id1_0000.mp4").unlink()
    manifest = read_manifest(tree, "celeb-df-v2")
    assert manifest.missing == [(str(tree / "Celeb-synthesis" / "id0_id1_0000.mp4"), "not there")]
    assert len(manifest.items) == 3


@pytest.mark.parametrize(("version", "fakes"), [(2, 795), (1, 5639)])
def test_the_whole_of_the_other_version_is_known_by_its_fakes(tree, version, fakes):
    for number in range(fakes - 3):
        layouts.put(tree / "Celeb-synthesis" / f"more_{number}.mp4")
    with pytest.raises(SettingsError, match=f"fakes: this is version {3 - version}; name it: --protocol celeb-df-v"):
        read_manifest(tree, f"celeb-df-v{version}")
    assert len(read_manifest(tree, f"celeb-df-v{3 - version}").items) == 4
