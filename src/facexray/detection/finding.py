"""The faces of each frame: found, followed through a video, cut out, and looked over for whether they can be judged."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from facexray.detection.sources import Begin, End, Opened
from facexray.detection.tracking import Tracker
from facexray.detection.verdict import is_small, why_not
from facexray.faces.crop import Square, cut_crop, cut_view
from facexray.faces.detector import DetectedFace, FaceDetector
from facexray.images import RGB, UNFORESEEN, Frame, printable

SEARCH_S = 2.0
"""How often a video's whole frame is searched at all scales; between, faces are found again at their own scale."""


@dataclass(frozen=True)
class Found:
    """A face in a frame."""

    face: DetectedFace
    square: Square
    view: RGB | None
    """(256, 256, 3) what the network is to see; None where the face cannot be judged."""
    why_not: str | None
    """Why it cannot be judged."""
    track: int | None


@dataclass(frozen=True)
class Look:
    """A frame with its faces."""

    frame: Frame
    faces: list[Found]

    @property
    def views(self) -> list[RGB]:
        """What the network is to see."""
        return [found.view for found in self.faces if found.view is not None]


Read = Begin | Opened | Frame | End
Seen = Begin | Opened | Look | End


class Finder:
    """Finds faces in photographs, and in videos with their tracks."""

    def __init__(self) -> None:
        self._detector = FaceDetector()
        self._tracker: Tracker | None = None
        self._searched_s = -np.inf

    def find(self, events: Generator[Read, None, None]) -> Generator[Seen, None, None]:
        """Look for faces in each frame of each file; one that breaks costs its file, and no other."""
        broken: str | None = None
        with closing(events):
            for event in events:
                if isinstance(event, Begin):
                    self._tracker = Tracker() if event.kind == "video" else None
                    self._searched_s = -np.inf
                    broken = None
                if isinstance(event, Frame):
                    if broken is None:
                        try:
                            yield self.look(event)
                        except UNFORESEEN as error:
                            broken = printable(error)
                elif isinstance(event, End):
                    yield End(event.error or broken)
                else:
                    yield event

    def look(self, frame: Frame) -> Look:
        """Find the faces of one frame."""
        faces = self._search(frame)
        numbers: list[int] | list[None] = [None] * len(faces)
        if self._tracker is not None:
            numbers = self._tracker.update([face.box for face in faces], frame.time_s)
        found = []
        for face, number in zip(faces, numbers, strict=True):
            square = Square.around(face.box)
            view = None
            if not is_small(face):
                view = np.ascontiguousarray(cut_view(cut_crop(frame.image, square)))
            reason = why_not(face, view)
            found.append(Found(face, square, None if reason else view, reason, number))
        return Look(frame, found)

    def _search(self, frame: Frame) -> list[DetectedFace]:
        if self._tracker is not None:
            smallest, since = self._tracker.smallest_px(), frame.time_s - self._searched_s
            if smallest is not None and not self._tracker.lost() and since < SEARCH_S:
                return self._detector.follow(frame.image, smallest)
            self._searched_s = frame.time_s
        return self._detector.detect(frame.image)
