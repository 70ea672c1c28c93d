"""Blended sets on disk: a folder tree to look at, an HDF5 file to train on; and their reader."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from facexray.blending.generate import Layers, Sample, view_of
from facexray.blending.sheet import as_grey
from facexray.errors import SettingsError, StoreError
from facexray.faces.crop import VIEW_SIZE
from facexray.images import RGB, encode_image, read_image, write_bytes

HDF5_NAME = "blended.h5"
"""The HDF5 file's name in the output folder."""
SAMPLE_BYTES = VIEW_SIZE * VIEW_SIZE * 3 + 60_000
"""What a sample takes on disk, at most: its image, and its mask and recipe compressed."""
LABELS = ("real", "fake")
"""The names of the labels 0 and 1."""


def write_tree(out: Path, made: Iterable[tuple[Sample, Layers]], about: dict[str, Any]) -> None:
    """Write `real/NNNNNN.png` and `fake/NNNNNN/…`, each with its recipe, then `manifest.json`.

    A fake's folder holds background.png, foreground.png, mask.png, blended.png and xray.png as they look in
    the sample's window; blended.png is the sample itself, degradations included. Each sample appears whole.
    """
    samples = []
    counts = [0, 0]
    for sample, layers in made:
        folder = out / LABELS[sample.label]
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{counts[sample.label]:06d}"
        counts[sample.label] += 1
        files = {"recipe.json": json.dumps(sample.recipe.to_dict()).encode()}
        if sample.label:
            files |= {name: encode_image(picture, ".png") for name, picture in _pictures(sample, layers).items()}
            _write_folder(folder / name, files)
            image = f"fake/{name}/blended.png"
        else:
            write_bytes(folder / f"{name}.json", files["recipe.json"])
            write_bytes(folder / f"{name}.png", encode_image(sample.image, ".png"))
            image = f"real/{name}.png"
        samples.append({"image": image, "label": sample.label, "background": sample.recipe.background})
    content = {**about, "counts": dict(zip(LABELS, counts, strict=True)), "samples": samples}
    write_bytes(out / "manifest.json", json.dumps(content, indent=1, ensure_ascii=False).encode())


def _pictures(sample: Sample, layers: Layers) -> dict[str, RGB]:
    return {
        "background.png": view_of(layers.background, sample.recipe),
        "foreground.png": view_of(layers.foreground, sample.recipe),
        "mask.png": as_grey(sample.mask),
        "blended.png": sample.image,
        "xray.png": as_grey(sample.xray),
    }


def _write_folder(folder: Path, files: dict[str, bytes]) -> None:
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name, data in files.items():
        (temporary / name).write_bytes(data)
    temporary.replace(folder)


def write_hdf5(out: Path, made: Iterable[tuple[Sample, Layers]], about: dict[str, Any], count: int) -> None:
    """Write `blended.h5`: images, masks (the X-rays are 4·M·(1−M)), labels, backgrounds, recipes; whole or not."""
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / f".{HDF5_NAME}.part"
    try:
        with h5py.File(temporary, "w") as file:
            view = (VIEW_SIZE, VIEW_SIZE)
            images = file.create_dataset("images", (count, *view, 3), "uint8", chunks=(1, *view, 3))
            masks = file.create_dataset(
                "masks", (count, *view), "float32", chunks=(1, *view), compression="gzip", compression_opts=1
            )
            labels = file.create_dataset("labels", (count,), "uint8")
            backgrounds = file.create_dataset("backgrounds", (count,), h5py.string_dtype())
            recipes = file.create_dataset("recipes", (count,), h5py.string_dtype())
            file.attrs["about"] = json.dumps(about, ensure_ascii=False)
            file.attrs["xrays"] = "4 * masks * (1 - masks)"
            for row, (sample, _) in enumerate(made):
                images[row], masks[row], labels[row] = sample.image, sample.mask, sample.label
                backgrounds[row], recipes[row] = sample.recipe.background, json.dumps(sample.recipe.to_dict())
        temporary.replace(out / HDF5_NAME)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class LabelledView:
    """One image of a blended set, read back."""

    name: str
    image: RGB
    """(256, 256, 3) uint8 RGB."""
    label: int
    """0 real, 1 fake."""
    background: str
    """Id of the face that was kept."""


def is_blended_set(path: Path) -> bool:
    """Whether a path is a blended set: a folder with manifest.json or blended.h5, or such a file itself."""
    return blended_file(path) is not None


def blended_file(path: Path) -> Path | None:
    """The manifest.json or HDF5 file of a blended set, if the path is one."""
    candidates = [path / "manifest.json", path / HDF5_NAME] if path.is_dir() else [path]
    names = ("manifest.json", ".h5", ".hdf5")
    return next((file for file in candidates if file.is_file() and file.name.endswith(names)), None)


def read_blended(path: Path) -> Iterator[LabelledView]:
    """Read a blended set of either format, one view at a time.

    Raises:
        StoreError: No blended set there, or it is damaged.
    """
    file = blended_file(path)
    if file is None:
        raise StoreError(f"{path}: no blended set here; make one with: facexray blend STORE --count 100 --out {path}")
    try:
        for view in _read_tree(file) if file.name == "manifest.json" else _read_hdf5(file):
            if view.image.shape != (VIEW_SIZE, VIEW_SIZE, 3) or view.label not in (0, 1):
                raise ValueError(f"{view.name}: shape {view.image.shape}, label {view.label}")
            yield view
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise StoreError(f"{file}: not a whole blended set ({error}); make it again") from error


def _read_tree(manifest: Path) -> Iterator[LabelledView]:
    for sample in json.loads(manifest.read_text(encoding="utf-8"))["samples"]:
        image = read_image(manifest.parent / sample["image"])
        yield LabelledView(sample["image"], image, int(sample["label"]), sample["background"])


def _read_hdf5(path: Path) -> Iterator[LabelledView]:
    with h5py.File(path, "r") as file:
        for row, background in enumerate(file["backgrounds"].asstr()):
            yield LabelledView(f"{row}", np.asarray(file["images"][row]), int(file["labels"][row]), background)


def check_space(out: Path, count: int) -> None:
    """Refuse a set that the disk has no room for, before HDF5 runs into its end and brings the process down.

    Raises:
        StoreError: Too little space; says how much is needed.
    """
    place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if free < count * SAMPLE_BYTES:
        raise StoreError(
            f"{out}: {count} samples need up to {count * SAMPLE_BYTES / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; "
            "free space, or make fewer"
        )


def check_free(out: Path) -> None:
    """Refuse an output folder that holds something already.

    Raises:
        SettingsError: It is not empty, or is a file.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"{out}: is there already and not empty; name a new folder, or remove it first")
