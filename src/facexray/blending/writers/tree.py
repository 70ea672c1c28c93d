"""The format `tree`: numbered pictures to look at.

real/000004.png, .json        a real image and its recipe
fake/000005/background.png    a fake's face that was kept, as it looks in the sample's window
           /foreground.png    its face that was put in, aligned and colour-transferred
           /mask.png          M, white is 1
           /blended.png       the sample, degradations included
           /xray.png          B = 4·M·(1−M)
           /recipe.json       everything random about it, and the background's video
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facexray.blending.generate import view_of
from facexray.blending.hull import Mask
from facexray.blending.writers.parts import parts_of
from facexray.blending.writers.sample import (
    IMAGE_BYTES,
    LABELS,
    REST_BYTES,
    LabelledView,
    Source,
    decode_mask,
    name_of,
    naming,
    xray_levels,
)
from facexray.faces.crop import VIEW_SIZE
from facexray.images import decode_image, encode_image, write_bytes

FAKE_FILES = {"background.png", "foreground.png", "mask.png", "xray.png", "blended.png", "recipe.json"}
"""What a fake's folder holds."""


def space(missing: int, count: int) -> int:
    """Bytes that so many missing samples of so many take, at most: three images where fake, one where real."""
    return missing * (2 * IMAGE_BYTES + REST_BYTES)


def missing(folder: Path, count: int) -> list[Sequence[int]]:
    """The numbers that are still to be made, as parts."""
    real, recipes = ({path.stem for path in folder.glob(these)} for these in ("real/*.png", "real/*.json"))
    files = Counter(path.parent.name for path in folder.glob("fake/*/*") if path.name in FAKE_FILES)
    there = (real & recipes) | {name for name, count in files.items() if count == len(FAKE_FILES)}
    return parts_of([number for number in range(count) if name_of(number) not in there])


def make(source: Source, folder: Path, part: Sequence[int]) -> None:
    """Draw samples and write each, whole or not at all: a real one is there when its image is, which comes last."""
    for number in part:
        sample, layers = source.both(number)
        name, recipe, image = name_of(number), source.record(sample), encode_image(sample.image, ".png")
        if sample.label:
            pictures = {
                "background.png": view_of(layers.background, sample.recipe),
                "foreground.png": view_of(layers.foreground, sample.recipe),
                "mask.png": sample.mask_levels,
                "xray.png": xray_levels(sample.xray),
            }
            files = {name: encode_image(picture, ".png") for name, picture in pictures.items()}
            _write_folder(folder / "fake" / name, {**files, "blended.png": image, "recipe.json": recipe})
        else:
            write_bytes(folder / "real" / f"{name}.json", recipe)
            write_bytes(folder / "real" / f"{name}.png", image)


def _write_folder(folder: Path, files: dict[str, bytes]) -> None:
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    temporary.mkdir()
    try:
        for name, data in files.items():
            (temporary / name).write_bytes(data)
        shutil.rmtree(folder, ignore_errors=True)  # of which a part was removed
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write(folder: Path, about: dict[str, Any], made: Iterator[object]) -> None:
    """Have all samples made: they are where they belong then."""
    for name in LABELS:
        (folder / name).mkdir(exist_ok=True)
    for _ in made:
        pass


def labels(folder: Path, count: int) -> list[int]:
    """The label of every sample of a whole set."""
    fakes = {path.name for path in folder.glob("fake/*")}
    return [int(name_of(number) in fakes) for number in range(count)]


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
