"""Read and write RGB images; read the frames of videos.

Every image inside facexray is (H, W, 3) uint8 RGB, upright. This module is the border: it undoes EXIF and
video rotation, turns greyscale, CMYK, alpha and 16-bit images into RGB, and answers broken files with a
`MediaError` that names the file.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from facexray.errors import MediaError

RGB = NDArray[np.uint8]

VIDEO_FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,kux,asf,asf_o,ogg,mxf,gxf,dv,wtv,ty,rm,nut,nsv,dhav,swf,"
    "bink,smk,gif,apng,ivf,yuv4mpegpipe,mjpeg,h261,h263,h264,hevc,vvc,av1,obu,m4v,vc1,jpeg_pipe,png_pipe,webp_pipe"
)
"""FFmpeg's names of what is opened as a video: no playlist, which would open other files, and no text."""
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM")
"""Pillow's names of what is opened as a photograph: nothing that starts a program, as PostScript does, and no video."""
MAX_FRAME_PIXELS = 1 << 26
"""Pixels of a video's frame, more than which are refused before decoding (8192 × 8192)."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Signs that end a line, steer a terminal, or turn the direction of writing."""


def read_image(path: Path) -> RGB:
    """Read a photograph as (H, W, 3) uint8 RGB, upright by its EXIF orientation.

    Transparent pixels become white, 16-bit grey is scaled to 8 bits, an animation gives its first frame.

    Raises:
        MediaError: The file is missing, unreadable, truncated, no image, or declares more pixels than
            Pillow's limit against decompression bombs (about 179 million); nothing is decoded then.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error}); check that it exists "
                         "and that you may read it") from error  # fmt: skip
    return decode_image(data, name=str(path))


def decode_image(data: bytes, name: str = "image") -> RGB:
    """Decode an encoded photograph; see `read_image`. `name` is what an error calls it."""
    if not data:
        raise MediaError(f"{name}: the file is empty (0 bytes); get it again from its source")
    try:
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            return _to_rgb(_turned(image), name)
    except MediaError:
        raise
    except Image.DecompressionBombError as error:
        raise MediaError(f"{name}: refused before decoding: {error}; scale the image down first") from error
    except UnidentifiedImageError as error:
        raise MediaError(f"{name}: not a photograph, whatever its name says; its content is no known format") from error
    except Exception as error:  # Pillow's plugins raise nearly every kind of exception on hostile files.
        raise MediaError(
            f"{name}: not a readable photograph ({error or type(error).__name__}); it is cut off or damaged, "
            "get it again from its source"
        ) from error


def _turned(image: Image.Image) -> Image.Image:
    """Upright by its EXIF; as it lies where its pixels are whole and its EXIF is not."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, LookupError, TypeError, OSError, struct.error):
        return image


def _to_rgb(image: Image.Image, name: str) -> RGB:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it at 255
        grey = np.asarray(image).astype(np.float32)
        scale = 257.0 if image.mode.startswith("I;16") or grey.max(initial=0) > 255 else 1.0
        eight_bit = np.clip(np.rint(grey / scale), 0, 255).astype(np.uint8)
        return np.repeat(eight_bit[..., None], 3, axis=2)
    if image.mode == "F":
        raise MediaError(f"{name}: floating-point pixels have no defined white; convert the image to 8 bits")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(image.convert("RGB"))


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) RGB or (H, W) grey uint8 by the file name's suffix, whole or not at all.

    Raises:
        MediaError: The suffix is not one that can be written, or the disk refuses.
    """
    try:
        write_bytes(path, encode_image(image, path.suffix))
    except (cv2.error, OSError) as error:
        raise MediaError(f"{path}: the image cannot be written ({error})") from error


def encode_image(image: NDArray[np.uint8], suffix: str, quality: int = 95) -> bytes:
    """Encode (H, W, 3) RGB or (H, W) grey uint8 as a file with `suffix` (`.png`, `.jpg`, `.webp`).

    Raises:
        MediaError: The image is larger than the format can hold.
    """
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    flags = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".jpeg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY}
    done, encoded = cv2.imencode(suffix, pixels, [flags[suffix.lower()], quality] if suffix.lower() in flags else [])
    if not done:
        raise MediaError(f"an image of {image.shape[0]} × {image.shape[1]} pixels is too large for {suffix}")
    return encoded.tobytes()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one, never half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def printable(value: object) -> str:
    """A path or message as a line that every file and terminal can hold: what is no UTF-8 and `CONTROL`, escaped."""
    text = CONTROL.sub(lambda sign: sign[0].encode("unicode_escape").decode(), str(value))
    return text.encode(errors="backslashreplace").decode()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        MediaError: Missing, unreadable, or no regular file (a pipe would wait for ever).
    """
    try:
        if path.exists() and not path.is_file():
            raise MediaError(f"{path}: is no regular file; name a photograph, a video or a folder of them")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error})") from error


UNFORESEEN = (cv2.error, MemoryError, ValueError, ArithmeticError, LookupError)
"""What a hostile file may still bring about behind the checks: it costs that file, never the run."""


@dataclass(frozen=True)
class Frame:
    """One decoded frame of a video."""

    image: RGB
    """(H, W, 3) uint8 RGB, upright."""
    index: int
    """Position in the video, from 0."""
    time_s: float
    """Presentation time in seconds."""


def read_video(path: Path, frames: int | None = 32, stride: int | None = None) -> Iterator[Frame]:
    """Yield frames of a video, in order: `frames` of them spread evenly over the whole video, or each `stride`-th.

    Args:
        path: Any container and codec that FFmpeg reads.
        frames: How many frames; the middle of each of `frames` equal parts is taken. Ignored with `stride`.
        stride: Take frames 0, stride, 2·stride, …

    Raises:
        MediaError: The file cannot be opened or holds no video; or, *after* the readable frames were
            yielded, it is cut off or damaged part-way.
    """
    try:
        with open_video(path) as container:
            stream = video_stream(container, path)
            total = _count_frames(path)
            if not total:
                raise MediaError(f"{path}: holds no frames; it may be cut off")
            wanted = set(evenly(total, frames or 1, stride))
            try:
                yield from _decode_wanted(container, wanted)
            except av.FFmpegError:  # half a frame at the end, which some decoders conceal
                if total >= stream.frames:
                    raise
            check_whole(path, total, stream.frames)
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or type(error).__name__
        raise MediaError(f"{path}: not a readable video ({reason}); it is cut off, damaged or no video") from error


def evenly(count: int, frames: int, stride: int | None) -> list[int]:
    """Which of so many frames are looked at: the middle of each of `frames` equal parts, or each `stride`-th."""
    if stride is not None:
        return list(range(0, count, stride))
    return sorted({int((i + 0.5) * count / frames) for i in range(frames)})


def check_whole(path: Path, there: int, declared: int) -> None:
    """See to it that a video holds the frames that its header declares, shown or trimmed away by its edit list.

    Args:
        path: The video.
        there: How many of them were read.
        declared: How many frames there are by its header; 0 where it does not say.

    Raises:
        MediaError: Some are missing.
    """
    if there < declared:
        missing = declared - _count_frames(path, trimmed=False)
        if missing > 0:
            raise MediaError(f"{path}: cut off: {missing} of {declared} frames are missing")


def open_video(path: Path, trimmed: bool = True) -> av.container.InputContainer:
    """Open a video; titles in other encodings than UTF-8 are no reason to refuse it.

    The path is made absolute, so that FFmpeg takes no name for one of its protocols.

    Args:
        path: The video.
        trimmed: Whether what an MP4's edit list leaves out stays out.
    """
    options = {"format_whitelist": VIDEO_FORMATS} | ({} if trimmed else {"ignore_editlist": "1"})
    return av.open(str(path.absolute()), metadata_errors="replace", options=options)


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The first video stream of an opened file, set to decode on all threads.

    Raises:
        MediaError: There is none, or its frames are declared larger than `MAX_FRAME_PIXELS`.
    """
    if not container.streams.video:
        raise MediaError(f"{path}: holds no video stream (audio only?)")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise MediaError(f"{path}: not a readable video (its codec is unknown); convert it to H.264")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_FRAME_PIXELS:
        raise MediaError(f"{path}: refused before decoding: frames of {width} × {height} pixels; scale it down first")
    stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}  # a later frame may declare another size
    stream.thread_type = "AUTO"
    return stream


def upright(frame: av.VideoFrame) -> RGB:
    """A decoded frame as (H, W, 3) uint8 RGB, turned as its video says."""
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90)))


def _count_frames(path: Path, trimmed: bool = True) -> int:
    """Count the frames that there are to show, without decoding: what a header declares may be missing, or a lie."""
    count = 0
    with open_video(path, trimmed) as container, suppress(av.FFmpegError):
        for packet in packets_of(container, container.streams.video[0]):
            count += packet.size > 0 and not (trimmed and packet.is_discard)
    return count


def packets_of(container: av.container.InputContainer, *streams: Any) -> Iterator[av.Packet[Any]]:
    """The packets of some streams, or of all, to the file's end."""
    with suppress(IndexError):  # once all are read, PyAV looks for streams that began later among those at the start
        yield from container.demux(*streams)


def _decode_wanted(container: av.container.InputContainer, wanted: set[int]) -> Iterator[Frame]:
    """Decode and yield the frames of `wanted`, striking each off."""
    frames = (f for packet in packets_of(container, container.streams.video[0]) for f in packet.decode())
    for index, frame in enumerate(frames):
        if index in wanted:
            wanted.discard(index)
            yield Frame(upright(frame), index, float(frame.time or 0.0))
        if not wanted:
            return
