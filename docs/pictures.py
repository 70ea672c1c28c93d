"""Draw the pictures of docs/explanation/blending.md from the two packaged portraits.

Run: python docs/pictures.py

Portraits: Grace Hopper (US Navy) and Eileen Collins (NASA), public domain, carried by matplotlib and scikit-image.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from facexray.blending.blend import BLENDS, face_xray
from facexray.blending.colour import COLOURS
from facexray.blending.degrade import DEGRADATIONS, Degradation, degrade
from facexray.blending.generate import render, sample_rng
from facexray.blending.hull import HULLS
from facexray.blending.recipe import Recipe
from facexray.blending.sheet import as_grey
from facexray.demonstration import portrait_store
from facexray.faces.store import FaceStore
from facexray.images import RGB, write_image

OUT = Path(__file__).parent / "images"
TILE = 92
LEFT = 148
HEAD = 36
GRID = tuple(
    tuple((float(x), float(y)) for x, y in row) for row in sample_rng(0, 0, 0).normal(0, 8, (4, 4, 2)).tolist()
)
"""Displacements of the deformations' example, in pixels."""
STEPS = {
    "shading": Degradation("shading", 0.6, seed=1),
    "blur": Degradation("blur", 2),
    "denoise": Degradation("denoise", 25),
    "sharpen": Degradation("sharpen", 1.5),
    "resample": Degradation("resample", 0.25, "nearest-linear"),
    "gaussian_noise": Degradation("gaussian_noise", 12, seed=1),
    "poisson_noise": Degradation("poisson_noise", 100, seed=1),
    "brightness": Degradation("brightness", 40),
    "contrast": Degradation("contrast", 0.6),
    "hue": Degradation("hue", 25),
    "saturation": Degradation("saturation", 0.2),
    "webp": Degradation("webp", 10),
    "h264": Degradation("h264", 38),
    "jpeg": Degradation("jpeg", 15, "420"),
    "blocks": Degradation("blocks", 60, seed=1),
}


def main() -> None:
    """Write every picture."""
    with tempfile.TemporaryDirectory() as folder:
        store = portrait_store(Path(folder) / "store")
        hopper, astronaut = (face.id for face in store)
        swap = Recipe("bi", hopper, astronaut, align="similarity", soften_px=4.0, colour="lab")
        write_image(OUT / "hulls.jpg", hulls(swap, store))
        write_image(OUT / "deformations.jpg", deformations(swap, store))
        write_image(OUT / "methods.jpg", methods(swap, store))
        write_image(OUT / "degradations.jpg", degradations(store))


def hulls(swap: Recipe, store: FaceStore) -> RGB:
    """Each hull: filled, as a softened mask, its X-ray, and the blend."""
    columns = []
    for name in HULLS:
        recipe = replace(swap, hull=name)
        sharp, sample = render(replace(recipe, soften_px=0.3), store), render(recipe, store)
        columns.append(
            [tinted(render(recipe.as_real(), store).image, sharp.mask), *looks(sample.mask_levels, sample.image)]
        )
    rows = ["hull", "mask M", "X-ray B", "blended"]
    return table(
        [name.replace("_", "\n", 1) for name in HULLS],
        [(name, list(row)) for name, row in zip(rows, zip(*columns, strict=True), strict=True)],
    )


def deformations(swap: Recipe, store: FaceStore) -> RGB:
    """The mask's way: deformation, erosion or dilation, softening."""
    base = replace(swap, hull="components", soften_px=1.0)
    variants = {
        "as drawn": base,
        "grid, linear": replace(base, grid_px=GRID),
        "grid, smooth": replace(base, grid_px=GRID, grid_spline="smooth"),
        "eroded 8 px": replace(base, grow_px=-8.0),
        "dilated 6 px": replace(base, grow_px=6.0),
        "gaussian 5 px": replace(base, soften_px=5.0),
        "feather 24 px": replace(base, soften="feather", soften_px=24.0),
        "all": replace(base, grid_px=GRID, grow_px=-3.0, soften_px=5.0),
    }
    samples = [render(recipe, store) for recipe in variants.values()]
    pictures = [looks(sample.mask_levels, sample.image) for sample in samples]
    rows = ["mask M", "X-ray B", "blended"]
    return table(
        list(variants), [(name, list(row)) for name, row in zip(rows, zip(*pictures, strict=True), strict=True)]
    )


def methods(swap: Recipe, store: FaceStore) -> RGB:
    """Every hull × blend × colour."""
    pairs = list(product(BLENDS, COLOURS))
    rows = [
        (hull, [render(replace(swap, hull=hull, blend=b, colour=c), store).image for b, c in pairs]) for hull in HULLS
    ]
    return table([f"{blend}\n{colour}" for blend, colour in pairs], rows)


def degradations(store: FaceStore) -> RGB:
    """Every degradation, stronger than in training."""
    assert list(STEPS) == list(DEGRADATIONS)
    views = [render(Recipe("real", face.id), store).image for face in store]
    rows = [("", [view, *(degrade(view, (step,)) for step in STEPS.values())]) for view in views]
    return table(["as it is", *STEPS], rows)


def looks(mask: np.ndarray, image: RGB) -> Iterator[RGB]:
    """Mask, X-ray and image as pictures."""
    return iter([as_grey(mask), as_grey(np.rint(face_xray(mask) * 255).astype(np.uint8)), image])


def tinted(image: RGB, mask: np.ndarray) -> RGB:
    """The image, a mask laid over it in red."""
    red = np.array([255, 40, 40], np.float32)
    return np.rint(image + 0.45 * mask[..., None] * (red - image)).astype(np.uint8)


def table(header: Sequence[str], rows: Sequence[tuple[str, Sequence[RGB]]]) -> RGB:
    """Rows of pictures with captions above and to their left."""
    left = LEFT if any(name for name, _ in rows) else 0
    page = np.full((HEAD + TILE * len(rows), left + TILE * len(header), 3), 255, np.uint8)
    for column, caption in enumerate(header):
        for line, words in enumerate(caption.split("\n")):
            write(page, words, (left + TILE * column + 3, 14 + 15 * line))
    for line, (name, pictures) in enumerate(rows):
        top = HEAD + TILE * line
        write(page, name, (2, top + TILE // 2))
        for column, picture in enumerate(pictures):
            tile = cv2.resize(picture, (TILE - 2, TILE - 2), interpolation=cv2.INTER_AREA)
            page[top : top + TILE - 2, left + TILE * column : left + TILE * (column + 1) - 2] = tile
    return page


def write(page: RGB, text: str, place: tuple[int, int]) -> None:
    """Draw a caption."""
    cv2.putText(page, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)


if __name__ == "__main__":
    main()
