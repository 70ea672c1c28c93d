"""Blended samples for training and validation, rendered as they are asked for."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from facexray.blending.config import BlendConfig
from facexray.blending.generate import Sample, draw_sample, render, sample_rng
from facexray.blending.given import check_given, draw_given, real_like
from facexray.errors import SettingsError, StoreError
from facexray.faces.neighbours import FacePool
from facexray.faces.store import FaceStore
from facexray.training.config import DataConfig
from facexray.workers import start_worker

Batch = tuple[Tensor, Tensor, Tensor]
"""Views (N, 3, 256, 256) float RGB in [0, 1], X-rays (N, 256, 256) float, labels (N,) int64."""


Pair = tuple[Sample, Sample]
"""A real image and its blended twin."""


FAKE, REAL, GIVEN, CHOICE = 0, 1, 2, 3
"""Epochs of the dice: blended fakes, reals of their own, given fakes, and which of these it is, are drawn apart."""


class BlendedPairs(Dataset[Pair]):
    """Pair number i: a real image and a blended or given fake, from (seed, i) alone."""

    def __init__(
        self,
        config: BlendConfig,
        store: FaceStore,
        indices: Sequence[int] | None,
        seed: int,
        data: DataConfig = DataConfig(),
    ) -> None:
        self.config, self.data = replace(config, real_prob=0.0), data
        self.store, self.pool, self.seed = store, FacePool.of(store, indices), seed
        self.fakes = FaceStore(data.fakes) if data.fakes else None
        if self.fakes:
            check_given(self.fakes)

    def __getitem__(self, index: int) -> Pair:
        dice = sample_rng(self.seed, CHOICE, index)
        if self.fakes and dice.random() < self.data.fakes_share:
            given = draw_given(self.config, self.fakes, self.seed, GIVEN, index)
            background = self.pool.ids[int(dice.integers(len(self.pool.ids)))]
            return render(real_like(given.recipe, background), self.store), given
        fake = draw_sample(self.config, self.pool, self.store, self.seed, FAKE, index)
        if self.data.paired:
            return render(fake.recipe.as_real(), self.store), fake
        reals = replace(self.config, real_prob=1.0)
        return draw_sample(reals, self.pool, self.store, self.seed, REAL, index), fake


def faces_sha256(store: FaceStore, indices: Sequence[int] | None) -> str:
    """A fingerprint of a store's faces, or of those at `indices`."""
    ids = store.column("id")
    chosen = ids if indices is None else [ids[i] for i in indices]
    return hashlib.sha256("\n".join(chosen).encode()).hexdigest()


def stamp(store: FaceStore, indices: Sequence[int] | None) -> dict[str, Any]:
    """What of a store decides the samples: how many faces, or of those at `indices`, which, and who is who."""
    chosen = range(len(store)) if indices is None else indices
    numbers: dict[str, int] = {}  # what people are called is of no consequence
    people = [numbers.setdefault(store.people[index], len(numbers)) for index in chosen]
    return {
        "faces": len(chosen),
        "faces_sha256": faces_sha256(store, indices),
        "people_sha256": hashlib.sha256(str(people).encode()).hexdigest(),
    }


def hold_out(store: FaceStore) -> tuple[list[int], list[int]]:
    """Split a store's faces, by their indices, for training and validation: a tenth of the people, but at least 2.

    Raises:
        StoreError: Fewer than 4 people, so that one part could make no pairs.
    """
    store.check_real()
    people = len(set(store.people))
    if people < 4:
        raise StoreError(
            f"{store.path}: holds {people} people; training needs at least 4, two of them for validation: "
            "add photographs, or name a val_store of other people"
        )
    return store.split(max(0.1, 2 / people))


def store_of(path: str, given: Path | None, option: str) -> FaceStore:
    """The store that a run's card names, or the one that is given in its place by an option.

    Raises:
        StoreError: There is none.
    """
    try:
        return FaceStore(given or Path(path))
    except StoreError as error:
        if given:
            raise
        raise StoreError(f"{path}: the run's store is not there; say where it is now by --{option}") from error


def check_apart(fakes: FaceStore, store: FaceStore, faces: Sequence[int] | None) -> None:
    """See to it that no given fake shows a person, or comes from a video, that validates.

    Args:
        fakes: The given fakes.
        store: Where the people are that validate.
        faces: Indices of their faces; None for the whole store.

    Raises:
        SettingsError: Some do, as far as the stores know.
    """
    chosen = range(len(store)) if faces is None else faces
    for column, what in (("identity", "people"), ("sha256", "photographs or videos")):
        values = store.column(column)
        shared = {values[index] for index in chosen} & set(fakes.column(column)) - {None}
        if shared:
            raise SettingsError(
                f"data.fakes: {fakes.path} shows {len(shared)} of the {what} that validate; "
                "leave them out of it, or name a val_store of other people"
            )


class Rendered(NamedTuple):
    """A batch of samples in the grey levels in which they come: a quarter of what the network's floats take to move."""

    levels: Tensor
    """(N, 3, 256, 256) uint8 RGB."""
    mask_levels: Tensor
    """(N, 256, 256) uint8: M in steps of 1/255; all 0 where real."""
    labels: Tensor
    """(N,) int64: 0 for real, 1 for fake."""

    @property
    def xrays(self) -> Tensor:
        """(N, 256, 256) float32: the Face X-rays B = 4·M·(1−M)."""
        masks = self.mask_levels / 255
        return 4 * masks * (1 - masks)

    @property
    def batch(self) -> Batch:
        """What the network takes and the loss compares, on the device that the samples are on."""
        return self.levels.to(torch.float32, memory_format=torch.channels_last) / 255, self.xrays, self.labels


def collate(pairs: Sequence[Pair]) -> Rendered:
    """Put pairs into one batch, each real image before its fake."""
    samples = [sample for pair in pairs for sample in pair]
    images = torch.from_numpy(np.stack([sample.image for sample in samples]))
    masks = torch.from_numpy(np.stack([sample.mask_levels for sample in samples]))
    return Rendered(images.permute(0, 3, 1, 2), masks, torch.tensor([sample.label for sample in samples]))


class PairSampler:
    """The pair numbers of one process, from an iteration on: no pair comes twice, to any process."""

    def __init__(self, start: int, stop: int, rank: int = 0, processes: int = 1) -> None:
        self.numbers = range(start + rank, stop, processes)

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)


def training_loader(pairs: BlendedPairs, sampler: PairSampler, pairs_per_batch: int, workers: int) -> DataLoader[Pair]:
    """A loader of batches of `pairs_per_batch` pairs, rendered in `workers` processes."""
    options = loader_options(workers)
    return DataLoader(pairs, batch_size=pairs_per_batch, sampler=sampler, collate_fn=collate, **options)


def loader_options(workers: int) -> dict[str, Any]:
    """How worker processes are started and used."""
    return {
        "num_workers": workers,
        "worker_init_fn": _start_worker,
        "prefetch_factor": 4 if workers else None,
        "generator": torch.Generator(),  # the loader seeds its workers, which use no torch dice; the run's stay its own
        # A forked worker would inherit OpenCV's and torch's thread pools without their threads, and hang.
        "multiprocessing_context": "spawn" if workers else None,
    }


def _start_worker(_: int) -> None:
    start_worker()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # sent to a whole job: the trainer saves first, and ends this one
    torch.set_num_threads(1)
