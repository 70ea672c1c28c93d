import json
import re

import numpy as np
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


@pytest.mark.parametrize("shape", [(1, 2000), (100, 70_000), (3000, 40)])
def test_odd_shapes_do_not_stop_the_report(portraits, tmp_path, shape):
    write_image(tmp_path / "odd.png", np.full((*shape, 3), 99, np.uint8))
    results = detect([tmp_path / "odd.png", portraits["hopper"]], tmp_path / "out")
    assert [result.error for result in results] == [None, None]
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize("name", ["\U0001f600" * 60 + ".png", "caf\udce9.png"])
def test_odd_names_do_not_stop_the_report(portraits, tmp_path, name):
    write_image(tmp_path / "plain.png", read_image(portraits["hopper"]))
    try:
        (tmp_path / "plain.png").rename(tmp_path / name)
    except OSError as error:
        pytest.skip(f"this file system takes no such name: {error}")
    (result,) = detect([tmp_path / name], tmp_path / "out")
    assert result.error is None
    line = json.loads((tmp_path / "out" / "results.jsonl").read_text(encoding="utf-8"))
    assert line == result.to_dict()


def test_one_file_that_breaks_behind_the_checks_costs_only_itself(portraits, monkeypatch):
    from facexray.faces.detector import FaceDetector

    original, calls = FaceDetector.detect, []

    def fail_once(self, image):
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError("no memory for this one")
        return original(self, image)

    monkeypatch.setattr(FaceDetector, "detect", fail_once)
    results = detect(list(portraits.values()))
    assert ["no memory" in (result.error or "") for result in results] == [True, False]
