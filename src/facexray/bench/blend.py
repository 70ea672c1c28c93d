"""The command `bench blend`: how long a blended image takes, where the time goes, and how near that is to the floor."""

from __future__ import annotations

import cProfile
import json as json_format
import pstats
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.table import Table

from facexray.blending.align import place
from facexray.blending.blend import BLENDS, as_float
from facexray.blending.colour import COLOURS
from facexray.blending.config import BlendConfig
from facexray.blending.degrade import degrade
from facexray.blending.generate import change_source, draw_sample, view_of
from facexray.blending.hull import fill, whole
from facexray.blending.mask import make_mask
from facexray.blending.recipe import draw_recipe
from facexray.demonstration import portrait_store
from facexray.errors import SettingsError
from facexray.faces.crop import CROP_SIZE
from facexray.faces.neighbours import FacePool
from facexray.faces.store import FaceStore
from facexray.provenance import provenance
from facexray.workers import one_thread

ROUNDS = 15
"""Times that fakes and floor take turns, so that a busy machine slows both."""

STEPS: dict[str, list[Callable[..., Any]]] = {
    "draw the recipe, find the foreground": [draw_recipe],
    "read the crops": [FaceStore.crop],
    "mask": [make_mask],
    "place the foreground": [place],
    "change the self-blended source": [change_source],
    "colour": list(COLOURS.values()),
    "blend": list(BLENDS.values()),
    "degrade": [degrade],
    "view": [view_of],
}
"""The functions of each step of a fake."""


def bench_blend(store: Path | None = None, preset: str = "default", fakes: int = 600, json: bool = False) -> Any:
    """Measure how fast blended images are made, on one core, beside the least that any blend must do.

    The floor: read two 317 × 317 crops from the store and blend them once in float32, by plain NumPy. Fakes and floor
    are measured in turns; the medians of the rounds are shown. The steps' shares come from a profiled run of its own.

    Args:
        store: Face store; the two packaged portraits where not given.
        preset: Of the blending: default, paper, generator or sbi.
        fakes: Fakes to measure, each from 317-pixel crops to a 256-pixel sample with its X-ray.
        json: Print one line of JSON instead of a table.

    Returns:
        The figures: `ms_per_fake`, `samples_per_s`, `floor_ms`, `ratio_to_floor`, `shares`, and how they were made.

    Raises:
        SettingsError: Too few fakes, or no such preset.
        StoreError: The store is missing or too small.
    """
    if fakes < ROUNDS:
        raise SettingsError(f"fakes must be at least {ROUNDS}, got {fakes}")
    config = BlendConfig.preset(preset, real_prob=0.0)
    with opened(store) as faces, one_thread():
        pool = FacePool.of(faces)

        def fake(number: int) -> None:
            _ = draw_sample(config, pool, faces, 0, 0, number).xray

        times = _in_turns([fake, _floor(faces)], fakes // ROUNDS)
        shares = _shares(fake, fakes)
    fake_ms, floor_ms = (float(np.median(rounds)) for rounds in times)
    figures = {
        "ms_per_fake": round(fake_ms, 3),
        "ms_per_fake_quartiles": [round(float(value), 3) for value in np.quantile(times[0], [0.25, 0.75])],
        "samples_per_s": round(1000 / fake_ms, 1),
        "floor_ms": round(floor_ms, 3),
        "ratio_to_floor": round(fake_ms / floor_ms, 2),
        "shares": {name: round(share, 3) for name, share in shares.items()},
        "faces": len(pool.ids),
        **provenance("bench blend", {"store": store, "preset": preset, "fakes": fakes}),
    }
    if json:
        print(json_format.dumps(figures))
    else:
        _print(figures)
    return figures


@contextmanager
def opened(path: Path | None) -> Iterator[FaceStore]:
    """A face store, or for as long as it is open one of the two packaged portraits."""
    if path is not None:
        yield FaceStore(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield portrait_store(Path(folder) / "store")


def _floor(faces: FaceStore) -> Callable[[int], None]:
    """Two crops read, and one float32 blend in plain NumPy: a yardstick that does not move when our blend does."""
    alpha = as_float(fill(whole(faces.landmarks[0]), CROP_SIZE, CROP_SIZE))[..., None]

    def blend_two(number: int) -> None:
        background, foreground = (faces.crop((number + i) % len(faces)).astype(np.float32) for i in range(2))
        np.rint(alpha * foreground + (1 - alpha) * background).astype(np.uint8)

    return blend_two


def _in_turns(tasks: list[Callable[[int], None]], count: int) -> list[list[float]]:
    """Milliseconds per call of each task, in each of the rounds; a first round is not counted."""
    times: list[list[float]] = [[] for _ in tasks]
    for turn in range(ROUNDS + 1):
        for task, rounds in zip(tasks, times, strict=True):
            began = time.perf_counter()
            for number in range(turn * count, (turn + 1) * count):
                task(number)
            rounds.append((time.perf_counter() - began) / count * 1e3)
    return [rounds[1:] for rounds in times]


def _shares(task: Callable[[int], None], count: int) -> dict[str, float]:
    """The share of each step in the time of a task."""
    profile = cProfile.Profile()
    profile.enable()
    for number in range(count):
        task(number)
    profile.disable()
    table = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    total = sum(own for _, _, own, _, _ in table.values())

    def time_in(function: Callable[..., Any]) -> float:
        code = cast(FunctionType, function).__code__
        key = (code.co_filename, code.co_firstlineno, code.co_name)
        if key not in table:
            return 0.0
        # A source's own degradations count as its change, not twice.
        nested = sum(t[3] for caller, t in table[key][4].items() if caller[2] == change_source.__name__)
        return float(table[key][3] - nested)

    shares = {name: sum(map(time_in, functions)) / total for name, functions in STEPS.items()}
    return {**shares, "the rest": 1 - sum(shares.values())}


def _print(figures: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    low, high = figures["ms_per_fake_quartiles"]
    console.print(
        f"{figures['ms_per_fake']:.2f} ms a fake (middle half of the rounds {low:.2f}-{high:.2f}), "
        f"{figures['samples_per_s']:.0f} a second on one core"
    )
    console.print(
        f"floor, two crops read and one float32 blend: {figures['floor_ms']:.2f} ms; "
        f"a fake takes {figures['ratio_to_floor']:.2f} times that"
    )
    table = Table("step", "share")
    for name, share in figures["shares"].items():
        table.add_row(name, f"{share:.1%}")
    console.print(table)
