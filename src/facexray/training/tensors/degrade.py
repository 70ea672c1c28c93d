"""Degradations of batches of images, as `blending/degrade.py` has them.

A codec's bytes and a noise's dice cannot be had on a GPU: those images go to the host and that very code, and back.
A pixel that differs by one level from NumPy's, and a few do, changes a block of a JPEG; `webp` and `h264` predict from
block to block, and the dice of `poisson_noise` depend on the image: there it may change much of what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import cv2
import numpy as np
import torch
from torch import Tensor

from facexray.blending.degrade import DEGRADATIONS, LATER, UNSHARP_SIGMA, Degradation
from facexray.blending.degrade import degrade as degrade_one
from facexray.training.tensors.filters import blur, resize, to_levels


def degrade(
    images: Tensor, spans: Tensor, steps: Sequence[tuple[Degradation, ...]], host: Executor
) -> tuple[Tensor, Tensor]:
    """Apply to each image its own steps, in their order; images whose next step is of one kind take it together.

    Args:
        images: (N, 3, W, W) levels.
        spans: (N, 2, 2) int64 on the host: what of each is image, rows then columns, first and length.
        steps: N tuples, of any kinds.
        host: Threads for what runs on the host.

    Returns:
        (N, 3, W, W) levels, and their spans, which are others where a resampling left an image small; beyond them
        stands nothing of use.
    """
    images, spans, done = images.clone(), spans.clone(), [0] * len(steps)
    while waiting := [row for row, own in enumerate(steps) if done[row] < len(own)]:
        following = {row: steps[row][done[row]] for row in waiting}
        first = min(map(_turn, following.values()))
        rows = [row for row in waiting if _turn(following[row]) == first]
        chosen = [following[row] for row in rows]
        places = torch.tensor(rows, device=images.device)
        if chosen[0].kind in ON_TENSORS:
            change = ON_TENSORS[chosen[0].kind]
            images[places] = change(images[places], spans[rows].to(images.device), chosen)
        else:
            images[places] = _on_host(images[places], spans[rows], chosen, host)
        for row, step in zip(rows, chosen, strict=True):
            done[row] += 1
            if _stays_small(step):
                spans[row] = _shrunk(spans[row], torch.tensor(step.amount, dtype=torch.float64))
    return images, spans


def _turn(step: Degradation) -> tuple[int, str]:
    """What is done together, and in which order, so that steps of drawn recipes wait for one another least."""
    return list(DEGRADATIONS).index(step.kind), step.how if step.kind == "resample" else ""


def _on_host(images: Tensor, spans: Tensor, steps: Sequence[Degradation], host: Executor) -> Tensor:
    levels = images.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu()
    views = [
        image[top : top + height, left : left + width]
        for image, ((top, height), (left, width)) in zip(levels.numpy(), spans.tolist(), strict=True)
    ]
    for view, changed in zip(views, host.map(degrade_one, views, [(step,) for step in steps]), strict=True):
        view[:] = changed
    return levels.to(images.device).permute(0, 3, 1, 2).float()


def _resample(images: Tensor, spans: Tensor, steps: Sequence[Degradation]) -> Tensor:
    down, up = steps[0].how.split("-")
    shares = torch.tensor([step.amount for step in steps], dtype=torch.float64, device=images.device)
    small = _shrunk(spans, shares[:, None])
    images = resize(images, down, spans, small, images.shape[-1])
    if _stays_small(steps[0]):
        return images
    return resize(images, "area_up" if up == "area" else up, small, spans, images.shape[-1])


def _shrunk(spans: Tensor, shares: Tensor) -> Tensor:
    """Where images (…, 2, 2) stand that go down to shares (…, 1) of their sides."""
    lengths = (spans[..., 1] * shares).round().clamp(min=1)
    return torch.stack([torch.zeros_like(lengths), lengths], -1).long()


def _stays_small(step: Degradation) -> bool:
    return step.kind == "resample" and step.how.endswith(LATER)


def _blur(images: Tensor, spans: Tensor, steps: Sequence[Degradation]) -> Tensor:
    return blur(images, spans, [step.amount for step in steps])


def _sharpen(images: Tensor, spans: Tensor, steps: Sequence[Degradation]) -> Tensor:
    smooth, amounts = blur(images, spans, [UNSHARP_SIGMA] * len(steps)), _amounts(images, steps)
    return to_levels(images * (1 + amounts) + smooth * -amounts)


def _brightness(images: Tensor, spans: Tensor, steps: Sequence[Degradation]) -> Tensor:
    return to_levels(images + _amounts(images, steps))


def _contrast(images: Tensor, spans: Tensor, steps: Sequence[Degradation]) -> Tensor:
    return to_levels(127.5 + (images - 127.5) * _amounts(images, steps))


def _hue(images: Tensor, spans: Tensor, steps: Sequence[Degradation]) -> Tensor:
    grey = np.array([0, 0.5, 0.5], np.float32)  # the centre of OpenCV's chroma
    axes = np.eye(3, dtype=np.float32)[None]
    forth = cv2.cvtColor(axes, cv2.COLOR_RGB2YCrCb)[0] - grey
    back = cv2.cvtColor(axes + grey, cv2.COLOR_YCrCb2RGB)[0]
    angles = np.radians([step.amount for step in steps])
    turns = np.tile(np.eye(3), (len(steps), 1, 1))
    turns[:, 1, 1] = turns[:, 2, 2] = np.cos(angles)
    turns[:, 1, 2], turns[:, 2, 1] = -np.sin(angles), np.sin(angles)
    matrices = torch.from_numpy((forth @ turns @ back).transpose(0, 2, 1)).to(images)
    return to_levels((matrices @ images.flatten(2)).view_as(images))


def _amounts(images: Tensor, steps: Sequence[Degradation]) -> Tensor:
    return torch.tensor([step.amount for step in steps], device=images.device)[:, None, None, None]


ON_TENSORS: dict[str, Callable[[Tensor, Tensor, Sequence[Degradation]], Tensor]] = {
    "blur": _blur,
    "sharpen": _sharpen,
    "resample": _resample,
    "brightness": _brightness,
    "contrast": _contrast,
    "hue": _hue,
}
"""The kinds that run where the images are: images, spans (on their device), steps → images; the others on the host."""
