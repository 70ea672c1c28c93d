"""Recipes → samples in batches, on tensors: what `blending/generate.py` makes one by one, for GPUs that cores starve.

The host draws recipes, makes masks, for on them it depends whether a recipe is drawn again, chooses matrices, reads
crops and runs codecs and noise; whatever else touches every pixel runs on the device, for the whole batch at once,
each sample with its own numbers.

    renderer = BatchRenderer(torch.device("cuda"))
    views, xrays, labels = renderer(plan(recipes, store)).batch

A plan needs no device: worker processes can make it, as those of `device_loader` do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facexray.blending.align import ALIGNMENTS, Affine, then
from facexray.blending.config import MODES as DRAWN_MODES
from facexray.blending.degrade import Degradation
from facexray.blending.generate import MIN_MASK, Faces, jitter_matrix
from facexray.blending.hull import Mask
from facexray.blending.mask import make_mask
from facexray.blending.recipe import Recipe
from facexray.errors import BlendError
from facexray.faces.crop import CROP_SIZE, VIEW_SIZE
from facexray.faces.landmarks import Landmarks
from facexray.training.datasets import Rendered
from facexray.training.tensors.align import MODES, place
from facexray.training.tensors.blend import BLENDS
from facexray.training.tensors.colour import COLOURS
from facexray.training.tensors.degrade import degrade
from facexray.training.tensors.filters import resize, to_levels

METHODS: dict[str, Collection[str]] = {
    "mode": ("real", *DRAWN_MODES),
    "interpolation": MODES,
    "colour": COLOURS,
    "blend": BLENDS,
}
"""What the renderer has of the methods that a recipe names; of all others it has every one."""


def supports(recipe: Recipe) -> bool:
    """Whether a recipe can be rendered on tensors.

    All can that neither are given fakes, nor blend by `poisson`, nor move their foreground by `lanczos`.
    """
    return not _unsupported(recipe)


def _unsupported(recipe: Recipe) -> list[str]:
    return [f"{name} {getattr(recipe, name)}" for name, known in METHODS.items() if getattr(recipe, name) not in known]


class Masked(NamedTuple):
    """A recipe, and its mask in its window."""

    recipe: Recipe
    mask: Mask
    """(H, W) uint8: M in steps of 1/255 where it is not 0; (0, 0) where real."""
    corner: tuple[int, int]
    """x, y of its upper left pixel in the window."""


def with_mask(recipe: Recipe, faces: Faces) -> Masked:
    """Make the mask of a recipe on the host, on which it depends whether the recipe can be used.

    Raises:
        BlendError: The mask is empty or covers the whole window, as `generate.render` has it.
    """
    if not recipe.label:
        return Masked(recipe, np.zeros((0, 0), np.uint8), (0, 0))
    left, top, side = recipe.window
    landmarks = faces.landmarks[faces.index_of[recipe.background]]
    mask, box = make_mask(recipe, landmarks, (left, top, left + side, top + side))
    covered = np.count_nonzero(mask > 127) / side**2
    if not MIN_MASK <= covered < 1:
        raise BlendError(f"the mask of {recipe.background} covers {covered:.1%} of the window: nothing to blend")
    return Masked(recipe, mask, (box[0] - left, box[1] - top))


@dataclass(frozen=True)
class Plan:
    """What the host prepares of a batch: N recipes, F of them fakes, of U faces."""

    recipes: tuple[Recipe, ...]
    crops: Tensor
    """(U, 317, 317, 3) uint8 RGB, each once."""
    backgrounds: Tensor
    """(N,) int64 places in `crops`."""
    foregrounds: Tensor
    """(F,) int64 places in `crops`."""
    matrices: NDArray[np.float64]
    """(F, 2, 3) from the foregrounds' crops to the windows, in pixels."""
    masks: Tensor
    """(F, W, W) uint8: M in steps of 1/255 in the windows, W the side of the batch's widest; 0 beyond narrower ones."""
    spans: Tensor
    """(F, 2, 2) int64: what of the masks is above 0, rows then columns, first and length."""


def plan(recipes: Sequence[Recipe], faces: Faces) -> Plan:
    """Prepare a batch on the host.

    Raises:
        BlendError: A recipe cannot be rendered on tensors, and the message names its methods; or its mask is unusable.
    """
    for row, recipe in enumerate(recipes):
        if faults := _unsupported(recipe):
            raise BlendError(
                f"recipe {row}: {', '.join(faults)} cannot be rendered on tensors; "
                "use facexray.blending.generate.render, or draw from a config without it"
            )
    return plan_masked([with_mask(recipe, faces) for recipe in recipes], faces)


def plan_masked(batch: Sequence[Masked], faces: Faces) -> Plan:
    """Prepare a batch of supported recipes whose masks are made."""
    recipes = [masked.recipe for masked in batch]
    fakes = [recipe for recipe in recipes if recipe.label]
    ids = dict.fromkeys(name for recipe in recipes for name in (recipe.background, recipe.foreground) if name)
    places = {name: at for at, name in enumerate(ids)}
    landmarks = {name: faces.landmarks[faces.index_of[name]] for name in ids}
    masks, spans = _stacked([masked for masked in batch if masked.recipe.label], max(r.window[2] for r in recipes))
    return Plan(
        recipes=tuple(recipes),
        crops=torch.from_numpy(np.stack([faces.crop(faces.index_of[name]) for name in ids])),
        backgrounds=torch.tensor([places[recipe.background] for recipe in recipes]),
        foregrounds=torch.tensor([places[str(recipe.foreground)] for recipe in fakes], dtype=torch.int64),
        matrices=np.array([_to_window(recipe, landmarks) for recipe in fakes]),
        masks=masks,
        spans=spans,
    )


def _stacked(fakes: Sequence[Masked], side: int) -> tuple[Tensor, Tensor]:
    """The masks of fakes, and their spans, as a plan has them."""
    masks, spans = np.zeros((len(fakes), side, side), np.uint8), np.zeros((len(fakes), 2, 2), np.int64)
    for canvas, span, (_, mask, (left, top)) in zip(masks, spans, fakes, strict=True):
        height, width = mask.shape
        canvas[top : top + height, left : left + width] = mask
        span[:] = (top, height), (left, width)
    return torch.from_numpy(masks), torch.from_numpy(spans)


def _to_window(recipe: Recipe, landmarks: dict[str, Landmarks]) -> Affine:
    """The map from the pixels of the foreground's crop to those of the window."""
    aligned = ALIGNMENTS[recipe.align](landmarks[str(recipe.foreground)], landmarks[recipe.background])
    matrix = then(aligned, jitter_matrix(recipe.jitter))
    matrix[:, 2] -= recipe.window[:2]
    return matrix


class BatchRenderer:
    """Renders planned batches on a device; codecs and noise run in threads of the host.

    The device is a GPU of CUDA; on the CPU it is far slower than `generate.render`, and there for tests. It takes
    torch's full float32 precision in products, which is the default, to come out as NumPy does.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._host = ThreadPoolExecutor(thread_name_prefix="facexray-codec")

    @torch.no_grad()
    def __call__(self, plan: Plan) -> Rendered:
        """Render a batch."""
        with torch.autocast(self.device.type, enabled=False):
            return self._render(plan)

    def _render(self, plan: Plan) -> Rendered:
        recipes = plan.recipes
        crops = plan.crops.to(self.device).permute(0, 3, 1, 2).contiguous()
        images = _cut(crops, plan.backgrounds.to(self.device), recipes)
        masks = torch.zeros_like(images[:, :1])
        if fakes := [row for row, recipe in enumerate(recipes) if recipe.label]:
            masks[fakes] = plan.masks[:, None].to(self.device).float()
            images[fakes] = self._blend(plan, crops, images[fakes], masks[fakes])
        steps = [_leak(recipe) + recipe.degradations for recipe in recipes]
        spans = torch.tensor([[[0, recipe.window[2]]] * 2 for recipe in recipes])
        images, left = degrade(images, spans, steps, self._host)
        levels, mask_levels = (_view(*canvas, recipes).to(torch.uint8) for canvas in ((images, left), (masks, spans)))
        return Rendered(levels, mask_levels[:, 0], self._numbers([recipe.label for recipe in recipes]))

    def _blend(self, plan: Plan, crops: Tensor, backgrounds: Tensor, masks: Tensor) -> Tensor:
        """Blended images of the fakes, from their backgrounds (F, 3, W, W) and masks (F, 1, W, W); all are levels."""
        recipes = [recipe for recipe in plan.recipes if recipe.label]
        spans = plan.spans.clone()
        for row, recipe in enumerate(recipes):
            if recipe.blend == "multiband":  # which reaches beyond the mask
                spans[row] = torch.tensor([0, recipe.window[2]])
        foregrounds = self._change(_place(plan, recipes, crops, spans, masks.shape[-1]), spans, recipes)
        foregrounds = _by_name(COLOURS, [recipe.colour for recipe in recipes], foregrounds, backgrounds, masks > 127)
        alphas = masks * self._numbers([recipe.ratio / 255 for recipe in recipes])[:, None, None, None]
        sides = self._numbers([recipe.window[2] for recipe in recipes])
        names = [recipe.blend for recipe in recipes]
        return _by_name(BLENDS, names, foregrounds, backgrounds, alphas, sides)

    def _change(self, foregrounds: Tensor, spans: Tensor, recipes: Sequence[Recipe]) -> Tensor:
        """Change the self-blended foregrounds within their spans."""
        changes = [recipe.source for recipe in recipes]
        gains, offsets = (
            self._numbers(triples)[..., None, None]
            for triples in ([change.gain for change in changes], [change.offset for change in changes])
        )
        changed = to_levels(foregrounds * gains + offsets)
        return degrade(changed, spans, [change.steps for change in changes], self._host)[0]

    def _numbers(self, numbers: Sequence[object]) -> Tensor:
        return torch.tensor(numbers, device=self.device)


def _cut(crops: Tensor, places: Tensor, recipes: Sequence[Recipe]) -> Tensor:
    """The recipes' windows of the crops (U, 3, 317, 317) at `places` (N,): (N, 3, W, W) levels.

    W is the side of the widest; narrower ones go on beyond theirs.
    """
    windows = torch.tensor([recipe.window for recipe in recipes])
    pixels = (windows[:, :2, None] + torch.arange(int(windows[:, 2].max()))).clamp(max=CROP_SIZE - 1).to(crops.device)
    channels = torch.arange(3, device=crops.device)[:, None, None]
    columns, rows = pixels[:, 0, None, None], pixels[:, 1, None, :, None]
    return crops[places[:, None, None, None], channels, rows, columns].float()


def _place(plan: Plan, recipes: Sequence[Recipe], crops: Tensor, spans: Tensor, side: int) -> Tensor:
    """The foregrounds, laid on their backgrounds: (F, 3, side, side) levels."""
    placed = torch.empty((len(recipes), 3, side, side), device=crops.device)
    corners = spans[:, [1, 0], 0].numpy()
    for name, rows in _rows_by_name([recipe.interpolation for recipe in recipes]):
        sources = crops[plan.foregrounds[rows].to(crops.device)]
        placed[rows] = place(sources, plan.matrices[rows], corners[rows], side, name)
    return placed


def _by_name(methods: Mapping[str, Callable[..., Tensor]], names: Sequence[str], *inputs: Tensor) -> Tensor:
    """Methods of tensors (F, …), each on the rows that name it; the result is like the first input."""
    result = torch.empty_like(inputs[0])
    for name, rows in _rows_by_name(names):
        result[rows] = methods[name](*(values[rows] for values in inputs))
    return result


def _rows_by_name(names: Sequence[str]) -> list[tuple[str, list[int]]]:
    return [(name, [row for row, own in enumerate(names) if own == name]) for name in sorted(set(names))]


def _leak(recipe: Recipe) -> tuple[Degradation, ...]:
    """What the fakes alone go through, where the authors' fault is reproduced."""
    return (Degradation("resample", recipe.leak_px / CROP_SIZE, "area-linear"),) if recipe.leak_px else ()


def _view(images: Tensor, spans: Tensor, recipes: Sequence[Recipe]) -> Tensor:
    """The windows (N, channels, W, W) as views (N, channels, 256, 256), mirrored as the recipes say."""
    views = images.new_empty((*images.shape[:2], VIEW_SIZE, VIEW_SIZE))
    kernels = ["linear" if r.window[2] == side else "cubic" for r, side in zip(recipes, spans[:, 0, 1], strict=True)]
    for kernel, rows in _rows_by_name(kernels):
        target = torch.tensor([0, VIEW_SIZE], device=images.device).expand(len(rows), 2, 2)
        views[rows] = resize(images[rows], kernel, spans[rows].to(images.device), target, VIEW_SIZE)
    for axis, flips in ((3, [recipe.flip for recipe in recipes]), (2, [recipe.flip_vertical for recipe in recipes])):
        mirrored = torch.tensor(flips, device=views.device)[:, None, None, None]
        views = torch.where(mirrored, views.flip(axis), views)
    return views
