"""One sample of a blended set: drawn, and read back."""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facexray.blending.blend import as_float, face_xray
from facexray.blending.config import BlendConfig
from facexray.blending.generate import Layers, Sample, draw_both, draw_sample
from facexray.blending.hull import Mask
from facexray.errors import StoreError
from facexray.faces.crop import VIEW_SIZE
from facexray.faces.neighbours import FacePool
from facexray.faces.store import FaceStore
from facexray.images import RGB, decode_image

LABELS = ("real", "fake")
"""The names of the labels 0 and 1."""
IMAGE_BYTES = VIEW_SIZE * VIEW_SIZE * 3
"""Of a sample's image, and at most about that when compressed."""
REST_BYTES = 60_000
"""At most, of a sample's compressed mask, its recipe, and what the file system adds."""
VIDEO = "background_video"
"""What the file of a sample's recipe says beside the recipe itself."""


@dataclass(frozen=True)
class Source:
    """What a set's samples are drawn from, by their numbers."""

    faces: FaceStore
    pool: FacePool
    config: BlendConfig
    seed: int

    def sample(self, number: int) -> Sample:
        """The sample of this number."""
        return draw_sample(self.config, self.pool, self.faces, self.seed, 0, number)

    def both(self, number: int) -> tuple[Sample, Layers]:
        """The sample of this number, and the layers that it is made of."""
        return draw_both(self.config, self.pool, self.faces, self.seed, 0, number)

    @cached_property
    def _videos(self) -> list[str]:
        return self.faces.column("video")

    def record(self, sample: Sample) -> bytes:
        """A sample's recipe, and the video that its background is from, as JSON."""
        recipe = sample.recipe.to_dict()
        return json.dumps({**recipe, VIDEO: self._videos[self.faces.index_of[recipe["background"]]]}).encode()


@dataclass(frozen=True)
class LabelledView:
    """One sample of a blended set, read back."""

    name: str
    """Its number in the set, with leading zeros."""
    image: RGB
    """(256, 256, 3) uint8 RGB."""
    mask_levels: Mask
    """(256, 256) uint8: M in steps of 1/255; all 0 where real."""
    label: int
    """0 real, 1 fake."""
    record: dict[str, Any]
    """What `Source.record` wrote; earlier versions wrote the recipe alone."""

    def __post_init__(self) -> None:
        """Refuse what cannot be a sample.

        Raises:
            ValueError: Says what it was.
        """
        shapes = self.image.shape, self.mask_levels.shape
        if shapes != ((VIEW_SIZE, VIEW_SIZE, 3), (VIEW_SIZE, VIEW_SIZE)) or self.label not in (0, 1):
            raise ValueError(f"sample {self.name}: image and mask of shapes {shapes}, label {self.label}")
        if not isinstance(self.record, dict) or "background" not in self.record:
            raise ValueError(f"sample {self.name}: its recipe names no background")

    @property
    def mask(self) -> NDArray[np.float32]:
        """(256, 256) M in [0, 1]."""
        return as_float(self.mask_levels)

    @property
    def xray(self) -> NDArray[np.float32]:
        """(256, 256) the Face X-ray B = 4·M·(1−M)."""
        return face_xray(self.mask_levels)

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything random about it; `Recipe.from_dict` and `render` make the same sample of it."""
        return {name: value for name, value in self.record.items() if name != VIDEO}

    @property
    def background(self) -> str:
        """Id of the face that was kept."""
        return str(self.record["background"])

    @property
    def video(self) -> str:
        """Key of the video or photograph that the background is from; its face's id where an earlier version wrote."""
        return str(self.record.get(VIDEO, self.background))


def name_of(number: int) -> str:
    """A sample's number as names and keys hold it."""
    return f"{number:06d}"


def decode_mask(png: bytes) -> Mask:
    """The mask (H, W) uint8 of its PNG picture."""
    return decode_image(png, "the mask")[..., 0]


def xray_levels(xray: NDArray[np.float32]) -> Mask:
    """A Face X-ray (H, W) as a picture shows it: (H, W) uint8, 255 where it is 1."""
    return np.rint(xray * 255).astype(np.uint8)


UNREADABLE = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, tarfile.TarError, zlib.error)
"""What damaged files bring about."""


@contextmanager
def naming(part: Path) -> Iterator[None]:
    """Have every error within say which part of the set, a file or a fake's folder, it is about.

    Raises:
        StoreError: In place of whatever a damaged file brought about.
    """
    try:
        yield
    except UNREADABLE as error:
        reason = (
            f"{Path(error.filename).name}: {error.strerror}" if isinstance(error, OSError) and error.filename else error
        )
        raise StoreError(f"{part}: damaged ({reason!s}); remove it, and run the blend that made it again") from error
