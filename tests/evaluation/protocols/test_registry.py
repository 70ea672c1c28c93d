from pathlib import Path

import layouts
import pytest

from facexray.errors import SettingsError
from facexray.evaluation.protocols.registry import PROTOCOLS, read_manifest

BUILDERS = {
    "folder": layouts.folder,
    "csv": layouts.table,
    "ff++": layouts.faceforensics,
    "dfd": layouts.dfd,
    "celeb-df-v1": layouts.celeb_df,
    "celeb-df-v2": layouts.celeb_df,
    "dfdc": layouts.dfdc,
    "dfdc-preview": layouts.dfdc_preview,
    "deeperforensics": layouts.deeperforensics,
    "uadfv": layouts.uadfv,
    "ffiw": layouts.ffiw,
    "deepfakebench": layouts.deepfakebench,
}
EVERY = pytest.mark.parametrize("name", BUILDERS)


@pytest.fixture
def build(tmp_path):
    """A function that builds a protocol's miniature copy, and tells a split that it has."""

    def built(name, write=layouts.touch):
        return BUILDERS[name](tmp_path / "data", write), "val" if name == "ffiw" else "test"

    return built


def test_every_protocol_is_tested():
    assert set(BUILDERS) == set(PROTOCOLS)
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())


@EVERY
def test_a_manifest_is_whole_and_the_same_each_time(name, build):
    data, split = build(name)
    manifest = read_manifest(data, name, split)
    assert manifest == read_manifest(data, name, split)
    assert manifest.missing == []
    assert len({item.key for item in manifest.items}) == len(manifest.items)
    files = [path for item in manifest.items for path in item.files]
    assert len(set(files)) == len(files)
    for item in manifest.items:
        assert item.label == (item.method != "real")
        assert item.split in ("", split)
        assert all(path.is_file() for path in (*item.files, *item.masks))
        assert len(item.masks) in (0, len(item.files))
        assert not item.masks or item.label == 1


@EVERY
def test_no_video_or_picture_is_opened(name, build, monkeypatch):
    data, split = build(name)
    opened = Path.open

    def forbid(self, *args, **kwargs):
        assert self.suffix in (".json", ".csv", ".txt"), f"{self} is opened"
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", forbid)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail(f"{self} is read"))
    assert read_manifest(data, name, split).items


@EVERY
def test_layouts_are_told_or_guessed(name, build):
    data, _ = build(name)
    if name in ("folder", "csv", "uadfv"):
        assert read_manifest(data).items
        return
    with pytest.raises(SettingsError, match=rf"say --protocol NAME: it looks like .*{name.replace('+', '[+]')}"):
        read_manifest(data)


def test_anything_else_is_answered_with_the_names(tmp_path):
    with pytest.raises(
        SettingsError, match=r"which data set is it\?.*name one: folder, csv, ff\+\+, dfd, .*docs/protocols"
    ):
        read_manifest(tmp_path)
    with pytest.raises(SettingsError, match=r"--protocol kodf: no such protocol; known are auto, folder, csv"):
        read_manifest(tmp_path, "kodf")
    with pytest.raises(SettingsError, match="nowhere: no such file or folder"):
        read_manifest(tmp_path / "nowhere")
    layouts.put(tmp_path / "photo.png")
    with pytest.raises(SettingsError, match=r"photo\.png: which data set is it\?.*is no CSV file"):
        read_manifest(tmp_path / "photo.png")
    with pytest.raises(SettingsError, match="is a file; --protocol uadfv needs the data set's folder"):
        read_manifest(tmp_path / "photo.png", "uadfv")
    with pytest.raises(SettingsError, match="is a folder; --protocol csv needs the CSV file"):
        read_manifest(tmp_path, "csv")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("uadfv", {"split": "train"}, "UADFV .* has no splits: leave out --split; got --split train"),
        ("celeb-df-v2", {"split": "val"}, "Celeb-DF v2 .* has train, test; got --split val"),
        ("ff++", {"split": "holdout"}, "has train, val, test; got --split holdout"),
        ("dfdc", {"compression": "c23"}, "DFDC .* has no compressions: leave out --compression"),
        ("dfd", {"compression": "c10"}, "has raw, c23, c40; got --compression c10"),
    ],
)
def test_a_part_that_a_data_set_lacks_is_refused(name, options, message, build):
    data, _ = build(name)
    with pytest.raises(SettingsError, match=message):
        read_manifest(data, name, **options)


def test_a_data_set_of_which_nothing_is_there_says_so(build):
    data, _ = build("celeb-df-v2")
    for path in data.rglob("*.mp4"):
        path.unlink()
    with pytest.raises(
        SettingsError, match=r"0 real and 0 fake as Celeb-DF v2; of 4 missing, the first is .*00000\.mp4"
    ):
        read_manifest(data, "celeb-df-v2")


def test_a_method_called_as_all_together_is_refused_before_anything_is_scored(build):
    data, _ = build("folder")
    (data / "fake" / "overall").mkdir()
    (data / "fake" / "overall" / "a.mp4").touch()
    with pytest.raises(SettingsError, match=r"a\.mp4: its method is called overall"):
        read_manifest(data, "folder")


def test_a_folder_that_may_not_be_listed_is_an_error_of_ours(build, monkeypatch):
    data, _ = build("deeperforensics")

    def forbid(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", forbid)
    with pytest.raises(SettingsError, match=r"manipulated_videos: cannot be read \(Permission denied\)"):
        read_manifest(data, "deeperforensics")
