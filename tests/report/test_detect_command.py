import json
import re

import av
import numpy as np
import pytest

from facexray.detection.detector import Detector
from facexray.detection.result import Result
from facexray.detection.verdict import WORTH
from facexray.errors import MediaError, SettingsError
from facexray.images import read_image, read_video, write_image
from facexray.report import annotate
from facexray.report.command import detect, exit_status
from facexray.report.detections import PAGE_FILES, written_into


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
    results = detect([folder], out, fps=4)
    assert [bool(result.error) for result in results] == [False, True, False]
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == [result.to_dict() for result in results]
    names = {re.sub(r"^\d+_.*?(_xray|_beside)?[.]jpg$", r"\1", path.name) for path in (out / "pictures").iterdir()}
    assert (names, len(list((out / "pictures").iterdir()))) == ({"", "_xray", "_beside"}, 6)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert WORTH in page.replace("&#39;", "'")
    assert results[0].sha256 in page
    assert "格蕾丝 &lt;b&gt;" in page


def test_the_page_is_self_contained(folder, tmp_path):
    detect([folder], tmp_path / "out", fps=4)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|https?://", page)
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert len(sources) == 8  # image, overlay, view, X-ray of two files
    assert page.count("<svg") == 1
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)


def test_json_prints_a_line_per_file_and_nothing_else(folder, capsys):
    results = detect([folder], json=True, fps=4)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == [result.to_dict() for result in results]


def test_stopped_it_tells_what_it_has(folder, tmp_path, monkeypatch, capsys):
    def images(self, paths):
        yield from real(self, paths[:1])
        raise KeyboardInterrupt

    real = Detector.images
    monkeypatch.setattr(Detector, "images", images)
    with pytest.raises(KeyboardInterrupt):
        detect([folder], tmp_path / "out", fps=4)
    printed = capsys.readouterr()
    assert "clip.mp4" in printed.out
    assert "stopped: 2 files were not judged" in printed.err
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "one file; stopped: 2 files were not judged" in page


def test_the_page_counts_what_was_not_read(folder, tmp_path):
    detect([folder], tmp_path / "out", fps=4)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert re.search(r"<td>not read</td>\s*<td>1</td>", page)
    assert re.search(r"cut[.]jpg: <span[^>]*>not read</span>", page)


def test_the_table_says_what_a_verdict_is_worth(folder, capsys):
    detect([folder], fps=4)
    out = capsys.readouterr().out
    assert WORTH in out
    assert "cut.jpg  (not a readable photograph" in out


def test_results_carry_no_pictures(folder):
    for result in detect([folder], fps=4):
        assert result.frame is None or not result.frame.image.size


def test_files_of_other_kinds_are_told(portraits, copy_of, tmp_path, capsys):
    folder = copy_of(portraits["hopper"])
    for name in ("a.heic", "b.HEIC", "c.txt", "d"):
        (folder / name).touch()
    results = detect([folder], tmp_path / "out")
    assert "4 files were not looked at: .heic, .txt, no suffix" in capsys.readouterr().err
    assert "4 files were not looked at" in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert (len(results), results[0].error) == (1, None)


def test_a_second_run_judges_the_same_files_and_leaves_nothing_of_the_first(portraits, copy_of, capsys):
    folder = copy_of(portraits["hopper"], portraits["astronaut"])
    (folder / "pictures").mkdir()
    (folder / "pictures" / "00000_mine.jpg").write_bytes(portraits["hopper"].read_bytes())
    first = detect([folder], folder)
    assert "left out" not in capsys.readouterr().err
    again = detect([folder], folder)
    assert [result.to_dict() for result in again] == [result.to_dict() for result in first]
    assert "9 of an earlier run's pictures" in capsys.readouterr().err
    detect([folder / "astronaut.png"], folder)
    assert sorted(path.name for path in (folder / "pictures").iterdir()) == [
        "00000_astronaut.jpg",
        "00000_astronaut_beside.jpg",
        "00000_astronaut_xray.jpg",
        "00000_mine.jpg",
    ]


def test_what_a_killed_run_wrote_is_not_judged_as_the_users(portraits, copy_of):
    """Its last line cut off, and the pictures of the file in hand without a line."""
    folder = copy_of(portraits["hopper"], portraits["astronaut"])
    first = detect([folder], folder)
    lines = folder / "results.jsonl"
    lines.write_bytes(lines.read_bytes()[:-30])
    again = detect([folder], folder)
    lines.write_bytes(b"")
    for path in (folder / "pictures").glob("00001_*"):
        path.unlink()  # the first file was in hand
    for results in (again, detect([folder], folder)):
        assert [result.to_dict() for result in results] == [result.to_dict() for result in first]


def test_lines_of_others_make_nothing_ours(portraits, copy_of):
    folder = copy_of(portraits["hopper"])
    (folder / "pictures").mkdir()
    (folder / "pictures" / "00000_mine.jpg").write_bytes(portraits["astronaut"].read_bytes())
    for text in ("[1, 2]\n", "not of us", '{"source": "mine"'):
        (folder / "results.jsonl").write_text(text)
        assert len(detect([folder])) == 2
        assert written_into(folder) == {folder / name for name in PAGE_FILES}


def test_the_page_is_there_though_nobody_reads_the_table(portraits, tmp_path, monkeypatch):
    def closed(*args, **options):
        raise SystemExit(1)  # what rich makes of a pipe whose reader has gone

    monkeypatch.setattr("facexray.report.command._print_table", closed)
    with pytest.raises(SystemExit):
        detect([portraits["hopper"]], tmp_path / "out")
    assert (tmp_path / "out" / "report.html").exists()


def test_a_full_disk_leaves_the_verdicts_on_the_terminal(portraits, tmp_path, monkeypatch, capsys):
    def full(path, image):
        if "astronaut" in path.name:
            raise MediaError(f"{path}: the image cannot be written (no space left on device)")
        write_image(path, image)

    monkeypatch.setattr("facexray.report.detections.write_image", full)
    with pytest.raises(SettingsError, match="no space left on device"):
        detect([portraits["hopper"], portraits["astronaut"]], tmp_path / "out")
    printed = capsys.readouterr()
    assert "hopper" in printed.out
    assert "stopped: 1 files were not judged" in printed.err
    assert (tmp_path / "out" / "report.html").exists()


def test_pictures_that_need_too_much_memory_cost_themselves_alone(portraits, tmp_path, monkeypatch):
    def overlay(frame):
        raise MemoryError

    monkeypatch.setattr("facexray.report.detections.overlay_frame", overlay)
    (result,) = detect([portraits["hopper"]], tmp_path / "out")
    assert result.error is None
    assert "no pictures: they need more memory" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_name_cannot_forge_the_table(portraits, tmp_path, capsys):
    hostile = tmp_path / "a\x1b[2K\n 0.01  real  b:car:[bold]\u202e.png"
    hostile.write_bytes(portraits["astronaut"].read_bytes())
    (result,) = detect([hostile])
    captured = capsys.readouterr()
    assert r"a\x1b[2K\n 0.01  real  b:car:[bold]\u202e.png" in captured.out
    assert len(captured.out.splitlines()) == 2
    assert "\x1b[2K" not in captured.out + captured.err
    assert r"\x1b" in result.source


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


def test_a_copy_with_boxes_keeps_the_sound(portraits, make_video, tmp_path):
    silent = make_video(tmp_path / "silent.mp4", read_image(portraits["astronaut"]), frames=24, size=(320, 240))
    wave = (0.3 * np.sin(np.arange(48_000) / 15)).astype(np.float32)
    with av.open(str(tmp_path / "clip.mp4"), "w") as copy, av.open(str(silent)) as video:
        sound = copy.add_stream("aac", rate=48_000)
        picture = copy.add_stream_from_template(video.streams.video[0])
        for start in range(0, 48_000, 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], "fltp", "mono")
            frame.sample_rate, frame.pts = 48_000, start
            copy.mux(sound.encode(frame))
        copy.mux(sound.encode())
        for packet in video.demux(video.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                copy.mux(packet)
    detect([tmp_path / "clip.mp4"], tmp_path / "out", fps=4, annotate=True)
    (made,) = (tmp_path / "out" / "pictures").glob("*_annotated.mp4")

    def packets(path):
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    assert packets(made) == packets(tmp_path / "clip.mp4")
    plain, drawn = (list(read_video(path, stride=1)) for path in (tmp_path / "clip.mp4", made))
    np.testing.assert_allclose([f.time_s for f in drawn], [f.time_s for f in plain], atol=1e-3)
    assert drawn[12].image.shape == (320, 240, 3)
    changed = np.abs(drawn[12].image.astype(int) - plain[12].image).max(axis=2) > 60  # more than encoding it again does
    assert 150 < changed.sum() < 2000, "a box and its label"
    assert "annotated copy: pictures/" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_copy_that_cannot_be_written_costs_itself_alone(portraits, make_video, tmp_path, monkeypatch):
    clips = [make_video(tmp_path / f"{i}.mp4", read_image(portraits["astronaut"]), 8, (320, 240)) for i in range(2)]
    original, calls = annotate.draw_tracks, []

    def fail_first(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise ValueError("a sound of no known kind")
        return original(*arguments)

    monkeypatch.setattr(annotate, "draw_tracks", fail_first)
    results = detect(clips, tmp_path / "out", fps=4, annotate=True)
    assert [len(result.tracks) for result in results] == [2, 2]
    assert "annotated copy cannot be written (a sound of no known kind)" in results[0].error
    assert (results[1].error, exit_status(results)) == (None, 1)
    assert [path.name for path in (tmp_path / "out/pictures").glob("*") if path.suffix != ".jpg"] == [
        "00001_1_annotated.mp4"
    ]
    assert len((tmp_path / "out/results.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert f"{results[0].reason}; its annotated copy cannot be written" in page


def test_sound_whose_time_does_not_rise_is_left_out_of_the_copy(portraits, make_video, tmp_path):
    """Two clips with sound, one file behind the other: the sound's times fall back as the pictures' do."""
    silent = make_video(tmp_path / "silent.mp4", read_image(portraits["astronaut"]), frames=48, size=(320, 240))
    with av.open(str(tmp_path / "clip.ts"), "w") as copy, av.open(str(silent)) as video:
        picture, sound = copy.add_stream_from_template(video.streams.video[0]), copy.add_stream("aac", rate=48_000)
        packets = [packet for packet in video.demux(video=0) if packet.dts is not None]
        for number, packet in enumerate(packets):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 2000), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 48_000, 2000 * number
            copy.mux(sound.encode(frame))
            packet.stream = picture
            copy.mux(packet)
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "clip.ts").read_bytes() * 2)
    (result,) = detect([joined], tmp_path / "out", annotate=True)
    assert result.error is None
    (made,) = (tmp_path / "out" / "pictures").glob("*_annotated.mp4")
    assert len(list(read_video(made, stride=1))) == 96
    with av.open(str(made)) as container:
        assert container.duration / 1e6 == pytest.approx(4, abs=0.3)
        heard = [float(packet.pts * packet.time_base) for packet in container.demux(audio=0) if packet.size]
    assert heard[-1] == pytest.approx(4, abs=0.3)
    assert len(heard) > 0.7 * 4 * 48_000 / 1024


@pytest.fixture
def timeless(portraits, make_video, tmp_path):
    """A bare stream of 24 frames a second: its frames have no times."""
    path = tmp_path / "bare.h264"
    return make_video(path, read_image(portraits["astronaut"]), frames=24, size=(320, 240))


def test_a_copy_of_frames_without_times_plays_as_long(timeless, tmp_path):
    detect([timeless], tmp_path / "out", fps=4, annotate=True)
    (made,) = (tmp_path / "out" / "pictures").glob("*_annotated.mp4")
    times = [frame.time_s for frame in read_video(made, stride=1)]
    np.testing.assert_allclose(np.diff(times), 1 / 25, atol=0.01)


def test_annotating_needs_a_folder(portraits):
    with pytest.raises(SettingsError, match="--out"):
        detect([portraits["hopper"]], annotate=True)


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (["real", "real"], 0),
        (["real", "cannot tell"], 4),
        (["cannot tell", "fake", "real"], 3),
        (["fake", "unread"], 1),
        (["real", "cut off"], 1),
    ],
)
def test_the_exit_status_tells_the_verdicts(found, status):
    results = [
        Result.unread("a", "image", "gone")
        if each == "unread"
        else Result(
            "a", None, "video", "real" if each == "cut off" else each, "", 0.5, error="x" * (each == "cut off") or None
        )
        for each in found
    ]
    assert exit_status(results) == status


def test_the_page_keeps_pictures_of_the_most_suspicious_only(portraits, tmp_path, monkeypatch):
    monkeypatch.setattr("facexray.report.detections.FILES_SHOWN", 1)
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.png", np.full((40, 40, 3), 99, np.uint8))
    detect([portraits["astronaut"], tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count('<section class="card') == 1
    assert "2 less suspicious files" in page
    assert "astronaut.png</td>" not in page
