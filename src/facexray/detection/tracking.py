"""Following faces through a video, in the manner of SORT (Bewley et al. 2016): Kalman filters and one assignment.

Unlike there, time is in seconds, since frames are looked at a few times a second and not evenly; and what is
compared are the crops' squares and not the boxes, so that a face may move by half its width between two looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from facexray.faces.crop import FACE_MARGIN

MAX_GAP_S = 1.0
"""For how long a face may be out of sight and still be the same track."""
GAP_LOOKS = 2.5
"""Or for how many times the distance between two looks, where these are rare."""
RECENT = 9
"""Looks whose distances count for that."""
MIN_OVERLAP = 0.25
"""Intersection over union of the predicted and the found square, under which they are not of one face."""
BOX_NOISE = 0.05
"""Standard deviation of a found box's centre and size, over the face's size."""
START_SPEED = 1.0
"""Standard deviation of a new face's speed, in face sizes a second."""
ACCELERATION = 2.0
"""Standard deviation of its acceleration, in face sizes a second squared."""

State = NDArray[np.float64]
"""(4,) centre x, y, width and height in pixels, or their speeds a second."""


class _Path:
    """A Kalman filter of constant velocity over a box; its four numbers share one covariance."""

    def __init__(self, number: int, box: NDArray[np.float32], time_s: float) -> None:
        self.number = number
        self.place = _to_state(box)
        self.speed = np.zeros(4)
        # (2, 2) covariance of place and speed, in face sizes.
        self.covariance = np.diag([BOX_NOISE**2, START_SPEED**2])
        self.time_s = self.seen_s = time_s

    def move_to(self, time_s: float) -> None:
        """Predict the state at a time."""
        step = max(0.0, time_s - self.time_s)
        self.time_s = time_s
        self.place = self.place + step * self.speed
        self.place[2:] = np.maximum(self.place[2:], 1)
        motion = np.array([[1, step], [0, 1]])
        push = np.array([step**2 / 2, step])
        self.covariance = motion @ self.covariance @ motion.T + ACCELERATION**2 * np.outer(push, push)

    def see(self, box: NDArray[np.float32]) -> None:
        """Correct the predicted state by the box that was found."""
        gain = self.covariance[:, 0] / (self.covariance[0, 0] + BOX_NOISE**2)
        error = _to_state(box) - self.place
        self.place = self.place + gain[0] * error
        self.speed = self.speed + gain[1] * error
        self.covariance = self.covariance - np.outer(gain, self.covariance[0])
        self.seen_s = self.time_s


def max_gap_s(step_s: float) -> float:
    """For how long a face may be out of sight, where looks are so many seconds apart."""
    return max(MAX_GAP_S, GAP_LOOKS * step_s)


class Tracker:
    """Gives the faces of one frame after the other the numbers of their tracks."""

    def __init__(self) -> None:
        self._paths: list[_Path] = []
        self._count = 0
        self._times: deque[float] = deque(maxlen=RECENT)

    def update(self, boxes: Sequence[NDArray[np.float32]], time_s: float) -> list[int]:
        """Number the face boxes (4,) xyxy of the frame at a time; new faces get new numbers, from 1."""
        self._times.append(time_s)
        steps = np.diff(self._times)
        gap_s = max_gap_s(float(np.median(steps)) if len(steps) else 0.0)
        self._paths = [path for path in self._paths if time_s - path.seen_s <= gap_s]
        for path in self._paths:
            path.move_to(time_s)
        numbers = [0] * len(boxes)
        if boxes and self._paths:
            overlaps = _overlaps(
                np.stack([path.place for path in self._paths]), np.stack([_to_state(b) for b in boxes])
            )
            for i, j in zip(*linear_sum_assignment(-overlaps), strict=True):
                if overlaps[i, j] >= MIN_OVERLAP:
                    self._paths[i].see(boxes[j])
                    numbers[j] = self._paths[i].number
        for j, box in enumerate(boxes):
            if not numbers[j]:
                self._count += 1
                self._paths.append(_Path(self._count, box, time_s))
                numbers[j] = self._count
        return numbers

    def lost(self) -> bool:
        """Whether a face that is being followed was not in the last frame."""
        return any(path.seen_s < path.time_s for path in self._paths)

    def smallest_px(self) -> float | None:
        """Longer side of the smallest face that is being followed; None where none is."""
        return min((float(path.place[2:].max()) for path in self._paths), default=None)


def _to_state(box: NDArray[np.float32]) -> State:
    x0, y0, x1, y1 = (float(value) for value in box)
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0])


def _overlaps(paths: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union (P, F) of the crops' squares around P and F boxes given as centre and size."""
    sides = FACE_MARGIN * paths[:, None, 2:].max(2), FACE_MARGIN * found[None, :, 2:].max(2)
    inner = np.ones((len(paths), len(found)))
    for axis in (0, 1):
        low = np.maximum(paths[:, None, axis] - sides[0] / 2, found[None, :, axis] - sides[1] / 2)
        high = np.minimum(paths[:, None, axis] + sides[0] / 2, found[None, :, axis] + sides[1] / 2)
        inner = inner * np.clip(high - low, 0, None)
    overlaps: NDArray[np.float64] = inner / (sides[0] ** 2 + sides[1] ** 2 - inner)
    return overlaps
