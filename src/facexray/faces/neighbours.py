"""The nearest face: a foreground whose landmarks lie like the background's, of somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facexray.errors import BlendError, StoreError
from facexray.faces.store import FaceStore


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

    @classmethod
    def of(cls, store: FaceStore, indices: Sequence[int] | None = None) -> FacePool:
        """The pool of a store's faces, or of those at `indices`.

        Raises:
            StoreError: No face, or all of one person, so that no pair can be made.
        """
        chosen = np.arange(len(store)) if indices is None else np.asarray(indices, int)
        videos, people = (np.array(names, str)[chosen] for names in (store.column("video"), store.people))
        pool = cls(
            ids=np.array(store.column("id"), object)[chosen].tolist(),
            landmarks=store.landmarks[chosen],
            videos=np.unique(videos, return_inverse=True)[1],
            people=np.unique(people, return_inverse=True)[1],
        )
        if len(np.unique(pool.people)) < 2:
            raise StoreError(
                f"{store.path}: holds {len(chosen)} faces of {len(np.unique(pool.people))} people here; blending "
                "one face into another needs at least 2 people: add photographs with facexray prepare"
            )
        return pool

    def strangers(self, background: int) -> NDArray[np.int64]:
        """Indices of the faces that share neither video nor identity with the background's."""
        others = (self.videos != self.videos[background]) & (self.people != self.people[background])
        return np.flatnonzero(others)

    def nearest(self, background: int, candidates: int, rng: np.random.Generator) -> int:
        """The nearest of a random subset of the strangers (paper, section 3.2).

        Args:
            background: Index of the face that is kept.
            candidates: Size of the subset.
            rng: Draws it.

        Returns:
            Index of the face with the least sum over the 68 points of the Euclidean distance.

        Raises:
            BlendError: There is no stranger.
        """
        subset = self.strangers(background)
        if not len(subset):
            raise BlendError(f"{self.ids[background]}: everybody else is of its video or identity")
        if len(subset) > candidates:
            subset = rng.choice(subset, candidates, replace=False)
        offsets = self.landmarks[subset] - self.landmarks[background]
        return int(subset[np.linalg.norm(offsets, axis=2).sum(axis=1).argmin()])
