"""The face store: a folder of crops with a row per face, added to by shards that are whole or absent.

    faces.parquet     a row per face: where it is from, where it was, its landmarks in crop pixels
    crops-NNNNN.h5    shards of (N, 317, 317, 3) uint8 RGB crops, uncompressed; in a store of given fakes, beside them
                      their masks, (N, 317, 317) uint8
    errors.jsonl      a line per source that gave no face, with the reason
    store.json        how the store was made

A shard is written under a temporary name, renamed, and only then entered in `faces.parquet`: a kill at any
moment costs at most the shard in hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from facexray.errors import StoreError
from facexray.faces.crop import Square
from facexray.faces.landmarks import Landmarks
from facexray.images import RGB


@dataclass(frozen=True)
class Face:
    """One face of the store; the crop itself is `FaceStore.crop`."""

    id: str
    """Unique in the store: `{video}-{frame}-{number}`."""
    source: str
    """Path of the photograph or video."""
    video: str
    """Key of the photograph or video: faces that share it never make a pair."""
    frame: int
    """Frame in the video, from 0; 0 for a photograph."""
    identity: str | None
    """The person, where known: faces that share it never make a pair."""
    box: NDArray[np.float32]
    """(4,) xyxy in pixels of the source."""
    score: float
    """The face detector's confidence, in [0, 1]."""
    landmarks: Landmarks
    """(68, 2) x, y in crop pixels."""
    square: Square
    """The crop's square in pixels of the source: the way back."""
    sha256: str
    """Of the source's bytes."""


SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("video", pa.string()),
        ("frame", pa.int64()),
        ("identity", pa.string()),
        ("box", pa.list_(pa.float32(), 4)),
        ("score", pa.float32()),
        ("landmarks", pa.list_(pa.float32(), 136)),
        ("square", pa.list_(pa.int64(), 3)),
        ("sha256", pa.string()),
        ("shard", pa.int64()),
        ("row", pa.int64()),
    ]
)

MASKS_KEY = b"masks"
"""In the metadata of `faces.parquet`: that every face has a mask."""


class FaceStore:
    """A face store, read: each column when it is first asked for, so that a store costs little to open and to send."""

    has_masks: bool
    """Whether this is a store of given fakes: every face has a `mask`, and none is a real face."""

    def __init__(self, path: str | Path) -> None:
        """Open a store.

        Raises:
            StoreError: No store there, or it is damaged; a damaged column shows when it is first read.
        """
        self.path = path = Path(path)
        self._manifest = path / "faces.parquet"
        if not self._manifest.is_file():
            raise StoreError(f"{path}: no face store here; make one with: facexray prepare PHOTOS --out {path}")
        try:
            metadata = pq.read_metadata(self._manifest)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        self._length = int(metadata.num_rows)
        self.has_masks = MASKS_KEY in (metadata.metadata or {})
        self._columns: dict[str, pa.Array] = {}
        self._shards: dict[tuple[int, str], tuple[int, tuple[int, ...]]] = {}

    def __len__(self) -> int:
        return self._length

    def __bool__(self) -> bool:
        """One without a face is a store, too: to be refused for it, never taken for none."""
        return True

    def __getitem__(self, index: int) -> Face:
        names = ("id", "source", "video", "frame", "identity", "score", "sha256", "box", "square")
        row = {name: self._column(name)[index].as_py() for name in names}
        row |= {"box": np.array(row["box"], np.float32), "square": Square(*row["square"])}
        return Face(**row, landmarks=self.landmarks[index].copy())

    def __iter__(self) -> Iterator[Face]:
        return (self[index] for index in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:
        # Columns do not travel to worker processes, which read what they need.
        kept = ("path", "_manifest", "_length", "has_masks")
        return {**{name: self.__dict__[name] for name in kept}, "_columns": {}, "_shards": {}}

    def check_real(self) -> None:
        """Refuse given fakes where real faces are needed.

        Raises:
            StoreError: The store is one of given fakes.
        """
        if self.has_masks:
            raise StoreError(
                f"{self.path}: holds given fakes with their masks, where real faces are needed; name a store of real "
                "photographs here, and this one as --data.fakes of facexray train"
            )

    def read_table(self, columns: list[str] | None = None) -> pa.Table:
        """All columns, or those named, as they are in `faces.parquet` now.

        Raises:
            StoreError: The file is damaged.
        """
        try:
            return pq.read_table(self._manifest, columns=columns, schema=SCHEMA)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> StoreError:
        return StoreError(f"{self._manifest}: damaged ({error}); prepare the store again")

    def _column(self, name: str) -> pa.Array:
        if name not in self._columns:
            # A prepare that runs meanwhile appends rows.
            self._columns[name] = self.read_table([name]).column(0).slice(0, len(self)).combine_chunks()
        return self._columns[name]

    def column(self, name: str) -> list[Any]:
        """One field of every face, in order."""
        values: list[Any] = self._column(name).to_pylist()
        return values

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Position of each face by its id."""
        return {face_id: index for index, face_id in enumerate(self.column("id"))}

    @cached_property
    def landmarks(self) -> NDArray[np.float32]:
        """(N, 68, 2) x, y in crop pixels, of every face."""
        flat = self._column("landmarks").flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat, np.float32).reshape(-1, 68, 2)

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        return list(zip(self.column("shard"), self.column("row"), strict=True))

    def crop(self, index: int) -> RGB:
        """The crop (317, 317, 3) uint8 RGB of a face, read-only.

        Raises:
            StoreError: The shard is missing or damaged.
        """
        return self._pixels(index, "crops")

    def mask(self, index: int) -> NDArray[np.uint8]:
        """The mask (317, 317) uint8 of a given fake, read-only: 255 where its crop was manipulated, 0 where not.

        The edge may lie in between, where one pixel of the crop is of both.

        Raises:
            StoreError: The store has no masks, or the shard is missing or damaged.
        """
        if not self.has_masks:
            raise StoreError(
                f"{self.path}: its faces have no masks; given fakes and their masks are prepared together: "
                "facexray prepare FAKES --masks MASKS --out STORE"
            )
        return self._pixels(index, "masks")

    def _pixels(self, index: int, name: str) -> NDArray[np.uint8]:
        shard, row = self._places[index]
        path = shard_path(self.path, shard)
        try:
            if (shard, name) not in self._shards:
                self._shards[shard, name] = _place_in(path, name)
            start, (count, *shape) = self._shards[shard, name]
            if row >= count:
                raise ValueError(f"it holds {count} faces, not {row + 1}")
            size = math.prod(shape)
            pixels = np.fromfile(path, np.uint8, size, offset=start + row * size)
            pixels = pixels.reshape(shape)
        except (OSError, KeyError, ValueError) as error:
            raise StoreError(f"{path}: missing or damaged ({error})") from error
        pixels.flags.writeable = False
        return pixels

    @cached_property
    def people(self) -> list[str]:
        """The person of every face; where the identity is unknown, each video stands for a person of its own."""
        identities, videos = self.column("identity"), self.column("video")
        known = {video: who for who, video in zip(identities, videos, strict=True) if who}
        people = [who or known.get(video) for who, video in zip(identities, videos, strict=True)]
        return [f"person {who}" if who else f"video {video}" for who, video in zip(people, videos, strict=True)]

    def split(self, share: float) -> tuple[list[int], list[int]]:
        """Split the faces' indices in two by their people.

        Args:
            share: Of the people, in (0, 1), that go into the second part; at least one does.
        """
        names = sorted(set(self.people))
        second = {names[i] for i in np.linspace(0, len(names) - 1, max(1, round(share * len(names)))).astype(int)}
        parts: tuple[list[int], list[int]] = ([], [])
        for index, name in enumerate(self.people):
            parts[name in second].append(index)
        return parts


def shard_path(store: Path, shard: int) -> Path:
    """Where a shard of crops lies."""
    return store / f"crops-{shard:05d}.h5"


def _place_in(path: Path, name: str) -> tuple[int, tuple[int, ...]]:
    """Where in a shard its `crops` (N, 317, 317, 3) or `masks` (N, 317, 317) begin, and their shape.

    One face's are then read without HDF5, which takes five times as long, and no file stays open.
    """
    with h5py.File(path, "r") as file:
        pixels = file[name]
        place, shape = pixels.id.get_offset(), pixels.shape
    if place is None:
        raise ValueError(f"its {name} do not lie in one piece: it was made by an earlier version; prepare it anew")
    return place, shape
