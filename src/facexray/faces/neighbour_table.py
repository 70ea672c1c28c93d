"""The neighbour table: for every face of a store its nearest strangers, kept beside the faces.

    neighbours.npy     (N, 100) int32: indices of faces of another video and another identity, by (distance, index);
                       -1 where there are no more
    neighbours.json    of which faces the table is, by a fingerprint, and its check sum

The table is exact. When a store has grown, its new faces are searched for among all, the old ones among the new alone;
when an identity has changed, all are searched for anew, and so they are when the files are missing or damaged.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from facexray.faces.neighbour_search import GROUP, Crowd, Found, NeighbourSearch
from facexray.faces.ranking import NOBODY, Indices, Keys, pack, pair_distances, unpack
from facexray.faces.store import FaceStore
from facexray.images import write_bytes

NEIGHBOURS = 100
"""Faces kept for each face."""
LONG = 20_000
"""Faces from which on a search takes so long that its progress is shown."""

Table = NDArray[np.int32]
"""(N, 100) indices of the nearest strangers, nearest first; -1 where there are no more."""


def open_neighbours(store: FaceStore) -> Table:
    """The neighbour table of a store: mapped from its file, which is made or brought up to date where it can be.

    In a folder that cannot be written, the table is held in memory.
    """
    table, saved = _current(store)
    if saved or not len(table):
        return table
    with suppress(OSError):
        _save(store, table)
        table = np.load(store.path / "neighbours.npy", mmap_mode="r")
    return table


def save_neighbours(store: FaceStore) -> None:
    """Bring the neighbour table of a store up to date.

    Raises:
        OSError: It cannot be written.
    """
    table, saved = _current(store)
    if not saved and len(table):
        _save(store, table)


def crowd_of(store: FaceStore) -> Crowd:
    """The faces of a store, their videos and people as numbers."""
    videos, people = (np.unique(np.array(names, str), return_inverse=True)[1] for names in _names(store))
    return Crowd(store.landmarks, videos, people)


def new_table(crowd: Crowd) -> Table:
    """The table of a crowd."""
    return grow_table(np.empty((0, NEIGHBOURS), np.int32), crowd)


def grow_table(table: Table, crowd: Crowd) -> Table:
    """The table of a crowd, given that of its first faces, none or more."""
    old, count = len(table), len(crowd.landmarks)
    grown = np.full((count, NEIGHBOURS), -1, np.int32)
    grown[:old] = table
    if old < count:
        for found in _shown(NeighbourSearch(crowd).nearest(crowd.at(slice(old, None)), NEIGHBOURS), count - old, count):
            grown[old + found.queries] = unpack(found.keys)[1]
    if 0 < old < count:
        _add_newcomers(grown, crowd, old)
    return grown


def _add_newcomers(table: Table, crowd: Crowd, old: int) -> None:
    """Put the faces from index `old` on into the rows before it."""
    rows = np.arange(old)
    radii = unpack(_keys(crowd, rows, table[:old, -1:]))[0][:, 0]
    newcomers = NeighbourSearch(crowd.at(slice(old, None)))
    for found in _shown(newcomers.within(crowd.at(slice(0, old)), NEIGHBOURS, radii), old, len(table)):
        touched = found.keys[:, 0] != NOBODY
        rows, keys = found.queries[touched], found.keys[touched] + np.uint64(old)  # NOBODY still sorts behind all
        both = np.concatenate([_keys(crowd, rows, table[rows]), keys], axis=1)
        table[rows] = unpack(np.sort(both, axis=1)[:, :NEIGHBOURS])[1]


def _keys(crowd: Crowd, rows: Indices, faces: Table) -> Keys:
    """Keys (R, K) of the faces (R, K), by their distances to the faces (R,) at `rows`."""
    known = faces >= 0
    keys = np.full(faces.shape, NOBODY)
    queries, found = np.broadcast_to(rows[:, None], faces.shape)[known], faces[known].astype(np.int64)
    keys[known] = pack(pair_distances(crowd.landmarks, queries, found), found)
    return keys


def _shown(groups: Iterator[Found], queries: int, faces: int) -> Iterable[Found]:
    """Groups of queries; with a progress bar if there are many faces."""
    if faces < LONG:
        return groups
    return track(groups, "neighbours", -(-queries // GROUP), console=Console(stderr=True), transient=True)


def _current(store: FaceStore) -> tuple[Table, bool]:
    """The table of a store as it is now, and whether its file holds it."""
    saved = _load(store.path)
    if saved is not None:
        table, fingerprint = saved
        if fingerprint == _fingerprint(store, len(table)):
            return (table, True) if len(table) == len(store) else (grow_table(table, crowd_of(store)), False)
    return new_table(crowd_of(store)), False


def _load(path: Path) -> tuple[Table, str] | None:
    """The table in a folder and the fingerprint of its faces; None where there is none, or it is damaged."""
    try:
        about = json.loads((path / "neighbours.json").read_text(encoding="utf-8"))
        table = np.load(path / "neighbours.npy", mmap_mode="r")
        expected = (about["faces"], NEIGHBOURS), np.int32, about["crc32"]
        whole = (table.shape, table.dtype, zlib.crc32(table.data)) == expected
        return (table, str(about["fingerprint"])) if whole else None
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def _save(store: FaceStore, table: Table) -> None:
    """Write the table, then its description: of a pair that a kill has left unlike, the check sum tells."""
    temporary = store.path / f".neighbours.{os.getpid()}.part"
    try:
        with temporary.open("wb") as file:
            np.save(file, table)
        temporary.replace(store.path / "neighbours.npy")
    finally:
        temporary.unlink(missing_ok=True)
    about = {"faces": len(table), "fingerprint": _fingerprint(store, len(table)), "crc32": zlib.crc32(table.data)}
    write_bytes(store.path / "neighbours.json", json.dumps(about, indent=2).encode())


def _fingerprint(store: FaceStore, count: int) -> str:
    """A SHA-256 of what decides the table of a store's first faces."""
    digest = hashlib.sha256(store.landmarks[:count].data)
    for names in _names(store):
        digest.update("\0".join([*names[:count], ""]).encode())
    return digest.hexdigest()


def _names(store: FaceStore) -> tuple[list[str], list[str]]:
    """The videos and the people of a store's faces."""
    return store.column("video"), store.people
