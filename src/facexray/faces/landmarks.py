"""The 68 landmarks: their groups, their mirroring, dlib's predictor, and the `landmarks.json` format."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import dlib
import face_recognition_models
import numpy as np
from numpy.typing import NDArray

from facexray.errors import LandmarksError
from facexray.faces.detector import DetectedFace
from facexray.images import RGB, write_bytes

Landmarks = NDArray[np.float32]
"""(68, 2) x, y in pixels, in the order of iBUG 300-W. *Right* is the person's right, the image's left."""

COUNT = 68
JAW = slice(0, 17)
RIGHT_BROW = slice(17, 22)
LEFT_BROW = slice(22, 27)
NOSE_BRIDGE = slice(27, 31)
NOSE_BASE = slice(31, 36)
RIGHT_EYE = slice(36, 42)
LEFT_EYE = slice(42, 48)
OUTER_MOUTH = slice(48, 60)
INNER_MOUTH = slice(60, 68)

MIRROR = np.array(
    [
        *range(16, -1, -1),  # jaw
        *range(26, 16, -1),  # brows
        *range(27, 31),  # nose bridge
        *range(35, 30, -1),  # nose base
        *(45, 44, 43, 42, 47, 46),  # right eye
        *(39, 38, 37, 36, 41, 40),  # left eye
        *range(54, 47, -1),  # upper outer mouth
        *range(59, 54, -1),  # lower outer mouth
        *range(64, 59, -1),  # upper inner mouth
        *range(67, 64, -1),  # lower inner mouth
    ]
)
"""(68,) `landmarks[MIRROR]` puts the points of a mirrored image back into the standard order."""

WORK_SIDE = 256
"""Dlib sees the face shrunk to about this many pixels, which is what it was trained on."""
MAX_DISAGREEMENT = 0.25
"""Median distance to YuNet's five points, over the distance of the eyes, above which landmarks are refused."""


def mirror(landmarks: Landmarks, width: int) -> Landmarks:
    """Landmarks of the horizontally mirrored image of `width` pixels: x → width − 1 − x, left ↔ right."""
    flipped: Landmarks = landmarks[MIRROR].copy()
    flipped[:, 0] = width - 1 - flipped[:, 0]
    return flipped


@cache
def _predictor() -> Any:
    return dlib.shape_predictor(face_recognition_models.pose_predictor_model_location())


def predict_landmarks(image: RGB, face: DetectedFace) -> Landmarks | None:
    """Dlib's 68 landmarks (68, 2) of a detected face in image pixels, or None where they are implausible.

    Dlib's model was trained on dlib's own boxes; YuNet's, made square, scaled by 0.92 and moved down by
    6 %, stands in for them. On profiles the model fails: points that stray from YuNet's own five are refused.
    """
    x0, y0, x1, y1 = (float(value) for value in face.box)
    side = 0.92 * max(x1 - x0, y1 - y0)
    left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2 + 0.06 * max(x1 - x0, y1 - y0)

    # A window around the box, shrunk: dlib then sees the same scale on every photograph, at the same cost.
    pad = side / 2
    wx0, wy0 = max(0, int(left - pad)), max(0, int(top - pad))
    window = image[wy0 : int(top + side + pad) + 1, wx0 : int(left + side + pad) + 1]
    if min(window.shape[:2]) < 2:
        return None
    scale = min(1.0, WORK_SIDE / side)
    if scale < 1:
        window = np.asarray(cv2.resize(window, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    corner = np.array([wx0, wy0], np.float32)
    box = [round((value - offset) * scale) for value, offset in ((left, wx0), (top, wy0))]
    rectangle = dlib.rectangle(box[0], box[1], round(box[0] + side * scale), round(box[1] + side * scale))
    shape = _predictor()(np.ascontiguousarray(window), rectangle)
    points = np.array([(p.x, p.y) for p in shape.parts()], np.float32)
    landmarks = ((points + 0.5) / scale - 0.5 + corner).astype(np.float32)
    return landmarks if _disagreement(landmarks, face.points) <= MAX_DISAGREEMENT else None


def _disagreement(landmarks: Landmarks, points: NDArray[np.float32]) -> float:
    """Median distance between the two predictors' five points, over the distance of the eyes."""
    five = np.stack(
        [
            landmarks[RIGHT_EYE].mean(0),
            landmarks[LEFT_EYE].mean(0),
            landmarks[30],
            landmarks[48],
            landmarks[54],
        ]
    )
    eyes = max(float(np.linalg.norm(five[0] - five[1])), float(np.linalg.norm(points[0] - points[1])), 1e-6)
    return float(np.median(np.linalg.norm(five - points, axis=1))) / eyes


def read_landmarks_json(path: Path) -> dict[str, Landmarks]:
    """Read `{"000_0000.png": [[x, y] × 68], …}`, the format of the authors' public generator.

    Raises:
        LandmarksError: Not JSON, not that shape, or an entry that is short or not finite; names the entries.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LandmarksError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise LandmarksError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict) or not content:
        raise LandmarksError(f'{path}: expected an object {{"000_0000.png": [[x, y] × 68], …}} with entries')
    landmarks, faults = {}, []
    for name, value in content.items():
        try:
            landmarks[name] = check_landmarks(value)
        except LandmarksError as error:
            faults.append(f"{name}: {error}")
    if faults:
        more = f" (and {len(faults) - 5} more)" if len(faults) > 5 else ""
        raise LandmarksError(f"{path}: mend or remove these entries: {'; '.join(faults[:5])}{more}")
    return landmarks


def check_landmarks(value: Any) -> Landmarks:
    """Turn nested lists into (68, 2) float32 landmarks.

    Raises:
        LandmarksError: Not 68 pairs, or not finite numbers.
    """
    try:
        points = np.asarray(value, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise LandmarksError(f"expected 68 [x, y] pairs of numbers ({error})") from error
    if points.shape != (COUNT, 2):
        raise LandmarksError(f"expected 68 [x, y] pairs, got the shape {points.shape}")
    if not np.isfinite(points).all():
        raise LandmarksError("some coordinates are NaN or infinite")
    return points


def write_landmarks_json(path: Path, landmarks: dict[str, Landmarks]) -> None:
    """Write the format that `read_landmarks_json` reads, rounded to 1/100 pixel."""
    content = {name: np.round(points.astype(float), 2).tolist() for name, points in landmarks.items()}
    write_bytes(path, json.dumps(content).encode())
