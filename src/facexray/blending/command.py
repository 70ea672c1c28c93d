"""The command `blend`: a blended set on disk, or its check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import track

from facexray.blending.config import BlendConfig
from facexray.blending.generate import Layers, Sample
from facexray.blending.parallel import in_order
from facexray.blending.sheet import contact_sheet
from facexray.blending.verify import verify as verify_set
from facexray.blending.writers import LABELS, manifest
from facexray.blending.writers.formats import FORMATS, check_space
from facexray.blending.writers.sample import Source
from facexray.errors import SettingsError, StoreError
from facexray.faces.neighbours import FacePool
from facexray.faces.store import FaceStore
from facexray.images import write_image

SHEET_ROWS = 16
"""Samples on a contact sheet, at most."""
SHEET_SAMPLES = 64
"""Samples among which the sheet's fakes are looked for."""


def blend(
    store: Path | None = None,
    count: int | None = None,
    out: Path | None = None,
    format: Literal["tree", "hdf5", "webdataset"] = "tree",
    seed: int = 0,
    workers: int = 1,
    sheet: Path | None = None,
    verify: Path | None = None,
    samples: int = 20,
    blending: BlendConfig = BlendConfig(),
) -> Path:
    """Make a set of real and blended images with their masks and Face X-rays (BI) from a store of real faces.

    Sample i is drawn from (seed, i) alone: the same seed gives the same bytes for any number of workers, in any
    format. The same call again goes on where a stopped one was. With verify, check a set instead of making one.

    Args:
        store: Face store of real photographs, made by prepare; with verify only if it was moved.
        count: Samples to make, real and fake together.
        out: Folder for the set: a new one, or that of a stopped run with the same settings.
        format: tree: numbered pictures; hdf5: one file, blended.h5; webdataset: tar shards of 1,000.
        seed: Of the drawing.
        workers: Processes that make samples.
        sheet: A picture to write as well: the first fakes with background, foreground, mask and X-ray.
        verify: A set to check: samples are redrawn from their recipes, and their bytes compared.
        samples: How many verify redraws, spread evenly over the set.
        blending: How samples are drawn.

    Returns:
        The set's folder.

    Raises:
        SettingsError: A setting missing or out of its range, or OUT holds something else.
        StoreError: The store is missing or too small, the disk is full, or a set is damaged.
    """
    if verify is not None:
        return _verify(Path(verify), store, samples)
    if store is None or count is None or out is None:
        raise SettingsError("a store, --count and --out are needed (or --verify DIR, to check a set)")
    if count < 1 or workers < 1 or seed < 0:
        raise SettingsError(f"count and workers must be at least 1, seed at least 0; got {count}, {workers}, {seed}")
    if format not in FORMATS:
        raise SettingsError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    out = Path(out)
    faces = FaceStore(store)
    source = Source(faces, FacePool.of(faces), blending, seed)
    about = manifest.describe(faces.path, {"count": count, "format": format, "seed": seed, "blending": blending})
    try:
        with manifest.claimed(out, about) as recorded:
            if sheet:
                write_image(Path(sheet), contact_sheet(_first_fakes(source, count)))
            _make(out, recorded, source, workers)
    except OSError as error:
        raise StoreError(
            f"{out}: writing failed ({error}); set that right (free space, permissions), then run the same command "
            "again: it goes on from there"
        ) from error
    return out


def _verify(blended: Path, store: Path | None, samples: int) -> Path:
    if samples < 1:
        raise SettingsError(f"samples must be at least 1, got {samples}")
    redrawn = verify_set(blended, store, samples)
    Console().print(f"{redrawn} of {redrawn} samples redrawn byte for byte", highlight=False)
    return blended


def _make(out: Path, about: dict[str, Any], source: Source, workers: int) -> None:
    """Make what is missing of the set whose manifest is `about`."""
    form, count = FORMATS[about["settings"]["format"]], about["settings"]["count"]
    parts = form.missing(out, count)
    missing = sum(map(len, parts))
    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    if about["complete"] and not missing:
        console.print(f"{out}: all {count} samples are there already")
        return
    if missing < count:
        console.print(f"{out}: {count - missing} of {count} samples are there already; going on")
    check_space(out, missing, form.space(missing, count))
    manifest.write(out, {**about, "complete": False})
    with closing(in_order(partial(form.make, source, out), parts, workers)) as made:
        shown = track(made, "blending", len(parts), console=console, transient=True)
        form.write(out, manifest.undated(about), iter(shown))
    manifest.check_store(source.faces.path, about)
    counts = Counter(LABELS[label] for label in form.labels(out, count))
    manifest.write(out, {**about, "complete": True, "counts": {name: counts[name] for name in LABELS}})


def _first_fakes(source: Source, count: int) -> Iterator[tuple[Sample, Layers]]:
    """The first fakes of a set of so many samples, as many as a sheet shows."""
    drawn = map(source.both, range(min(count, SHEET_SAMPLES)))
    return islice(((sample, layers) for sample, layers in drawn if sample.label), SHEET_ROWS)
