"""The command `blend`: a blended set on disk."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import cv2
from rich.console import Console
from rich.progress import track

from facexray.blending.generate import Layers, Sample, draw_sample, render_layers
from facexray.blending.recipe import BlendConfig
from facexray.blending.sheet import contact_sheet
from facexray.blending.writers import check_free, check_space, write_hdf5, write_tree
from facexray.errors import SettingsError, StoreError
from facexray.faces.neighbours import FacePool
from facexray.faces.store import FaceStore
from facexray.images import write_image
from facexray.provenance import provenance

SHEET_ROWS = 16
"""Samples on a contact sheet."""
CHUNK = 8
"""Samples that a worker makes before handing them over."""

Made = tuple[Sample, Layers]


def blend(
    store: Path,
    count: int,
    out: Path,
    format: Literal["tree", "hdf5"] = "tree",
    seed: int = 0,
    workers: int = 1,
    sheet: Path | None = None,
    blending: BlendConfig = BlendConfig(),
) -> Path:
    """Make a set of real and blended images with their masks and Face X-rays (BI) from a store of real faces.

    Sample i is drawn from (seed, i) alone: the same seed gives the same bytes for any number of workers.

    Args:
        store: Face store of real photographs, made by prepare.
        count: Samples to make, real and fake together.
        out: New folder for the set.
        format: tree: real/ and fake/ numbered, each fake a folder of pictures; hdf5: one file, blended.h5.
        seed: Of the drawing.
        workers: Processes that make samples.
        sheet: A picture to write as well: the first fakes with background, foreground, mask and X-ray.
        blending: How samples are drawn.

    Returns:
        The folder.

    Raises:
        SettingsError: A setting out of its range, or OUT is not empty.
        StoreError: The store is missing or too small, or the disk is full.
    """
    if count < 1 or workers < 1 or seed < 0:
        raise SettingsError(f"count and workers must be at least 1, seed at least 0; got {count}, {workers}, {seed}")
    if format not in ("tree", "hdf5"):
        raise SettingsError(f"format must be tree or hdf5, got {format!r}")
    out = Path(out)
    check_free(out)
    check_space(out, count)
    faces = FaceStore(store)
    maker = _Maker(faces, FacePool.of(faces), blending, seed)
    settings = {"store": store, "count": count, "format": format, "seed": seed, "blending": blending}
    about = provenance("blend", settings)
    console = Console(stderr=True)
    made = track(maker.make(count, workers), "blending", count, console=console, transient=True)
    try:
        if sheet:
            first = list(islice((pair for pair in maker.make(count, 1) if pair[0].label), SHEET_ROWS))
            write_image(Path(sheet), contact_sheet(first))
        if format == "tree":
            write_tree(out, made, about)
        else:
            write_hdf5(out, made, about, count)
    except OSError as error:
        raise StoreError(f"{out}: writing failed ({error}); free space and run again with another folder") from error
    return out


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that owns the workers
    cv2.setNumThreads(1)


class _Maker:
    """Makes samples by their numbers, here or in worker processes."""

    def __init__(self, faces: FaceStore, pool: FacePool, config: BlendConfig, seed: int) -> None:
        self._faces, self._pool, self._config, self._seed = faces, pool, config, seed

    def make(self, count: int, workers: int) -> Iterator[Made]:
        """Samples 0 … count − 1 in order, and the layers they were made of."""
        if workers == 1:
            yield from map(self.one, range(count))
            return
        chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
        context = multiprocessing.get_context("spawn")
        with context.Pool(workers, _start_worker) as pool:  # leaving it, be it by Ctrl-C, ends the workers
            # A window of chunks, so that memory does not grow with the set.
            for start in range(0, len(chunks), 2 * workers):
                yield from chain.from_iterable(pool.map(self.several, chunks[start : start + 2 * workers], 1))

    def several(self, numbers: range) -> list[Made]:
        """The samples of these numbers."""
        return [self.one(number) for number in numbers]

    def one(self, number: int) -> Made:
        """The sample of this number, and its layers."""
        sample = draw_sample(self._config, self._pool, self._faces, self._seed, 0, number)
        return sample, render_layers(sample.recipe, self._faces)
