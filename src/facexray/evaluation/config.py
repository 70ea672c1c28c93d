"""What `facexray evaluate` can be told about the data and the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from facexray.errors import SettingsError

Faces = Literal["max", "largest", "mask"]
NoFace = Literal["leave_out", "half"]


@dataclass(frozen=True)
class EvaluateConfig:
    """Which of a data set's items are judged, and how."""

    protocol: str = "auto"
    """Layout of the data: auto (a blended set, a face store, a folder with real/ and fake/, a CSV file), or a data
    set's name; an unknown one lists them all."""
    split: str = "test"
    """Part of a data set that has parts: train, val, test."""
    compression: str | None = None
    """Form of a data set that has several: raw, c23, c40."""
    frames: int = 32
    """Frames of each video, spread evenly over the whole of it."""
    stride: int | None = None
    """Take every stride-th frame of a video instead."""
    min_face: int = 48
    """Smallest face that is judged, in pixels of its box's longer side."""
    faces: Faces = "max"
    """Which of a frame's faces count: max (the highest score of all), largest, mask (of a fake, the face that the
    true mask covers most)."""
    no_face: NoFace = "leave_out"
    """Videos without a face: leave_out, or half (0.5 among the class head's videos). They are counted either way."""
    threshold: float | None = None
    """Of the accuracy: above it a score is called fake; by default the model's own, under which it says no "fake"."""

    def __post_init__(self) -> None:
        """Refuse numbers out of their ranges.

        Raises:
            SettingsError: Says which.
        """
        if self.frames < 1 or (self.stride is not None and self.stride < 1) or self.min_face < 1:
            raise SettingsError(
                "frames, stride and min_face must be at least 1, got "
                f"frames={self.frames}, stride={self.stride}, min_face={self.min_face}"
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise SettingsError(f"threshold must be in [0, 1], got {self.threshold}")
