"""The format `tree`: numbered pictures to look at.

real/000004.png, .json        a real image and its recipe
fake/000005/background.png    a fake's face that was kept, as it looks in the sample's window
           /foreground.png    its face that was put in, aligned and colour-transferred
           /mask.png          M, white is 1
           /blended.png       the sample, degradations included
           /xray.png          B = 4·M·(1−M)
           /recipe.json       everything random about it
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from facexray.blending.generate import view_of
from facexray.blending.hull import Mask
from facexray.blending.writers.sample import (
    IMAGE_BYTES,
    LABELS,
    REST_BYTES,
    Encoded,
    LabelledView,
    Source,
    decode_mask,
    name_of,
    naming,
    recipe_bytes,
)
from facexray.faces.crop import VIEW_SIZE
from facexray.images import decode_image, encode_image, write_bytes


def space(missing: int, count: int) -> int:
    """Bytes that so many missing samples of so many take, at most: three images where fake, one where real."""
    return missing * (2 * IMAGE_BYTES + REST_BYTES)


def make(source: Source, number: int) -> Encoded:
    """Draw a sample; its files are those of a fake's folder, or a real one's two by their suffixes."""
    sample, layers = source.both(number)
    recipe = recipe_bytes(sample)
    if not sample.label:
        return Encoded(number, {".json": recipe, ".png": encode_image(sample.image, ".png")})
    pictures = {
        "background.png": view_of(layers.background, sample.recipe),
        "foreground.png": view_of(layers.foreground, sample.recipe),
        "mask.png": sample.mask_levels,
        "blended.png": sample.image,
        "xray.png": np.rint(sample.xray * 255).astype(np.uint8),
    }
    files = {name: encode_image(picture, ".png") for name, picture in pictures.items()}
    return Encoded(number, {**files, "recipe.json": recipe})


def missing(folder: Path, count: int) -> list[int]:
    """The numbers below `count` that are still to be made."""
    real, recipes, fake = (
        {path.stem for path in folder.glob(these)} for these in ("real/*.png", "real/*.json", "fake/*")
    )
    there = (real & recipes) | fake
    return [number for number in range(count) if name_of(number) not in there]


def labels(folder: Path, count: int) -> list[int]:
    """The label of every sample of a whole set."""
    fakes = {path.name for path in folder.glob("fake/*")}
    return [int(name_of(number) in fakes) for number in range(count)]


def write(folder: Path, about: dict[str, Any], made: Iterable[Encoded]) -> None:
    """Write samples, each whole or not at all: a real one is there when its image is, which comes last."""
    for name in LABELS:
        (folder / name).mkdir(exist_ok=True)
    for sample in made:
        name = name_of(sample.number)
        if ".png" in sample.files:
            for suffix, data in sample.files.items():
                write_bytes(folder / "real" / f"{name}{suffix}", data)
        else:
            _write_folder(folder / "fake" / name, sample.files)


def _write_folder(folder: Path, files: dict[str, bytes]) -> None:
    temporary = folder.with_name(f".{folder.name}.part")
    temporary.mkdir()
    try:
        for name, data in files.items():
            (temporary / name).write_bytes(data)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read(folder: Path, numbers: Iterable[int]) -> Iterator[LabelledView]:
    """Read the samples of these numbers."""
    for number in numbers:
        name = name_of(number)
        fake, real = folder / "fake" / name, folder / "real" / f"{name}.png"
        if fake.is_dir():
            with naming(fake):
                mask = decode_mask((fake / "mask.png").read_bytes())
                yield _view(name, 1, fake / "blended.png", mask, fake / "recipe.json")
        else:
            with naming(real):
                yield _view(name, 0, real, np.zeros((VIEW_SIZE, VIEW_SIZE), np.uint8), real.with_suffix(".json"))


def _view(name: str, label: int, image: Path, mask: Mask, recipe: Path) -> LabelledView:
    return LabelledView(
        name, decode_image(image.read_bytes(), "the image"), mask, label, json.loads(recipe.read_bytes())
    )
