import errno
import random
from pathlib import Path

import pytest

from facexray.errors import SettingsError
from facexray.evaluation.protocols.layout import Request, absent, is_folder, natural, place


@pytest.fixture
def request_of(tmp_path):
    return Request(tmp_path, "test", None, "somewhere")


def test_natural_order_counts_and_keeps_folders_together():
    wanted = ["a/2.png", "a/10.png", "a/010.png", "a-b/1.png", "b/帧9.png", "b/帧10.png", "b/帧10x.png"]
    shuffled = random.Random(0).sample(wanted, len(wanted))
    assert sorted(shuffled, key=natural) == ["a/2.png", "a/010.png", "a/10.png", *wanted[3:]]


def test_names_of_any_kind_can_be_sorted():
    names = ["1", "", "²", "٣.png", "9" * 300, "\udcff.png", "x/1/y", "/"]
    assert len(sorted(names, key=natural)) == len(names)


def test_a_listed_file_is_found_with_and_without_the_folder_videos(tmp_path):
    (tmp_path / "videos").mkdir()
    assert place(tmp_path, "a.mp4") == tmp_path / "a.mp4"
    (tmp_path / "videos" / "a.mp4").touch()
    assert place(tmp_path, "a.mp4") == tmp_path / "videos" / "a.mp4"
    (tmp_path / "a.mp4").touch()
    assert place(tmp_path, "a.mp4") == tmp_path / "a.mp4"


def test_why_a_file_cannot_be_had(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert absent(tmp_path / "file") is None
    assert absent(tmp_path / "nowhere") == "not there"
    assert absent(tmp_path / "file" / "below") == "not there"
    assert absent(tmp_path) == "is no file"
    assert absent(tmp_path / ("x" * 300)) == "cannot be reached (File name too long)"
    assert absent(tmp_path / "a\0b") == "no possible name"

    def forbidden(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", forbidden)
    assert absent(tmp_path / "file") == "cannot be reached (Permission denied)"
    assert not is_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"\xff\xfe", "is no readable text"),
        (b"[]", "holds nothing"),
        (b"{}", "holds nothing"),
        (b"null", "holds nothing"),
        (b'{"a": 1}', "holds dict"),
    ],
)
def test_a_wrong_json_names_the_file_what_was_expected_and_where_to_get_it(request_of, content, message):
    path = request_of.data / "test.json"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=rf"test\.json: {message}.*expected pairs.*somewhere"):
        request_of.json(path, list, "pairs")


def test_a_json_that_is_not_there_or_no_file(request_of):
    with pytest.raises(SettingsError, match=r"test\.json: no such file; expected pairs\. To be had from somewhere"):
        request_of.json(request_of.data / "test.json", list, "pairs")
    with pytest.raises(SettingsError, match=r"is no readable text \(is no file\); expected pairs"):
        request_of.json(request_of.data, list, "pairs")


def test_a_table_is_read_whatever_the_case_and_blanks_of_its_columns(request_of):
    path = request_of.data / "a.csv"
    path.write_text('\ufeffFile, Label ,x\n"a, b.png" , 1\n\nc.png,0,y,z\n', encoding="utf-8")
    assert request_of.table(path, {"file", "label"}, "columns") == [
        (2, {"file": "a, b.png", "label": "1", "x": ""}),
        (4, {"file": "c.png", "label": "0", "x": "y"}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no row"),
        ("file,label\n", "has no row"),
        ("file;label\na;0\n", "has the columns file;label"),
        ("name,label\na,0\n", "has the columns name, label"),
        ("file,label\n" + "x" * 200_000 + ",0\n", "line 2: field larger"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(request_of, text, message):
    path = request_of.data / "a.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=rf"a\.csv: {message}.*expected columns"):
        request_of.table(path, {"file", "label"}, "columns")
