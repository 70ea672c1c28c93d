import errno
import hashlib
import struct
import unicodedata
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from facexray.detection.sampling import sample_video
from facexray.errors import MediaError
from facexray.images import encode_image, printable, read_image, read_video, sha256_of, write_bytes, write_image
from facexray.media import VIDEO_SUFFIXES

RED = (255, 0, 0)


def save(path, image, **options):
    image.save(path, **options)
    return path


# Photographs that cannot be read


@pytest.mark.parametrize("name", ["cut.jpg", "text.jpg", "empty.png", "bomb.png", "float.tiff"])
def test_unreadable_photograph_is_named_with_its_reason(broken_files, name):
    folder, reasons = broken_files
    with pytest.raises(MediaError, match=reasons[name]) as caught:
        read_image(folder / name)
    assert str(caught.value).startswith(str(folder / name))


def test_declared_size_is_refused_without_decoding(broken_files, monkeypatch):
    def load(self):
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(MediaError, match="refused before decoding"):
        read_image(broken_files[0] / "bomb.png")


def test_missing_photograph_is_named(tmp_path):
    with pytest.raises(MediaError, match=r"nowhere\.jpg: cannot be read"):
        read_image(tmp_path / "nowhere.jpg")


def test_folder_in_place_of_a_photograph_is_named(tmp_path):
    with pytest.raises(MediaError, match="cannot be read"):
        read_image(tmp_path)


def test_forbidden_photograph_is_named(tmp_path, monkeypatch):
    def read_bytes(self):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    with pytest.raises(MediaError, match=r"mine\.jpg: cannot be read \(Permission denied\)"):
        read_image(tmp_path / "mine.jpg")


# Photographs of every kind become (H, W, 3) uint8 RGB


def test_single_pixel(tmp_path):
    assert read_image(save(tmp_path / "1x1.png", Image.new("RGB", (1, 1), RED))).tolist() == [[[255, 0, 0]]]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("LA", (0, 51), (204, 204, 204)),
    ],
)
def test_png_mode_becomes_rgb_on_white(tmp_path, mode, colour, expected):
    image = read_image(save(tmp_path / "a.png", Image.new(mode, (3, 2), colour)))
    assert image.shape == (2, 3, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.broadcast_to(np.uint8(expected), (2, 3, 3)))


def test_palette_with_a_transparent_colour(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    assert read_image(save(tmp_path / "p.png", image)).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    image.info["transparency"] = 1
    assert read_image(save(tmp_path / "t.png", image)).tolist() == [[[255, 0, 0], [255, 255, 255]]]


def test_cmyk_jpeg_keeps_its_colour(tmp_path):
    path = save(tmp_path / "cmyk.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=95)
    assert np.abs(read_image(path).astype(int) - RED).max() <= 4


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize(
    "grey", [[0, 128 * 257, 65535], [0, 100, 255]], ids=["full range", "so dark that it would pass for 8 bits"]
)
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, suffix, grey):
    cv2.imwrite(str(tmp_path / f"deep{suffix}"), np.array([grey], np.uint16))
    expected = [round(value / 257) for value in grey]
    assert read_image(tmp_path / f"deep{suffix}")[0].tolist() == [[value] * 3 for value in expected]


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, "blue")]
    path = save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert read_image(path)[0, 0].tolist() == list(RED)


def test_file_name_in_chinese(tmp_path):
    assert read_image(save(tmp_path / "人脸 照片.png", Image.new("RGB", (2, 2), RED)))[0, 0].tolist() == list(RED)


UPRIGHT = {  # EXIF 2.32, tag 274, undone with NumPy
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: np.rot90(a, 2),
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_undone(tmp_path, orientation):
    stored = np.kron(np.arange(6).reshape(2, 3) * 50, np.ones((16, 16)))[..., None].repeat(3, 2).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    path = save(tmp_path / "phone.jpg", Image.fromarray(stored), exif=exif, quality=95)
    image, expected = read_image(path), UPRIGHT[orientation](stored)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= 3


@pytest.mark.parametrize("exif", [b"Exif\0\0" + bytes(64), b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0MM"])
def test_a_photograph_whose_exif_is_damaged_is_read_as_it_lies(tmp_path, exif):
    stored = np.kron(np.arange(6).reshape(2, 3) * 50, np.ones((16, 16)))[..., None].repeat(3, 2).astype(np.uint8)
    image = read_image(save(tmp_path / "scrubbed.jpg", Image.fromarray(stored), exif=exif, quality=95))
    assert np.abs(image.astype(int) - stored).max() <= 3


def test_a_photograph_with_others_behind_it_is_read(tmp_path):
    """As phones keep depth and previews."""
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in (RED, (0, 0, 255)))
    image = read_image(save(tmp_path / "phone.jpg", red, format="MPO", save_all=True, append_images=[blue]))
    assert np.abs(image.astype(int) - RED).max() <= 3


def test_postscript_under_a_photographs_name_starts_no_program(tmp_path, monkeypatch):
    def ghostscript(*args, **options):
        raise AssertionError("a program was started")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", ghostscript)
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(MediaError, match=r"photo\.jpg: not a photograph, whatever its name says"):
        read_image(path)


# Writing


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".webp", 8), (".jpg", 8), (".JPG", 8), (".bmp", 0)])
def test_written_red_is_red_to_another_reader(tmp_path, suffix, tolerance):
    path = tmp_path / f"red{suffix}"
    write_image(path, np.full((16, 16, 3), RED, np.uint8))
    assert np.abs(np.asarray(Image.open(path).convert("RGB")).astype(int) - RED).max() <= tolerance


def test_png_round_trip_is_exact(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    write_image(tmp_path / "图.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "图.png"), image)


def test_grey_is_written_as_grey(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_image(tmp_path / "mask.png", grey)
    written = Image.open(tmp_path / "mask.png")
    assert written.mode == "L"
    np.testing.assert_array_equal(np.asarray(written), grey)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG", ".webp"])
def test_quality_counts_whatever_the_suffix(suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert len(encode_image(noise, suffix, quality=10)) < len(encode_image(noise, suffix, quality=90)) / 2


@pytest.mark.parametrize("name", ["picture.xyz", "picture", "no/such/folder.png"])
def test_unwritable_image_is_named(tmp_path, name):
    with pytest.raises(MediaError, match=Path(name).name):
        write_image(tmp_path / name, np.zeros((2, 2, 3), np.uint8))


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    def refuse(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_bytes(tmp_path / "a", b"old")
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        write_bytes(tmp_path / "a", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_write_replaces_and_leaves_one_file(tmp_path):
    write_bytes(tmp_path / "a", b"old")
    write_bytes(tmp_path / "a", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new"}


def test_sha256_is_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(MediaError, match="nowhere"):
        sha256_of(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000 + "b"])
def test_a_file_that_cannot_be_reached_is_named(tmp_path, name):
    with pytest.raises(MediaError, match="cannot be read"):
        sha256_of(tmp_path / name)


def test_a_printable_name_is_one_line_that_steers_no_terminal():
    hostile = "a\n 0.01  real\r\x1b[2K\x9b1G\x85\u2028\u202egpj.\u2066x\udce9"
    assert printable(hostile) == (r"a\n 0.01  real\r\x1b[2K\x9b1G\x85\u2028\u202egpj.\u2066x\udce9")
    assert not any(unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"} for sign in printable(hostile))


@pytest.mark.parametrize("name", ["人脸 照片", "سلام\u200cها", "שלום", "👨‍👩‍👧", "naïve café", "नमस्ते", "a\\b:c[d]"])
def test_ordinary_names_stay_as_they_are(name):
    assert printable(name) == name


# Videos


@pytest.fixture(scope="module")
def numbered(encode_video, tmp_path_factory):
    """A video of 24 frames, each filled with ten times its number."""
    frames = [np.full((64, 96, 3), 10 * i, np.uint8) for i in range(24)]
    return encode_video(tmp_path_factory.mktemp("video") / "numbered.mp4", frames)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"frames": 1}, [12]),
        ({"frames": 6}, [2, 6, 10, 14, 18, 22]),
        ({"frames": 24}, list(range(24))),
        ({"frames": 100}, list(range(24))),
        ({"stride": 5}, [0, 5, 10, 15, 20]),
        ({"frames": 2, "stride": 20}, [0, 20]),
    ],
)
def test_frames_are_those_asked_for(numbered, options, expected):
    frames = list(read_video(numbered, **options))
    assert [frame.index for frame in frames] == expected
    assert [round(frame.image.mean() / 10) for frame in frames] == expected
    np.testing.assert_allclose([frame.time_s for frame in frames], np.array(expected) / 24, atol=1e-6)


def test_length_is_counted_where_the_container_does_not_say(encode_video, tmp_path):
    video = encode_video(tmp_path / "a.mkv", [np.full((64, 96, 3), 10 * i, np.uint8) for i in range(24)])
    assert [round(frame.image.mean() / 10) for frame in read_video(video, frames=3)] == [4, 12, 20]


def test_red_video_is_red(encode_video, tmp_path):
    video = encode_video(tmp_path / "red.mp4", [np.full((64, 64, 3), (200, 30, 30), np.uint8)] * 2)
    assert np.abs(next(read_video(video, frames=1)).image.astype(int) - (200, 30, 30)).max() <= 8


def corner_marked():
    """(64, 96, 3), black but for a white top left corner."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[:24, :24] = 255
    return image


@pytest.mark.parametrize("degrees", [0, 90, -90, 180])
def test_display_rotation_is_applied(encode_video, tmp_path, degrees):
    image = corner_marked()
    video = encode_video(tmp_path / "turned.mp4", [image] * 2, rotation=degrees)
    expected = np.rot90(image, degrees // 90)  # PyAV's degrees and NumPy's turns are both anticlockwise
    frame = next(read_video(video, frames=1)).image
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).mean() < 4


def test_phone_held_upright_is_turned_clockwise(encode_video, tmp_path):
    """The matrix that a phone writes, by QuickTime's specification: (x, y) -> (height - y, x)."""
    video = encode_video(tmp_path / "phone.mp4", [corner_marked()] * 2)
    data = bytearray(video.read_bytes())
    one, at = 1 << 16, data.index(b"tkhd") + 44
    assert struct.unpack_from(">9i", data, at) == (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, at, 0, one, 0, -one, 0, 0, 64 * one, 0, 1 << 30)
    video.write_bytes(data)
    frame = next(read_video(video, frames=1)).image
    assert frame.shape == (96, 64, 3)
    assert frame[:20, -20:].mean() > 200, "the bright corner belongs to the top right"
    assert frame.mean() < 40


@pytest.mark.parametrize("name", ["text.mp4", "zeros.mp4", "cut.mp4", "audio.mp4", "header.mkv"])
@pytest.mark.parametrize("options", [{"frames": 4}, {"stride": 4}], ids=str)
def test_unreadable_video_is_named_with_its_reason(broken_files, name, options):
    folder, reasons = broken_files
    with pytest.raises(MediaError, match=reasons[name]) as caught:
        list(read_video(folder / name, **options))
    assert str(caught.value).startswith(str(folder / name))


@pytest.mark.parametrize(
    "text",
    ["ffconcat version 1.0\nfile a.mp4\n", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\na.mp4\n#EXT-X-ENDLIST\n"],
)
def test_a_playlist_under_a_videos_name_opens_nothing(numbered, tmp_path, text):
    (tmp_path / "a.mp4").write_bytes(numbered.read_bytes())
    (tmp_path / "list.mp4").write_text(text)
    with pytest.raises(MediaError, match=r"list\.mp4: not a readable video"):
        list(read_video(tmp_path / "list.mp4"))


def test_a_text_is_no_video(tmp_path):
    (tmp_path / "notes.txt").write_text("ANSI art\n" * 50)
    with pytest.raises(MediaError, match="not a readable video"):
        list(read_video(tmp_path / "notes.txt"))


CODECS = {".y4m": "wrapped_avframe", ".gif": "gif", ".flv": "flv1", ".webm": "libvpx", ".ogv": "libvpx"}
CODECS |= dict.fromkeys((".mpg", ".mpeg", ".vob", ".mxf"), "mpeg2video") | {".wmv": "wmv2", ".h264": "libx264"}


@pytest.mark.parametrize("suffix", [*sorted(VIDEO_SUFFIXES), ".h264", ".nut", ".y4m", ".gif"])
def test_every_container_is_opened(tmp_path, suffix):
    path, form = tmp_path / f"a{suffix}", "mpegts" if suffix in (".mts", ".m2ts") else None
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(CODECS.get(suffix, "mpeg4"), rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgb8" if suffix == ".gif" else "yuv420p"
        for value in range(0, 240, 10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), value, np.uint8), "rgb24")
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode())
    assert len(list(read_video(path, stride=1))) == 24


def test_missing_video_is_named(tmp_path):
    with pytest.raises(MediaError, match=r"nowhere\.mp4"):
        list(read_video(tmp_path / "nowhere.mp4"))


def test_cut_video_with_its_index_in_front_gives_its_readable_frames_first(make_video, portraits, tmp_path):
    video = make_video(tmp_path / "cut.mp4", read_image(portraits["hopper"]), options={"movflags": "+faststart"})
    whole = video.read_bytes()
    assert whole.index(b"moov") < whole.index(b"mdat")
    video.write_bytes(whole[: len(whole) * 6 // 10])
    frames = read_video(video, stride=1)
    seen = []
    with pytest.raises(MediaError, match=r"cut\.mp4: cut off"):
        seen.extend(frame.index for frame in frames)
    assert 5 <= len(seen) < 24
    assert seen == list(range(len(seen)))


def test_a_trimmed_video_is_not_cut_off(trimmed_video):
    frames = list(read_video(trimmed_video, frames=5))
    assert [frame.index for frame in frames] == [1, 4, 7, 10, 13]
    assert [round(float(frame.image.mean()) / 5) for frame in frames] == [26, 29, 32, 35, 38]


def test_a_trimmed_video_that_ends_early_is_cut_off(trimmed_video, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(trimmed_video.read_bytes()[:-100])
    with pytest.raises(MediaError, match=r"cut\.mp4: cut off: [1-9] of 50 frames are missing"):
        list(read_video(path))


def test_a_stream_that_begins_late_costs_nothing(encode_video, tmp_path, monkeypatch):
    """When all is read, PyAV looks for it among the streams that were there at the start."""

    class Late:
        def __init__(self, container):
            self.container = container

        def __enter__(self):
            return self

        def __exit__(self, *fault):
            self.container.close()

        def __getattr__(self, name):
            return getattr(self.container, name)

        def demux(self, *streams):
            yield from self.container.demux(*streams)
            raise IndexError("tuple index out of range")

    opened = av.open
    path = encode_video(tmp_path / "film.mp4", [np.zeros((32, 32, 3), np.uint8)] * 5)
    monkeypatch.setattr(av, "open", lambda *args, **options: Late(opened(*args, **options)))
    assert [frame.index for frame in read_video(path, stride=1)] == [0, 1, 2, 3, 4]
    assert len(list(sample_video(path, None))) == 5


def test_title_in_another_encoding_is_no_reason_to_refuse_a_video(encode_video, tmp_path):
    video = encode_video(tmp_path / "a.mp4", [np.zeros((64, 64, 3), np.uint8)] * 2, title="HOLIDAY!")
    video.write_bytes(video.read_bytes().replace(b"HOLIDAY!", "假期视频".encode("gbk")))
    assert len(list(read_video(video))) == 2
