"""Face X-rays as colours, alone and over their photograph."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.detection.result import FaceResult, FrameResult
from facexray.images import RGB

COLOURS = {"real": (46, 160, 67), "fake": (218, 54, 51), "cannot tell": (191, 135, 0)}
"""RGB of a box by its verdict."""


def colour_xray(xray: NDArray[np.float32]) -> RGB:
    """A Face X-ray (H, W) in [0, 1] as colours (H, W, 3): black is 0, yellow is 1."""
    levels = np.rint(np.clip(xray, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB), np.uint8)


def overlay(image: RGB, xray: NDArray[np.float32]) -> RGB:
    """Lay a Face X-ray (H, W) over an image (H, W, 3): the stronger, the less of the image shows."""
    strength = np.clip(xray, 0, 1)[..., None].astype(np.float32)
    return np.rint(image * (1 - strength) + colour_xray(xray) * strength).astype(np.uint8)


def overlay_frame(frame: FrameResult) -> RGB:
    """A photograph or frame with every face's box, score and Face X-ray at its place."""
    image = frame.image.copy()
    for face in frame.faces:
        _lay(image, face)
    for face in frame.faces:
        _draw_box(image, face)
    return image


def xray_frame(frame: FrameResult) -> RGB:
    """The Face X-rays alone, each at its place in the photograph or frame, on black."""
    image = np.zeros_like(frame.image)
    for face in frame.faces:
        _lay(image, face)
    return image


def _lay(image: RGB, face: FaceResult) -> None:
    """Lay a face's X-ray over its place in an image."""
    if face.xray is None:
        return
    height, width = image.shape[:2]
    x0, y0, x1, y1 = face.square.view
    left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
    part = image[top : min(height, math.ceil(y1)), left : min(width, math.ceil(x1))]
    # From view pixels to the part's pixels, pixel centres at whole numbers.
    scale = (x1 - x0) / face.xray.shape[0]
    shift = (0.5 * scale - 0.5 + x0 - left, 0.5 * scale - 0.5 + y0 - top)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    xray = cv2.warpAffine(face.xray, matrix, (part.shape[1], part.shape[0]))
    part[:] = overlay(part, np.asarray(xray, np.float32))


def _draw_box(image: RGB, face: FaceResult) -> None:
    label = face.verdict if face.score is None else f"{face.verdict} {face.score:.2f}"
    draw_box(image, face.box, label, COLOURS[face.verdict])


def draw_box(image: RGB, box: NDArray[np.float32], label: str, colour: tuple[int, int, int]) -> None:
    """Draw a box (4,) xyxy with its label into an image (H, W, 3)."""
    thickness = max(1, round(max(image.shape[:2]) / 400))
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    cv2.rectangle(image, (x0, y0), (x1, y1), colour, thickness)
    size = max(0.4, max(image.shape[:2]) / 1200)
    place = (max(x0, 0), max(y0 - 4 * thickness, round(22 * size)))
    cv2.putText(image, label, place, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 3 * thickness, cv2.LINE_AA)
    cv2.putText(image, label, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness, cv2.LINE_AA)
