import json
import re

import pytest

from facexray.detection import WORTH
from facexray.errors import SettingsError
from facexray.images import read_image, write_image
from facexray.report.command import detect


@pytest.fixture
def folder(portraits, make_video, broken_files, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write_image(folder / "格蕾丝 <b>.png", read_image(portraits["hopper"]))
    make_video(folder / "clip.mp4", read_image(portraits["astronaut"]), frames=12)
    (folder / "cut.jpg").write_bytes((broken_files[0] / "cut.jpg").read_bytes())
    return folder


def test_the_output_folder_holds_page_lines_and_pictures(folder, tmp_path):
    out = tmp_path / "out"
    results = detect([folder], out, frames=3)
    assert [bool(result.error) for result in results] == [False, True, False]
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == [result.to_dict() for result in results]
    assert len(list((out / "pictures").iterdir())) == 2
    page = (out / "report.html").read_text(encoding="utf-8")
    assert WORTH in page.replace("&#39;", "'")
    assert results[0].sha256 in page
    assert "格蕾丝 &lt;b&gt;" in page


def test_the_page_is_self_contained(folder, tmp_path):
    detect([folder], tmp_path / "out", frames=2)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|https?://", page)
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert len(sources) == 8  # image, overlay, view, X-ray of two files
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)


def test_json_prints_a_line_per_file_and_nothing_else(folder, capsys):
    results = detect([folder], json=True, frames=2)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == [result.to_dict() for result in results]


def test_the_table_says_what_a_verdict_is_worth(folder, capsys):
    detect([folder], frames=2)
    out = capsys.readouterr().out
    assert WORTH in out
    assert "cut.jpg  (not a readable photograph" in out


def test_results_carry_no_pictures(folder):
    for result in detect([folder], frames=2):
        assert all(not frame.image.size for frame in result.frames)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(SettingsError, match="no photograph or video"):
        detect([tmp_path])


def test_an_output_that_is_a_file_is_an_error(portraits, tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(SettingsError, match="cannot be written"):
        detect([portraits["hopper"]], tmp_path / "out")
