"""Adding to a face store."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from facexray.errors import StoreError
from facexray.faces.crop import CROP_SIZE, FACE_MARGIN
from facexray.faces.store import MASKS_KEY, SCHEMA, Face, FaceStore, shard_path
from facexray.images import RGB, write_bytes
from facexray.locks import hold

CONVENTION = {"crop_size_px": CROP_SIZE, "face_margin": FACE_MARGIN}
SHARD_FACES = 256
"""A shard is closed at this many faces (about 77 MB, with masks 103 MB), which are held in memory until then."""


class StoreWriter:
    """Adds faces to a store, new or old. Use as a context manager; leaving it closes the shard in hand."""

    def __init__(self, path: Path, settings: dict[str, Any], reading: str = "", masks: bool | None = None) -> None:
        """Open a store for adding; a source that failed under another `reading` of the sources comes again.

        Args:
            path: Folder of the store.
            settings: How the store is made by this run, for `store.json`.
            reading: What decides whether a source fails.
            masks: Whether every face comes with a mask; None for what the store is, and none in a new one.

        Raises:
            StoreError: The folder cannot be written, or holds a store cut by another convention, or faces with masks
                where those to add have none, or the other way round.
        """
        self.path, self._reading = path, reading
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(path)
            for name in (".crops-*", ".faces", ".store.json.*", ".neighbours.*"):
                for leftover in path.glob(f"{name}.part"):
                    leftover.unlink()
        except OSError as error:
            raise StoreError(f"{path}: cannot be written ({error.strerror})") from error
        self._runs = self._read_runs()
        old = FaceStore(path) if (path / "faces.parquet").exists() else None
        self._masked = self._check_masks(old, masks)
        self.write_settings(settings)
        self._identities: dict[str, str] = {}
        self._table = SCHEMA.empty_table() if old is None else old.read_table()
        if not len(self._table):
            self._write_manifest(self._table)
        self._shard = 1 + max(self._table.column("shard").to_pylist(), default=-1)
        self._rows: list[dict[str, Any]] = []
        self._whole_rows = 0
        self._crops: list[RGB] = []
        self._masks: list[NDArray[np.uint8]] = []
        self.known = set(self._table.column("sha256").to_pylist())
        self.known |= {line["sha256"] for line in self.read_errors() if line.get("reading", "") == reading} - {None}
        """SHA-256 of every source that the store has dealt with, be it in faces or in errors."""

    def _read_runs(self) -> list[dict[str, Any]]:
        """How the store was made so far.

        Raises:
            StoreError: It was cut by another crop convention.
        """
        about = self.path / "store.json"
        if not about.exists():
            return []
        old = _parse_or_none(about.read_text(encoding="utf-8", errors="replace")) or {}
        if {key: old.get(key) for key in CONVENTION} != CONVENTION:
            raise StoreError(f"{self.path}: was cut by another crop convention; choose another folder")
        return list(old.get("runs", []))

    def _check_masks(self, old: FaceStore | None, wanted: bool | None) -> bool:
        """Whether the store's faces have masks.

        Raises:
            StoreError: Some would, and some would not.
        """
        masked = old is not None and old.has_masks
        if wanted is None or wanted == masked:
            return masked
        if old is not None and len(old):
            kinds = ("real faces, without masks", "given fakes, with their masks")
            raise StoreError(
                f"{self.path}: holds {kinds[masked]}; {kinds[wanted]}, go into a store of their own: "
                "name another folder with --out"
            )
        return wanted

    def write_settings(self, settings: dict[str, Any]) -> None:
        """Write `store.json`: how the store was made, by the earlier runs and this one."""
        content = json.dumps({**CONVENTION, "runs": [*self._runs, settings]}, indent=2, ensure_ascii=False)
        write_bytes(self.path / "store.json", content.encode(errors="backslashreplace"))

    def read_errors(self) -> list[dict[str, Any]]:
        """The lines of `errors.jsonl`; a line cut by a kill is dropped, its source comes again."""
        path = self.path / "errors.jsonl"
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
        return [line for line in map(_parse_or_none, lines) if line]

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the shard in hand; of a source that was interrupted nothing is kept, so that it comes again."""
        try:
            self.close_shard()
            self._write_identities()
        finally:
            self._lock.close()

    def add(self, face: Face, crop: RGB, mask: NDArray[np.uint8] | None = None) -> None:
        """Append a face, its crop (317, 317, 3) and, in a store with masks, its mask (317, 317) to the shard in hand.

        Raises:
            StoreError: With a mask in a store without, or without in a store with.
        """
        if self._masked != (mask is not None):
            raise StoreError(f"{face.id}: either every face of a store comes with a mask, or none does")
        if len(self._crops) >= SHARD_FACES:  # within a long video
            self._write_shard()
        row = {field.name: _storable(getattr(face, field.name)) for field in fields(face)}
        row |= {"box": face.box.tolist(), "landmarks": face.landmarks.ravel().tolist()}
        row |= {"square": list(asdict(face.square).values()), "shard": self._shard, "row": len(self._crops)}
        self._crops.append(crop)
        if mask is not None:
            self._masks.append(mask)
        self._rows.append(row)

    def identify(self, sha256: str, identity: str | None) -> None:
        """Say who is on a source that the store knows already; None leaves what is known of it."""
        if identity is not None:
            self._identities[sha256] = _storable(identity)

    def _write_identities(self) -> None:
        hashes, before = (self._table.column(name).to_pylist() for name in ("sha256", "identity"))
        after = [self._identities.get(sha256, who) for sha256, who in zip(hashes, before, strict=True)]
        if after != before:
            self.name_faces(after)

    def name_faces(self, identities: list[str | None]) -> None:
        """Say who every face of the store is, in its order, at once; None where nobody knows."""
        place = SCHEMA.get_field_index("identity")
        self._table = self._table.set_column(place, SCHEMA.field(place), pa.array(identities, pa.string()))
        self._write_manifest(self._table)

    def end_source(self, sha256: str) -> None:
        """Say that a source is dealt with; closes the shard when it is full."""
        self.known.add(sha256)
        self._whole_rows = len(self._rows)
        if len(self._crops) >= SHARD_FACES:
            self._write_shard()

    def add_error(self, source: str, sha256: str | None, reason: str) -> None:
        """Append a line to `errors.jsonl`, at once; `sha256` None lets the next run try again."""
        entry = {"source": source, "sha256": sha256, "reason": reason, "reading": self._reading}
        line = json.dumps(entry, ensure_ascii=False)
        path = self.path / "errors.jsonl"
        cut = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n" * bool(cut) + line + "\n")

    def close_shard(self) -> None:
        """Put the shard in hand into the store, without the source that has not ended."""
        self._rows = self._rows[: self._whole_rows]
        whole = sum(row["shard"] == self._shard for row in self._rows)
        self._crops, self._masks = self._crops[:whole], self._masks[:whole]
        self._write_shard()

    def _write_shard(self) -> None:
        """Write the crops in hand; then enter the faces of the sources that have ended."""
        if self._crops:
            pixels = {"crops": self._crops, "masks": self._masks} if self._masked else {"crops": self._crops}
            write_bytes(shard_path(self.path, self._shard), _to_hdf5(pixels))
            self._crops, self._masks = [], []
            self._shard += 1
        if self._whole_rows:
            rows = pa.Table.from_pylist(self._rows[: self._whole_rows], schema=SCHEMA)
            table = pa.concat_tables([self._table, rows])
            self._write_manifest(table)  # interrupted, it is written again on leaving, with the same rows
            self._table, self._rows, self._whole_rows = table, self._rows[self._whole_rows :], 0

    def _write_manifest(self, table: pa.Table) -> None:
        temporary = self.path / ".faces.part"
        pq.write_table(table.replace_schema_metadata({MASKS_KEY: b"1"} if self._masked else None), temporary)
        temporary.replace(self.path / "faces.parquet")


def _storable(value: Any) -> Any:
    """File names that are not UTF-8 hold lone surrogates, which Parquet refuses: written as escapes."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _to_hdf5(pixels: dict[str, list[NDArray[np.uint8]]]) -> bytes:
    """The bytes of a shard, made in memory: HDF5 itself crashes the process when a disk is full."""
    with h5py.File("shard", "w", driver="core", backing_store=False) as file:
        for name, arrays in pixels.items():
            file.create_dataset(name, data=np.stack(arrays))
        file.flush()
        return bytes(file.id.get_file_image())


def _lock(path: Path) -> IO[bytes]:
    """Hold a store for one writer."""
    file = (path / ".lock").open("wb")
    if not hold(file):
        file.close()
        raise StoreError(f"{path}: another facexray prepare or identify is writing here; wait for it to end")
    return file


def _parse_or_none(line: str) -> dict[str, Any] | None:
    try:
        parsed: Any = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
