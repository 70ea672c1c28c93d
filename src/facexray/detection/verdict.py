"""From scores to verdicts, and the reasons for which a face is not judged at all."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.faces.detector import DetectedFace
from facexray.images import RGB
from facexray.runtime.model import Thresholds

Verdict = Literal["real", "fake", "cannot tell"]

WORTH = (
    "A score is a model's opinion, not proof: it looks for traces of blending, is wrong at times in both "
    "directions, and cannot see faces that were generated whole."
)
"""What a verdict is worth: stands wherever one is given."""
MIN_FACE_PX = 48
"""Longer side of a face's box in pixels, under which it is not judged: benchmarks/limits.py, docs/detect.md."""
MIN_SHARPNESS = 0.22
"""`sharpness` under which a face is not judged; between those of blurs of 2 and 3 px of the view (the same)."""
MAX_YAW_DEG = 60.0
"""Turn of the head to a side, over which a face is not judged: the training photographs hold none beyond it."""
NOSE_DEPTH = 0.47
"""How far the nose's tip stands before the eyes, over the eyes' distance: the median of three portraits."""


def verdict_of_score(score: float, thresholds: Thresholds) -> tuple[Verdict, str]:
    """The verdict on a score in [0, 1], and its reason."""
    if score > thresholds.fake_above:
        return "fake", f"score {score:.2f} is above {thresholds.fake_above:.2f}"
    if score < thresholds.real_below:
        return "real", f"score {score:.2f} is below {thresholds.real_below:.2f}"
    between = f"between {thresholds.real_below:.2f} and {thresholds.fake_above:.2f}"
    return "cannot tell", f"score {score:.2f} is {between}"


def is_small(face: DetectedFace) -> bool:
    """Whether a face is under `MIN_FACE_PX`."""
    return float((face.box[2:] - face.box[:2]).max()) < MIN_FACE_PX


def why_not(face: DetectedFace, view: RGB | None) -> str | None:
    """Why a face cannot be judged, or None if it can; `view` is None for one that is too small to be cut out."""
    if view is None or is_small(face):
        return f"smaller than {MIN_FACE_PX} px"
    if yaw_deg(face.points) > MAX_YAW_DEG:
        return "turned away"
    return "too blurred" if sharpness(view) < MIN_SHARPNESS else None


def yaw_deg(points: NDArray[np.float32]) -> float:
    """How far a head is turned to either side, in degrees from 0 to 90, by its five points (5, 2).

    The nose's tip leaves the line from between the eyes to between the mouth's corners: by NOSE_DEPTH · tan(yaw)
    of the eyes' distance, which shrinks with the turn as well.
    """
    right_eye, left_eye, nose, *mouth = (point.astype(np.float64) for point in points)
    eyes, down = left_eye - right_eye, (mouth[0] + mouth[1]) / 2 - (left_eye + right_eye) / 2
    across = np.array([down[1], -down[0]])  # at a right angle to the face's axis
    if np.dot(eyes, across) < 0:  # an eye seen beyond the nose
        return 90.0
    aside = np.dot(nose - (left_eye + right_eye) / 2, across)
    return math.degrees(math.atan2(abs(float(aside)), NOSE_DEPTH * max(float(np.dot(eyes, across)), 1e-9)))


def sharpness(view: RGB) -> float:
    """How much fine detail a view (256, 256, 3) has for its coarse detail: about 0.48 for a sharp portrait.

    The contrast of what lies between Gaussians of 1 and 2 px, over that between 4 and 8 px. The view shows every
    face at one size, so that it makes no difference how large it was in the photograph; a ratio depends neither
    on the light nor on the contrast, and what noise and rounding add lies for the most part under 1 px.
    """
    inner = cv2.cvtColor(view[32:-32, 32:-32], cv2.COLOR_RGB2GRAY).astype(np.float32)
    one, two, four, eight = (cv2.GaussianBlur(inner, (0, 0), sigma) for sigma in (1, 2, 4, 8))
    return float(np.std(one - two) / max(float(np.std(four - eight)), 1e-6))
