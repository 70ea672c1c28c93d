"""From what a user names to frames: photographs, videos, standard input, cameras."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from facexray.detection.sampling import sample_camera, sample_video
from facexray.errors import MediaError
from facexray.images import IMAGE_FORMATS, RGB, Frame, decode_image, printable, read_image, sha256_of
from facexray.media import IMAGE_SUFFIXES, is_video

Kind = Literal["image", "video"]

STANDARD_INPUT = "-"
CAMERA = re.compile(r"camera:(\d+)")
"""What names a camera, by its index."""


@dataclass(frozen=True)
class Begin:
    """A file begins."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Opened:
    """The file in hand could be opened."""

    sha256: str | None


@dataclass(frozen=True)
class End:
    """The file in hand ends, with an error if it could not be read, or not to its end."""

    error: str | None = None


def is_stream(file: str | Path) -> bool:
    """Whether a name stands for standard input or a camera, and for no file."""
    return str(file) == STANDARD_INPUT or CAMERA.fullmatch(str(file)) is not None


def kind_of(file: str | Path) -> Kind:
    """What a file is: by its name, or by its content where the name says nothing."""
    if CAMERA.fullmatch(str(file)) or is_video(Path(file)):
        return "video"
    if str(file) == STANDARD_INPUT or Path(file).suffix.lower() in IMAGE_SUFFIXES:
        return "image"
    try:
        if Path(file).is_file():  # of a pipe, no reading has an end
            Image.open(file, formats=IMAGE_FORMATS).close()
    except UnidentifiedImageError:
        return "video"
    except Exception:  # one that cannot be reached, or a photograph of which Pillow knows the kind and no more
        return "image"
    return "image"


def read_source(file: str | Path, kind: Kind, fps: float | None) -> Iterator[Opened | Frame]:
    """Open a file, and yield its frames: one of a photograph, `fps` a second of a video (None: all).

    Raises:
        MediaError: It cannot be read, or not to its end.
    """
    camera = CAMERA.fullmatch(str(file))
    if camera:
        yield Opened(None)
        yield from sample_camera(int(camera[1]), fps)
    elif kind == "video":
        yield Opened(sha256_of(Path(file)))
        yield from sample_video(Path(file), fps)
    elif str(file) == STANDARD_INPUT:
        data = sys.stdin.buffer.read()
        yield Opened(hashlib.sha256(data).hexdigest())
        yield Frame(decode_image(data, name_of(file)), 0, 0.0)
    else:
        yield Opened(sha256_of(Path(file)))
        yield Frame(read_image(Path(file)), 0, 0.0)


def read_array(image: RGB, name: str) -> Generator[Begin | Opened | Frame | End, None, None]:
    """The same of an array (H, W, 3) uint8 RGB.

    Raises:
        MediaError: The array is no such image.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise MediaError(f"{name}: expected an (H, W, 3) uint8 RGB array, got {image.shape} {image.dtype}")
    yield from (Begin(name, "image"), Opened(None), Frame(image, 0, 0.0), End())


def name_of(file: str | Path) -> str:
    """What results and errors call a file."""
    return "standard input" if str(file) == STANDARD_INPUT else printable(file)
