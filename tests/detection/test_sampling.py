from fractions import Fraction

import av
import numpy as np
import pytest

from facexray.detection import sampling
from facexray.detection.sampling import sample_video
from facexray.errors import MediaError
from facexray.images import read_video


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Three seconds at 30 frames a second, with frames that no other is made from."""
    path = tmp_path_factory.mktemp("video") / "moving.mp4"
    rng = np.random.default_rng(0)
    scene = np.kron(rng.integers(0, 256, (30, 40, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        for i in range(90):
            part = np.ascontiguousarray(scene[i : i + 128, i : i + 160])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(part, "rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("fps", [1, 4, 7.5, 29, 100, None])
def test_what_is_skipped_changes_nothing(moving, fps):
    """Each frame has the position, the time and the pixels that decoding all of them gives."""
    every = list(read_video(moving, stride=1))
    step = 1 / fps if fps else 0
    wanted, due = [], 0.0
    for frame in every:
        if frame.time_s >= due - 1e-6:
            wanted.append(frame)
            due = step * (np.floor(frame.time_s / step + 1e-6) + 1) if step else 0
    got = list(sample_video(moving, fps))
    assert [(frame.index, frame.time_s) for frame in got] == [(frame.index, frame.time_s) for frame in wanted]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(got, wanted, strict=True))


def test_a_variable_frame_rate_goes_by_the_times(tmp_path):
    times = [0, 10, 20, 30, 500, 1500, 1510, 1520, 1900]  # milliseconds
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * i, np.uint8), "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    got = list(sample_video(tmp_path / "a.mkv", 4))
    assert [round(frame.time_s * 1000) for frame in got] == [0, 500, 1500, 1900]
    assert [round(frame.image.mean() / 20) for frame in got] == [0, 4, 5, 8]


def test_rotation_is_undone(encode_video, tmp_path):
    image = np.zeros((64, 96, 3), np.uint8)
    image[:24, :24] = 255
    video = encode_video(tmp_path / "turned.mp4", [image] * 3, rotation=90)
    frame = next(sample_video(video, 5)).image
    assert frame.shape == (96, 64, 3)
    assert np.abs(frame.astype(int) - np.rot90(image)).mean() < 4


@pytest.mark.parametrize("name", ["text.mp4", "zeros.mp4", "cut.mp4", "audio.mp4", "header.mkv"])
def test_unreadable_video_is_named_with_its_reason(broken_files, name):
    folder, reasons = broken_files
    with pytest.raises(MediaError, match=reasons[name]) as caught:
        list(sample_video(folder / name, 5))
    assert str(caught.value).startswith(str(folder / name))


def test_frames_of_a_huge_declared_size_are_refused(moving, monkeypatch):
    monkeypatch.setattr("facexray.images.MAX_FRAME_PIXELS", 160 * 128 - 1)
    with pytest.raises(MediaError, match="refused before decoding: frames of 160 × 128"):
        next(sample_video(moving, 5))


def test_a_clock_that_leaps_back_begins_anew():
    sampler = sampling.Sampler(2)
    assert [sampler.wants(time) for time in (100.0, 100.1, 100.5, 3.0, 3.1)] == [True, False, True, True, False]
