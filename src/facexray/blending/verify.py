"""Check a blended set: redraw samples from their recipes and compare the bytes."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facexray.blending.config import BlendConfig
from facexray.blending.generate import Sample, render
from facexray.blending.recipe import Recipe
from facexray.blending.writers.reader import about_set, read_blended
from facexray.blending.writers.sample import LabelledView, Source, decode_mask, naming, xray_levels
from facexray.errors import FaceXrayError, StoreError
from facexray.faces.neighbours import FacePool
from facexray.faces.store import FaceStore
from facexray.images import sha256_of


def verify(blended: Path, store: Path | None = None, samples: int = 20) -> int:
    """Redraw samples, spread evenly over a set, and compare image, mask and label.

    From their numbers, if the set is of this version and the store as it was: then each must be the sample of its
    number. From their recipes alone otherwise.

    Args:
        blended: The set, of any format.
        store: The faces that it was made of, if they are no longer where the set says.
        samples: How many, at most.

    Returns:
        How many were redrawn, all of them byte for byte.

    Raises:
        StoreError: The set or the store is missing or damaged, or a sample came out otherwise.
    """
    _, about = about_set(blended)
    faces = _store_of(about, blended) if store is None else FaceStore(store)
    count = about["settings"]["count"]
    numbers = np.unique(np.linspace(0, count - 1, min(samples, count)).round().astype(int)).tolist()
    source = _source_of(about, faces)
    tree = about["settings"]["format"] == "tree"
    found = []
    for number, view in zip(numbers, read_blended(blended, numbers), strict=True):
        difference = _difference(view, faces, source.sample(number) if source else None)
        found.append((view.name, difference or (_other_xray(view, blended) if tree and view.label else "")))
    faults = [f"sample {name}: {difference}" for name, difference in found if difference]
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise StoreError(
            f"{blended}: {len(faults)} of {len(numbers)} samples came out otherwise; {faults[0]}{more}; "
            f"{_why(about, faces)}"
        )
    return len(numbers)


def _store_of(about: dict[str, Any], blended: Path) -> FaceStore:
    path = about["settings"]["store"]
    try:
        return FaceStore(path)
    except StoreError as error:
        raise StoreError(
            f"{error}; if the store was moved, name it: facexray blend STORE --verify {blended}"
        ) from error


def _source_of(about: dict[str, Any], faces: FaceStore) -> Source | None:
    """What the samples are drawn from by their numbers; None where it would be drawn otherwise today."""
    if about.get("store_sha256") != sha256_of(faces.path / "faces.parquet"):
        return None
    if about.get("facexray_version") != version("facexray"):
        return None
    settings = about["settings"]
    return Source(faces, FacePool.of(faces), BlendConfig.from_dict(settings["blending"]), settings["seed"])


def _other_xray(view: LabelledView, blended: Path) -> str:
    """How the picture of a tree's X-ray differs from 4·M·(1−M); nothing if it does not."""
    path = blended / "fake" / view.name / "xray.png"
    with naming(path):
        there = decode_mask(path.read_bytes())
    same = np.array_equal(there, xray_levels(view.xray))
    return "" if same else "its xray.png is not 4·M·(1−M) of its mask.png"


def _difference(view: LabelledView, faces: FaceStore, drawn: Sample | None) -> str:
    """How a sample differs from the one of its number, or from what its recipe gives; nothing if it does not."""
    if drawn and json.loads(json.dumps(drawn.recipe.to_dict())) != view.recipe:
        return "its recipe is not the one that is drawn for its number"
    try:
        sample = drawn or render(Recipe.from_dict(view.recipe), faces)
    except KeyError as error:
        return f"its recipe or the store lacks {error}"
    except (FaceXrayError, TypeError, ValueError, AttributeError) as error:
        return f"cannot be redrawn ({error})"
    if sample.label != view.label:
        return f"label {view.label}, redrawn {sample.label}"
    pairs = {"image": (view.image, sample.image), "mask": (view.mask_levels, sample.mask_levels)}
    for name, (there, redrawn) in pairs.items():
        if different := np.count_nonzero(there != redrawn):
            most = np.abs(there.astype(int) - redrawn).max()
            return f"{different} of {there.size} values of the {name} differ, by up to {most}"
    return ""


def _why(about: dict[str, Any], faces: FaceStore) -> str:
    """What may have made the difference."""
    now = {"opencv_version": cv2.__version__, "numpy_version": np.__version__}
    reasons = [f"{name} was {about[name]}, is {here}" for name, here in now.items() if about.get(name) != here]
    if about.get("store_sha256") != sha256_of(faces.path / "faces.parquet"):
        reasons.append(f"{faces.path} is another store, or was changed since")
    return "; ".join(reasons) or "the set was changed, or made on a machine that computes otherwise"
