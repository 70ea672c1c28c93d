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


# Times that leap


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([7.0, 7.2, 7.4, 30.0], [7.0, 7.2, 7.4, 30.0]),
        ([0.0, 0.2, 0.4, 0.0, 0.2, 0.4, 0.0], [0.0, 0.2, 0.4, 0.4, 0.4, 1.0, 1.0]),  # no leap, but too long
        ([0.0, 0.2, 0.8, 0.0, 0.2, 0.4, 100.0, 100.2], [0.0, 0.2, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8]),
        ([5.0, 5.2, 1005.4, 5.6, 5.8], [5.0, 5.2, 5.4, 5.6, 5.8]),
        ([None, None, None, 0.6], [0.0, 0.2, 0.4, 0.6]),
        ([3.0] * 8, [3.0, 3.0, 3.0, 3.6, 3.6, 3.6, 4.2, 4.2]),
    ],
)
def test_times_go_on_where_a_clock_leaps(times, expected):
    clock = sampling.Clock(0.2)
    np.testing.assert_allclose([clock.tell(time) for time in times], expected)


def test_gaps_of_a_slow_video_are_no_leaps():
    clock = sampling.Clock(frame_s=20.0)
    assert [clock.tell(time) for time in (0.0, 20.0, 180.0)] == [0.0, 20.0, 180.0]


@pytest.fixture(scope="module")
def joined(moving, tmp_path_factory):
    """The three seconds as a transport stream, twice, one file behind the other."""
    path = tmp_path_factory.mktemp("joined") / "joined.ts"
    with av.open(str(moving)) as container, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    path.write_bytes(path.read_bytes() * 2)
    return path


@pytest.mark.parametrize("fps", [5, None])
def test_a_joined_file_is_looked_at_to_its_end(joined, fps):
    got = list(sample_video(joined, fps))
    times = np.array([frame.time_s for frame in got]) - got[0].time_s
    assert len(got) == (pytest.approx(30, abs=1) if fps else 180)
    assert times[-1] == pytest.approx(6, abs=0.21)
    assert np.diff(times).max() < (0.41 if fps else 0.05)
    np.testing.assert_allclose([frame.index for frame in got], times * 30, atol=0.01)


# Files that end early


@pytest.fixture(scope="module")
def encode_with_sound(tmp_path_factory):
    """A function that makes a video of four seconds, with so many seconds of sound."""

    def encode(name, codec="mpeg4", sound_s=0.0, **options):
        path, rng = tmp_path_factory.mktemp("ends") / name, np.random.default_rng(0)
        with av.open(str(path), "w", options=options) as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            sound = container.add_stream("aac", rate=48_000) if sound_s else None
            for _ in range(100):
                noise = rng.integers(0, 256, (64, 64, 3), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "rgb24")))
            container.mux(stream.encode())
            for start in range(0, int(sound_s * 48_000), 1024):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                frame.sample_rate, frame.pts = 48_000, start
                container.mux(sound.encode(frame))
        return path

    return encode


DECLARING = [
    ("a.mkv", {}),
    ("a.webm", {"codec": "libvpx"}),
    ("a.flv", {"codec": "flv1"}),
    ("a.avi", {}),
    ("a.mxf", {"codec": "mpeg2video"}),
]


@pytest.mark.parametrize(("name", "options"), DECLARING, ids=[name for name, _ in DECLARING])
def test_a_file_that_ends_early_is_told_whatever_its_container(encode_with_sound, name, options):
    path = encode_with_sound(name, **options)
    assert len(list(sample_video(path, None))) == 100
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])
    got = []
    with pytest.raises(MediaError, match="cut off"):
        got.extend(sample_video(path, None))
    assert 40 < len(got) < 80, "what is there is looked at"


def test_a_trimmed_video_is_whole_and_counted_from_its_first_frame_shown(trimmed_video):
    frames = list(sample_video(trimmed_video, None))
    assert [frame.index for frame in frames] == list(range(15))
    assert [round(float(frame.image.mean()) / 5) for frame in frames] == list(range(25, 40))
    assert [frame.time_s for frame in frames] == pytest.approx([0.04 * number for number in range(15)])


@pytest.mark.parametrize("sound_s", [2.0, 8.0])
def test_sound_of_another_length_is_no_cut(encode_with_sound, sound_s):
    assert len(list(sample_video(encode_with_sound("a.mkv", sound_s=sound_s), None))) == 100
