"""Exact search for the nearest landmarks: two lower bounds leave few faces, whose distances are then computed.

The distance of two faces is S(a, b) = Σ ‖aᵢ − bᵢ‖ over their 68 points. It is at least

* |Σ uᵢ · (aᵢ − bᵢ)| for any directions uᵢ of length 1. Three sets of directions, the first principal components with
  each point's part scaled to length 1, give a face three coordinates. Faces are kept in groups, the leaves of a k-d
  tree over them; a group whose box lies further than a query's radius is passed over.
* Σ ‖Σ (aᵢ − bᵢ)‖, the inner sums over ten parts of the face, by the triangle inequality: 10 distances in the plane
  instead of 68, and products of matrices give them for a group of queries and a group of faces at once.

What neither bound excludes is computed. The radius is a guess from a sample of the faces; a query that finds too few
within it goes again with a wider one. So the answer is exact, whatever the guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.faces.ranking import NOBODY, PAIRS, Floats, Indices, Keys, distances, pack, planes, unpack

PARTS = [
    *(range(0, 6), range(6, 11), range(11, 17)),  # right cheek, chin, left cheek
    *(range(17, 22), range(22, 27), range(27, 36), range(36, 42), range(42, 48)),  # brows, nose, eyes
    *([*range(48, 55), *range(60, 65)], [*range(55, 60), *range(65, 68)]),  # upper lip, lower lip
]
"""Landmarks that move together, each in one part."""
AXES = 3
"""Coordinates of the k-d tree."""
GROUP = 256
"""Faces in a leaf. Two groups' bounds fit the cache; larger products OpenBLAS splits among threads, at a loss."""
SAMPLE = 2048
"""Faces from which the radii are guessed."""
WIDER = (1, 1.1, 1.4, 3, np.inf)
"""Factors on the guessed radius, tried in turn until it holds enough faces."""
SHRINK = 1 - 2**-20
"""Keeps |a|² + |b|² − 2ab in float32 below its true value: it errs by less than 12 · 2⁻²⁴ of |a|² + |b|²."""


class Crowd(NamedTuple):
    """Faces to search, or to search for."""

    landmarks: Floats
    """(N, 68, 2) x, y in crop pixels."""
    videos: Indices
    """(N,) a number per video."""
    people: Indices
    """(N,) a number per identity."""

    def at(self, indices: Indices | slice) -> Crowd:
        """Some of the faces."""
        return Crowd(self.landmarks[indices], self.videos[indices], self.people[indices])


class Found(NamedTuple):
    """The nearest strangers of some queries."""

    queries: Indices
    """(Q,) indices of the queries."""
    keys: Keys
    """(Q, K) `ranking.pack` of distances and indices, nearest first; NOBODY where there are no more."""


class _Group(NamedTuple):
    """Faces that lie together, G of them."""

    indices: Indices
    points: Floats
    """(2, G, 68) all x, then all y."""
    sums: Floats
    """(10, G, 4) x, y, 1 and x² + y² of each part's sum."""
    places: Floats
    """(G, 3) coordinates of the k-d tree."""
    videos: Indices
    people: Indices

    def at(self, rows: Indices) -> _Group:
        points, sums = self.points[:, rows], self.sums[:, rows]
        return _Group(self.indices[rows], points, sums, self.places[rows], self.videos[rows], self.people[rows])


class NeighbourSearch:
    """The faces of a crowd, ready to be searched. Takes about 800 bytes a face."""

    def __init__(self, crowd: Crowd) -> None:
        """Arrange a crowd of at least one face."""
        count = len(crowd.landmarks)
        self._centre = crowd.landmarks.mean(axis=0, dtype=np.float64)
        self._axes = _directions(crowd.landmarks[:: 1 + count // 4096] - self._centre)
        self._groups = list(self._split(crowd))
        self._low = np.stack([group.places.min(axis=0) for group in self._groups])
        self._high = np.stack([group.places.max(axis=0) for group in self._groups])
        self._stride = -(-count // SAMPLE)
        self._sample = self._group(crowd, np.arange(0, count, self._stride))
        # Bounds are made of sums rounded to 2⁻²⁴, together by less than 2⁻¹⁴ of the largest coordinate.
        extremes = crowd.landmarks.max(axis=0) - self._centre, self._centre - crowd.landmarks.min(axis=0)
        self._slack = np.float32(2**-14 * max(1, np.max(extremes)))
        self._tiles = np.empty((2, GROUP * GROUP), np.float32)
        self._pairs = np.empty((2, 2 * PAIRS * 68), np.float32)

    def nearest(self, queries: Crowd, count: int) -> Iterator[Found]:
        """The `count` nearest strangers of every query: faces of another video and another identity.

        Yields:
            All queries, a group of neighbouring ones at a time.
        """
        ratio = 1.0
        for group in self._split(queries):
            guesses = self._guess(group, count)
            keys = np.full((len(guesses), count), NOBODY)
            rows = np.arange(len(guesses))
            for wider in WIDER:
                radii = (guesses[rows] * np.float32(ratio) + self._slack) * np.float32(wider)
                keys[rows] = self._collect(group.at(rows), count, radii)
                rows = rows[(keys[rows, -1] == NOBODY) & np.isfinite(radii)]
                if not len(rows):
                    break
            true = unpack(keys[:, -1])[0]
            known = np.isfinite(true) & np.isfinite(guesses) & (guesses > 0)
            if known.any():
                ratio = np.quantile(true[known] / guesses[known], 0.9)  # nine in ten queries need no second try
            yield Found(group.indices, keys)

    def within(self, queries: Crowd, count: int, radii: Floats) -> Iterator[Found]:
        """The nearest strangers of every query that lie within its radius, `count` at most."""
        for group in self._split(queries):
            yield Found(group.indices, self._collect(group, count, radii[group.indices]))

    def _guess(self, group: _Group, count: int) -> Floats:
        """Radii within which about 4 · `count` strangers have their bounds; infinite where the sample has too few."""
        left, sample = _left(group), range(0, len(self._sample.indices), GROUP)
        parts = [self._bounds(left, self._sample.sums[:, start : start + GROUP]).copy() for start in sample]
        bounds = np.nan_to_num(np.concatenate(parts, axis=1))
        strangers = (group.videos[:, None] != self._sample.videos) & (group.people[:, None] != self._sample.people)
        place = -(-4 * count // self._stride)
        if place >= bounds.shape[1]:
            return np.full(len(bounds), np.inf, np.float32)
        guesses: Floats = np.partition(np.where(strangers, bounds, np.float32(np.inf)), place, axis=1)[:, place]
        return guesses

    def _collect(self, group: _Group, count: int, radii: Floats) -> Keys:
        """Keys (Q, count) of the nearest strangers within the radii."""
        nearest = _Nearest(count, radii)
        left, gaps = _left(group), self._gaps(group.places)
        for number in np.flatnonzero((gaps <= self._reach(radii)[:, None]).any(axis=0)):
            others, reach = self._groups[number], self._reach(nearest.radii)
            rows = np.flatnonzero(gaps[:, number] <= reach)
            bounds = self._bounds(left[:, rows], others.sums)
            # Not <=: where a part coincides, its shrunken square can be negative, and the root not a number.
            row, face = np.divmod(np.flatnonzero(~(bounds > reach[rows, None])), bounds.shape[1])
            row = rows[row]
            strangers = (group.videos[row] != others.videos[face]) & (group.people[row] != others.people[face])
            row, face = row[strangers], face[strangers]
            nearest.add(row, others.indices[face], self._distances(group.points, row, others.points, face))
        return nearest.keys()

    def _reach(self, radii: Floats) -> Floats:
        """What a bound must exceed to exclude a face from the radii, whatever was rounded.

        A query may lie further out than all faces: then its distances are so large that a share of them will do.
        """
        reach: Floats = radii * np.float32(1 + 2**-13) + self._slack
        return reach

    def _gaps(self, places: Floats) -> Floats:
        """(Q, groups) lower bounds of the distances of queries to the faces of each group."""
        sides = zip(self._low.T, self._high.T, places.T[:, :, None], strict=True)
        gaps: Floats = np.maximum.reduce([np.maximum(low - place, place - high) for low, high, place in sides])
        return gaps

    def _bounds(self, left: Floats, sums: Floats) -> Floats:
        """(Q, G) lower bounds of the distances: the sums over the parts of the distances of their sums."""
        shape = left.shape[1], sums.shape[1]
        bounds: Floats = self._tiles[0, : shape[0] * shape[1]].reshape(shape)
        roots: Floats = self._tiles[1, : bounds.size].reshape(shape)
        bounds.fill(0)
        for part in range(len(PARTS)):
            np.matmul(left[part], sums[part].T, out=roots)
            cv2.sqrt(roots, roots)
            cv2.add(bounds, roots, bounds)
        return bounds

    def _distances(self, points: Floats, rows: Indices, others: Floats, faces: Indices) -> Floats:
        """(P,) distances of the pairs of `points` at `rows` and `others` at `faces`."""
        found: Floats = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), PAIRS):
            part = slice(start, start + PAIRS)
            shape = 2, len(rows[part]), 68
            a, b = (pairs[: 2 * shape[1] * 68].reshape(shape) for pairs in self._pairs)
            # "clip" spares the copy that "raise" would keep for the case of an error.
            np.take(points, rows[part], axis=1, out=a, mode="clip")
            np.take(others, faces[part], axis=1, out=b, mode="clip")
            found[part] = distances(a, b)
        return found

    def _split(self, crowd: Crowd) -> Iterator[_Group]:
        """A crowd as groups of faces that lie together."""
        starts = range(0, len(crowd.landmarks), 4096)
        places = np.concatenate([self._places(crowd.landmarks[start : start + 4096]) for start in starts])
        for indices in _leaves(places):
            yield self._group(crowd, indices)

    def _places(self, landmarks: Floats) -> Floats:
        places: Floats = ((landmarks - self._centre).reshape(-1, 136) @ self._axes).astype(np.float32)
        return places

    def _group(self, crowd: Crowd, indices: Indices) -> _Group:
        landmarks, videos, people = crowd.at(indices)
        centred = landmarks - self._centre
        sums = np.ones((len(PARTS), len(indices), 4))
        sums[:, :, :2] = [centred[:, part].sum(axis=1) for part in PARTS]
        sums[:, :, 3] = (sums[:, :, :2] ** 2).sum(axis=2) * SHRINK
        return _Group(indices, planes(landmarks), sums.astype(np.float32), self._places(landmarks), videos, people)


class _Nearest:
    """The nearest faces so far, of each query of a group."""

    def __init__(self, count: int, radii: Floats) -> None:
        self.radii = radii
        """(Q,) beyond which a face is of no interest."""
        self._shape = len(radii), count
        self._rows, self._keys = [np.empty(0, np.uint8)], [np.empty(0, np.uint64)]
        self._held = 0

    def add(self, rows: Indices, faces: Indices, distances: Floats) -> None:
        """Add pairs of a query and a face."""
        kept = distances <= self.radii[rows]
        self._rows.append(rows[kept].astype(np.uint8))
        self._keys.append(pack(distances[kept], faces[kept]))
        self._held += len(self._rows[-1])
        if self._held > 8 * self._shape[0] * self._shape[1]:
            self._tighten()

    def _tighten(self) -> None:
        """Keep the nearest alone, and let the radii shrink to them."""
        keys = self.keys()
        rows, places = np.nonzero(keys != NOBODY)
        self._rows, self._keys = [rows.astype(np.uint8)], [keys[rows, places]]
        self._held = len(rows)
        self.radii = np.minimum(self.radii, unpack(keys[:, -1])[0])

    def keys(self) -> Keys:
        """(Q, K) the nearest of each query; NOBODY where there are no more."""
        rows, keys = np.concatenate(self._rows), np.concatenate(self._keys)
        order = np.argsort(keys)
        order = order[np.argsort(rows[order], kind="stable")]
        rows, keys = rows[order], keys[order]
        places = np.arange(len(rows)) - np.searchsorted(rows, rows)
        kept = places < self._shape[1]
        nearest = np.full(self._shape, NOBODY)
        nearest[rows[kept], places[kept]] = keys[kept]
        return nearest


def _directions(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """(136, 3): about the first principal components of landmarks (N, 68, 2), each point's part scaled to length 1."""
    flat = centred.reshape(-1, 136)
    scatter, components = flat.T @ flat, np.random.default_rng(0).normal(size=(136, AXES))
    for _ in range(20):  # any directions bound the distance, so that a few rounds do
        components = np.linalg.qr(scatter @ components)[0]
    points = components.reshape(68, 2, AXES)
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    directions: NDArray[np.float64] = (points / np.maximum(lengths, 1e-9)).reshape(136, AXES)
    return directions


def _leaves(places: Floats) -> list[Indices]:
    """The leaves, of at most GROUP indices, of a k-d tree over places (N, 3)."""

    def split(part: Indices) -> list[Indices]:
        if len(part) <= GROUP:
            return [part]
        axis = places[part].std(axis=0).argmax()
        half = GROUP * (-(-len(part) // GROUP) // 2)
        part = part[np.argpartition(places[part, axis], half)]
        return split(part[:half]) + split(part[half:])

    return split(np.arange(len(places)))


def _left(group: _Group) -> Floats:
    """(10, G, 4) −2x, −2y, x² + y² and 1 of each part's sum: times another group's sums, the squared distances."""
    return group.sums[:, :, [0, 1, 3, 2]] * np.array([-2, -2, 1, 1], np.float32)
