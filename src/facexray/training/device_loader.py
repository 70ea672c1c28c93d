"""Batches for a device that blends itself: worker processes plan them, `renderer.BatchRenderer` renders them.

loader = planned_loader(pairs, PairSampler(0, 1600), pairs_per_batch=16, workers=4)
renderer = BatchRenderer(torch.device("cuda"))
for plan in loader:
    views, xrays, labels = renderer(plan).batch
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch.utils.data import DataLoader, Dataset

from facexray.blending.config import BlendConfig, weights_of
from facexray.blending.generate import first_usable
from facexray.blending.recipe import draw_recipe
from facexray.errors import SettingsError
from facexray.training.datasets import FAKE, REAL, BlendedPairs, PairSampler, loader_options
from facexray.training.renderer import METHODS, Masked, Plan, plan_masked, with_mask


def planned_loader(
    pairs: BlendedPairs, sampler: PairSampler, pairs_per_batch: int, workers: int
) -> DataLoader[tuple[Masked, Masked]]:
    """A loader of plans of the batches that `datasets.training_loader` gives: the same recipes, in the same order.

    Args:
        pairs: Drawn as their own items are, but not rendered.
        sampler: Their numbers.
        pairs_per_batch: Pairs in a plan.
        workers: Processes that plan.

    Raises:
        SettingsError: The pairs may hold what the renderer cannot do.
    """
    _check(pairs)
    drawn = DrawnPairs(pairs)
    return DataLoader(
        drawn,
        batch_size=pairs_per_batch,
        sampler=sampler,
        collate_fn=drawn.plan,
        **loader_options(workers),
    )


def _check(pairs: BlendedPairs) -> None:
    faults = [
        f"blending.{name} {method}"
        for name in METHODS
        for method, weight in weights_of(getattr(pairs.config, name)).items()
        if weight > 0 and method not in METHODS[name]
    ]
    if pairs.data.fakes:
        faults.append("data.fakes")
    if faults:
        raise SettingsError(f"run: renderer torch cannot do {', '.join(faults)}; leave that out, or use renderer numpy")


class DrawnPairs(Dataset[tuple[Masked, Masked]]):
    """Pair number i: the recipes of the pair that a `BlendedPairs` renders, with their masks."""

    def __init__(self, pairs: BlendedPairs) -> None:
        self._pairs = pairs

    def __getitem__(self, index: int) -> tuple[Masked, Masked]:
        pairs = self._pairs
        fake = self._draw(pairs.config, FAKE, index)
        if pairs.data.paired:
            return with_mask(fake.recipe.as_real(), pairs.store), fake
        return self._draw(replace(pairs.config, real_prob=1.0), REAL, index), fake

    def _draw(self, config: BlendConfig, epoch: int, index: int) -> Masked:
        pool, store = self._pairs.pool, self._pairs.store
        return first_usable(
            lambda rng: with_mask(draw_recipe(config, pool, rng), store), self._pairs.seed, epoch, index
        )

    def plan(self, pairs: Sequence[tuple[Masked, Masked]]) -> Plan:
        """Prepare pairs, each its real image first, for the renderer."""
        return plan_masked([masked for pair in pairs for masked in pair], self._pairs.store)
