"""`bench detect` as a command: its pictures, its measures on tiny work, its line of JSON, its table."""

import json
import sys

import av
import pytest

from facexray.bench import detect
from facexray.bench.detect import bench_detect
from facexray.cli import main
from facexray.errors import ModelError, SettingsError
from facexray.faces.detector import FaceDetector
from facexray.images import read_image

FIGURES = ("cold_s", "engines", "folder_s", "video_times_real_time", "usual_ms", "ratio_to_usual", "cores", "load")


@pytest.fixture
def measured(monkeypatch):
    """What would be measured, without measuring: the task's name and the first of its arguments of each."""
    calls = []

    def alone(task, *arguments):
        calls.append((task.__name__, arguments))
        return {
            "_photograph": lambda: (
                (f"{arguments[1]}, fp32", {"photograph_ms": 21.5, "resident_mb": 301.0})
                if arguments[1] != "torch"
                else None
            ),
            "_beside_usual": lambda: (20.0, 420.0),
            "_folder": lambda: (4.25, 350.0),
            "_video": lambda: (0.5, None),
        }[task.__name__]()

    monkeypatch.setattr(detect, "_alone", alone)
    monkeypatch.setattr(detect, "_cold", lambda model, photograph: 0.87)
    return calls


def test_prints_one_line_of_json(measured, capsys):
    assert main(["bench", "detect", "--photographs", "2", "--seconds", "1", "--json"]) == 0
    (printed,) = capsys.readouterr().out.splitlines()
    figures = json.loads(printed)
    assert set(FIGURES) <= set(figures)
    assert figures["engines"] == {
        "onnxruntime, fp32": {"photograph_ms": 21.5, "resident_mb": 301.0},
        "openvino, fp32": {"photograph_ms": 21.5, "resident_mb": 301.0},
    }
    assert (figures["folder_s"], figures["video_times_real_time"], figures["ratio_to_usual"]) == (4.25, 2.0, 21.0)
    assert figures["made_by"] == "facexray bench detect"
    assert figures["settings"] == {"model": "default", "photographs": 2, "seconds": 1}
    assert [name for name, _ in measured] == ["_photograph"] * 3 + ["_beside_usual", "_folder", "_video"]


def test_shows_a_table(measured, capsys):
    bench_detect(photographs=2, seconds=1)
    shown = capsys.readouterr().out
    for word in ("0.87 s", "onnxruntime", "21.5 ms", "301 MB", "4.25 s", "2.0 × faster", "420 ms, 21.0 × ours"):
        assert word in shown


def test_without_torch_there_is_no_usual_route(monkeypatch):
    monkeypatch.delitem(sys.modules, "facexray.training.usual_route", raising=False)
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setattr(detect, "_on_one_core", lambda: None)
    assert detect._beside_usual("default", None) is None


@pytest.mark.parametrize("wrong", [{"photographs": 0}, {"seconds": 0}])
def test_there_must_be_something_to_measure(wrong):
    with pytest.raises(SettingsError, match="must be at least 1"):
        bench_detect(**wrong)


def test_an_unknown_model_is_told_before_anything_is_measured(measured):
    with pytest.raises(ModelError, match="nobody: no such model"):
        bench_detect(model="nobody")
    assert not measured


def test_each_portrait_has_one_face_and_no_two_are_alike(tmp_path):
    files = detect._write_portraits(tmp_path / "portraits", 4)
    pictures = [read_image(file) for file in files]
    assert len({picture.tobytes() for picture in pictures}) == 4
    finder = FaceDetector()
    for picture in pictures:
        assert max(picture.shape[:2]) == 1024
        assert len(finder.detect(picture)) == 1


def test_the_video_is_as_it_is_said_to_be(tmp_path):
    path = detect._write_video(tmp_path / "video.mp4", 1)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(frames) == 25
    assert frames[0].shape == (720, 1280, 3)
    finder = FaceDetector()
    centres = [finder.detect(frame)[0].box[[0, 2]].mean() for frame in (frames[0], frames[-1])]
    assert abs(centres[0] - centres[1]) > 300, "the face should move"


@pytest.mark.slow
def test_measures_itself(capsys):
    figures = bench_detect(photographs=2, seconds=1)
    assert figures["ratio_to_usual"] > 1
    assert all(row["resident_mb"] > 50 for row in figures["engines"].values())
