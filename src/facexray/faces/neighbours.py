"""The nearest face: a foreground whose landmarks lie like the background's, of somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facexray.errors import BlendError, StoreError
from facexray.faces.neighbour_search import Crowd
from facexray.faces.neighbour_table import Table, crowd_of, new_table, open_neighbours
from facexray.faces.ranking import pack, pair_distances
from facexray.faces.store import FaceStore


@dataclass(frozen=True)
class Origin:
    """Where a pool's faces come from."""

    store: Path
    indices: NDArray[np.int64] | range
    """Of the pool's faces in the store."""
    table: Table
    """The store's neighbour table."""


@dataclass(frozen=True)
class FacePool:
    """The faces that samples are drawn from: a store's, or a split of it."""

    ids: list[str]
    """(N,) ids of the faces."""
    landmarks: NDArray[np.float32]
    """(N, 68, 2) x, y in crop pixels."""
    videos: NDArray[np.int64]
    """(N,) a number per video."""
    people: NDArray[np.int64]
    """(N,) a number per identity; a face of unknown identity has its video's."""
    origin: Origin | None = field(default=None, repr=False)
    """None for faces that were never in a store."""

    @classmethod
    def of(cls, store: FaceStore, indices: Sequence[int] | None = None) -> FacePool:
        """The pool of a store's faces, or of those at `indices`.

        Makes the store's neighbour table, or brings it up to date, if need be: for 100,000 faces, about a minute.

        Raises:
            StoreError: A store of given fakes; no face; or all of one person, so that no pair can be made.
        """
        store.check_real()
        chosen = range(len(store)) if indices is None else np.asarray(indices, np.int64)
        people = {store.people[index] for index in chosen}
        if len(people) < 2:
            raise StoreError(
                f"{store.path}: holds {len(chosen)} faces of {len(people)} people here; blending "
                "one face into another needs at least 2 people: add photographs with facexray prepare"
            )
        return cls._at(store, chosen, open_neighbours(store))

    @classmethod
    def _at(cls, store: FaceStore, indices: NDArray[np.int64] | range, table: Table) -> FacePool:
        ids, crowd = store.column("id"), crowd_of(store)
        if not isinstance(indices, range) or len(indices) < len(store):
            ids, crowd = [ids[index] for index in indices], crowd.at(np.asarray(indices))
        return cls(ids, *crowd, origin=Origin(store.path, indices, table))

    def __reduce__(self) -> tuple[Any, ...]:
        # To a worker process goes where the faces are; a mapped table is mapped again there.
        if self.origin is None:
            return FacePool, (self.ids, self.landmarks, self.videos, self.people)
        store, indices, table = self.origin.store, self.origin.indices, self.origin.table
        return _reopen, (store, indices, None if isinstance(table, np.memmap) else table)

    def strangers(self, background: int) -> NDArray[np.int64]:
        """Indices of the faces that share neither video nor identity with the background's."""
        return np.flatnonzero(self._are_strangers(background, slice(None)))

    def nearest(self, background: int, candidates: int, rng: np.random.Generator) -> int:
        """The nearest of a random subset of the strangers (paper, section 3.2).

        The subset itself need not be drawn: of all strangers by their distance, the first is in it with probability
        candidates / strangers; if it is not, the second is with probability candidates / (strangers − 1), and so on.
        Only when none that the neighbour table holds is in it, a subset of the rest is drawn and searched.

        Args:
            background: Index of the face that is kept.
            candidates: Size of the subset; of all strangers where there are fewer.
            rng: Draws it.

        Returns:
            Index of the face with the least sum over the 68 points of the Euclidean distance.

        Raises:
            BlendError: There is no stranger.
        """
        total = self._count_strangers(background)
        candidates = min(candidates, total)
        ranked = self._ranked(background)
        within = rng.random(len(ranked)) * (total - np.arange(len(ranked))) < candidates
        if within.any():
            return int(ranked[within.argmax()])
        subset = self._draw(background, candidates, ranked, rng)
        distances = pair_distances(self.landmarks, subset, np.full(len(subset), background))
        return int(subset[pack(distances, subset).argmin()])

    def random_stranger(self, background: int, rng: np.random.Generator) -> int:
        """Any face of another video and identity.

        Raises:
            BlendError: There is no stranger.
        """
        self._count_strangers(background)
        return int(self._draw(background, 1, np.empty(0, np.int64), rng)[0])

    def _draw(
        self, background: int, count: int, known: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """A random subset of `count` of the strangers that are not `known`."""
        rest, faces = self._count_strangers(background) - len(known), len(self.ids)
        if 4 * count > rest or 4 * rest < faces:
            return rng.choice(np.setdiff1d(self.strangers(background), known), count, replace=False)
        drawn = np.empty(0, np.int64)
        while len(drawn) < count:  # at least one face in eight will do: no need to look at all of them
            more = rng.integers(faces, size=2 * count)
            more = more[self._are_strangers(background, more) & ~np.isin(more, known)]
            drawn = np.concatenate([drawn, more])
            drawn = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
        return drawn[:count]

    def _are_strangers(self, background: int, faces: NDArray[np.int64] | slice) -> NDArray[np.bool_]:
        other_video = self.videos[faces] != self.videos[background]
        strangers: NDArray[np.bool_] = other_video & (self.people[faces] != self.people[background])
        return strangers

    def _count_strangers(self, background: int) -> int:
        """How many strangers there are.

        Raises:
            BlendError: None.
        """
        count = int(self._stranger_counts[background])
        if not count:
            raise BlendError(f"{self.ids[background]}: everybody else is of its video or identity")
        return count

    @cached_property
    def _stranger_counts(self) -> NDArray[np.int64]:
        """(N,) numbers of strangers, by counting faces per video, per person, and per both."""
        both = self.videos * (self.people.max() + 1) + self.people
        return len(self.ids) - _frequencies(self.videos) - _frequencies(self.people) + _frequencies(both)

    def _ranked(self, background: int) -> NDArray[np.int64]:
        """The nearest strangers by (distance, index), as many as the neighbour table holds."""
        places: NDArray[np.int64] = self._places[self._table[self._indices[background]]]
        return places[places >= 0]

    @cached_property
    def _table(self) -> Table:
        return self.origin.table if self.origin else new_table(Crowd(self.landmarks, self.videos, self.people))

    @cached_property
    def _indices(self) -> NDArray[np.int64] | range:
        return self.origin.indices if self.origin else range(len(self.ids))

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Where the table's faces stand in the pool; -1 for those that do not, and at the end, for the table's -1."""
        places = np.full(len(self._table) + 1, -1)
        places[np.asarray(self._indices)] = np.arange(len(self.ids))
        return places


def _frequencies(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each number of an array stands in it."""
    _, places, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    return counts[places]


def _reopen(path: Path, indices: NDArray[np.int64] | range, table: Table | None) -> FacePool:
    store = FaceStore(path)
    return FacePool._at(store, indices, open_neighbours(store) if table is None else table)
