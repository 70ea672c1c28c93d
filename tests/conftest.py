"""What tests share: two packaged portraits, a store made from them, odd files, and the way to real faces."""

import importlib.util
import os
import shutil
import struct
import zlib
from pathlib import Path

import av
import cv2
import matplotlib
import numpy as np
import pytest
from PIL import Image

from facexray.faces.prepare import prepare
from facexray.faces.store import FaceStore
from facexray.faces.store_writer import StoreWriter
from facexray.images import read_image

FAST_START = {"movflags": "+faststart"}
"""What puts an MP4's index in front, where a cut leaves it whole."""


@pytest.fixture(scope="session")
def portraits():
    """Paths of two public-domain portraits that our dependencies carry."""
    skimage = Path(importlib.util.find_spec("skimage").origin).parent
    return {
        "hopper": Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",  # (600, 512, 3)
        "astronaut": skimage / "data" / "astronaut.png",  # (512, 512, 3)
    }


@pytest.fixture(scope="session")
def faces_dir():
    """The folder of real faces. The one fixture through which tests reach them; they are skipped without it."""
    beside = Path(__file__).parents[2] / "shared" / "faces"
    folder = Path(os.environ.get("FACEXRAY_FACES") or beside)
    if not folder.is_dir():
        pytest.skip(f"no real faces at {folder}; set FACEXRAY_FACES to a folder with london/ and us_senate/")
    return folder


@pytest.fixture(scope="session")
def store(portraits, tmp_path_factory):
    """A store of 6 faces of 2 people, `hopper` and `astronaut`: each as is, mirrored, and turned and enlarged."""
    folder = tmp_path_factory.mktemp("variants")
    for person, path in portraits.items():
        image = Image.fromarray(read_image(path))
        image.save(folder / f"{person}_0.png")
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / f"{person}_1.png")
        turned = image.rotate(6, Image.Resampling.BICUBIC).resize((640, 640 * image.height // image.width))
        turned.save(folder / f"{person}_2.png")
    out = tmp_path_factory.mktemp("stores") / "portraits"
    prepare([folder], out, identity="^([a-z]+)_")
    return FaceStore(out)


@pytest.fixture(scope="session")
def encode_video():
    """A function that encodes frames (H, W, 3) as H.264."""

    def encode(path, frames, rate=24, options=None, rotation=None, title=None, group=250):
        with av.open(str(path), "w", options=options or {}) as container:
            if title:
                container.metadata["title"] = title
            stream = container.add_stream(
                "libx264", rate=rate, options={"preset": "ultrafast", "crf": "18", "g": str(group)}
            )
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            if rotation is not None:
                stream.set_display_rotation(rotation)
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
            container.mux(stream.encode())
        return path

    return encode


@pytest.fixture(scope="session")
def make_video(encode_video):
    """A function that writes a slow pan and zoom over a portrait as video; `size` is (H, W)."""

    def make(path, image, frames=24, size=(640, 480), **options):
        def frame(t):
            height = round(image.shape[0] * (0.96 - 0.06 * t))
            width = min(image.shape[1], round(height * size[1] / size[0]))
            top, left = round(t * (image.shape[0] - height)), round(t * (image.shape[1] - width))
            return cv2.resize(image[top : top + height, left : left + width], size[::-1])

        return encode_video(path, [frame(i / max(1, frames - 1)) for i in range(frames)], **options)

    return make


@pytest.fixture(scope="session")
def trimmed_video(encode_video, tmp_path_factory):
    """As phones trim: 50 frames of grey levels 0, 5, …, 245, of which the edit list shows 0.6 s from the 26th on."""
    frames = [np.full((64, 64, 3), 5 * number, np.uint8) for number in range(50)]
    path = encode_video(tmp_path_factory.mktemp("trimmed") / "trimmed.mp4", frames, 25, FAST_START, group=10)
    data = bytearray(path.read_bytes())
    media_header, edits = data.index(b"mdhd"), data.index(b"elst")
    (units_per_s,) = struct.unpack_from(">I", data, media_header + 16)
    count, _, start = struct.unpack_from(">III", data, edits + 8)
    assert count == 1 and start == 0
    struct.pack_into(">II", data, edits + 12, 600, units_per_s)  # in thousandths of a second; in the track's units
    path.write_bytes(data)
    return path


@pytest.fixture(scope="session")
def broken_files(portraits, make_video, tmp_path_factory):
    """A folder of files that no photograph or video can be read from, each with what its error must say."""
    folder = tmp_path_factory.mktemp("broken")
    photo = portraits["hopper"].read_bytes()
    (folder / "cut.jpg").write_bytes(photo[: len(photo) // 2])
    (folder / "text.jpg").write_text("not a photograph")
    (folder / "empty.png").touch()
    (folder / "bomb.png").write_bytes(_png_header(20_000, 20_000))
    Image.new("F", (8, 8)).save(folder / "float.tiff")
    (folder / "text.mp4").write_text("not a video")
    (folder / "zeros.mp4").write_bytes(bytes(100))
    whole = make_video(folder / "cut.mp4", read_image(portraits["hopper"])).read_bytes()
    assert whole.index(b"moov") > whole.index(b"mdat"), "the index should stand at the end"
    (folder / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    _write_silence(folder / "audio.mp4")
    no_frames = make_video(folder / "header.mkv", read_image(portraits["hopper"]), frames=2).read_bytes()
    (folder / "header.mkv").write_bytes(no_frames[:1000])
    return folder, {
        "cut.jpg": "not a readable photograph.*truncated",
        "text.jpg": "not a photograph",
        "empty.png": "empty",
        "bomb.png": "refused before decoding",
        "float.tiff": "floating-point",
        "text.mp4": "not a readable video",
        "zeros.mp4": "not a readable video",
        "cut.mp4": "not a readable video",
        "audio.mp4": "no video stream",
        "header.mkv": "no frames",
    }


@pytest.fixture
def copy_of(tmp_path):
    """A function that copies files into a new folder of this test."""

    def copy(*paths, name="photos"):
        folder = tmp_path / name
        folder.mkdir()
        for path in paths:
            shutil.copy(path, folder)
        return folder

    return copy


def _png_header(width, height):
    """A PNG that declares its size and holds the start of its pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 + 3 * width))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _write_silence(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 44_100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="session")
def fakes(store, tmp_path_factory):
    """A store of the portraits' faces as if they were fakes, each with the hull of its landmarks as its mask."""
    out = tmp_path_factory.mktemp("fakes") / "store"
    with StoreWriter(out, {}, masks=True) as writer:
        for index, face in enumerate(store):
            mask = np.zeros((317, 317), np.uint8)
            cv2.fillConvexPoly(mask, cv2.convexHull(face.landmarks).astype(np.int32), 255)
            writer.add(face, store.crop(index), mask)
            writer.end_source(face.sha256)
    return FaceStore(out)
