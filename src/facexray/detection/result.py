"""What detection finds, as data: faces, frames, tracks, and the result of a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facexray.detection.verdict import WORTH, Verdict
from facexray.faces.crop import Square
from facexray.images import RGB

SCHEMA_VERSION = 2
"""Of the JSON lines that `detect --json` writes."""


@dataclass(frozen=True)
class FaceResult:
    """One face in one frame."""

    box: NDArray[np.float32]
    """(4,) xyxy in pixels of the image."""
    verdict: Verdict
    reason: str
    score: float | None
    """Probability of fake, in [0, 1]; None where the face was not judged."""
    square: Square
    """The crop's square; `square.view` is where the X-ray lies in the image."""
    view: RGB | None = None
    """(256, 256, 3) what the network saw."""
    xray: NDArray[np.float32] | None = None
    """(256, 256) the predicted Face X-ray, in [0, 1]."""
    track: int | None = None
    """In a video, the number of the face's track."""


@dataclass(frozen=True)
class FrameResult:
    """A photograph, or one frame of a video."""

    index: int
    time_s: float
    faces: list[FaceResult]
    image: RGB
    """(H, W, 3) uint8 RGB; empty where it was not kept."""

    @property
    def score(self) -> float | None:
        """The highest of the faces' scores."""
        return max((face.score for face in self.faces if face.score is not None), default=None)

    def without_pictures(self) -> FrameResult:
        """The same frame without image, views and X-rays."""
        faces = [replace(face, view=None, xray=None) for face in self.faces]
        return replace(self, faces=faces, image=np.zeros((0, 0, 3), np.uint8))


@dataclass(frozen=True)
class Moment:
    """A face at one of the moments at which its track is the most suspicious."""

    index: int
    """The frame's position in the video, from 0."""
    time_s: float
    face: FaceResult

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        place = {"frame": self.index, "time_s": round(self.time_s, 3)}
        return place | {"score": _rounded(self.face.score), "box": _box(self.face.box)}

    def without_pictures(self) -> Moment:
        """The same moment as numbers."""
        return replace(self, face=replace(self.face, view=None, xray=None))


@dataclass(frozen=True)
class Track:
    """One face followed through a video: a person, as long as they stay in the picture."""

    number: int
    """From 1, in the order in which the faces appear."""
    verdict: Verdict
    reason: str
    score: float | None
    """The highest value of `smooth`; None where the track could not be judged."""
    times_s: NDArray[np.float64]
    """(N,) when the face was seen, in seconds, rising."""
    boxes: NDArray[np.float32]
    """(N, 4) xyxy in pixels of the frame."""
    scores: NDArray[np.float32]
    """(N,) probability of fake; NaN where the face was not judged."""
    smooth: NDArray[np.float32]
    """(N,) the running median of the scores; NaN where there is none."""
    spans: list[tuple[float, float]]
    """From when to when, in seconds, `smooth` lies above the threshold of fake."""
    moments: list[Moment]
    """The most suspicious first, each of another second; the worst tracks' have their view and X-ray."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "track": self.number,
            "verdict": self.verdict,
            "score": _rounded(self.score),
            "reason": self.reason,
            "start_s": round(float(self.times_s[0]), 3),
            "end_s": round(float(self.times_s[-1]), 3),
            "spans_s": [[round(start, 3), round(end, 3)] for start, end in self.spans],
            "moments": [moment.to_dict() for moment in self.moments],
            "timeline": {
                "time_s": [round(float(time), 3) for time in self.times_s],
                "score": [_rounded(score) for score in self.scores.tolist()],
                "smooth": [_rounded(score) for score in self.smooth.tolist()],
            },
        }


@dataclass(frozen=True)
class Result:
    """The verdict on one photograph or video."""

    source: str
    sha256: str | None
    kind: Literal["image", "video"]
    verdict: Verdict
    reason: str
    score: float | None
    """The highest of the faces' or tracks'."""
    frame: FrameResult | None = None
    """The photograph, or the most suspicious frame of the video; None where nothing could be read."""
    tracks: list[Track] = field(default_factory=list)
    """Of a video, in the order of their numbers."""
    frames: int = 0
    """How many frames were looked at."""
    duration_s: float = 0.0
    """Of a video, from the first to the last of these frames."""
    error: str | None = None
    """Why the file could not be read, or not to its end."""

    @property
    def faces(self) -> list[FaceResult]:
        """The faces of a photograph, the largest first; of a video, those of its most suspicious frame."""
        return self.frame.faces if self.frame else []

    @classmethod
    def unread(cls, source: str, kind: Literal["image", "video"], error: str, sha256: str | None = None) -> Result:
        """The result of a file that could not be read."""
        return cls(source, sha256, kind, "cannot tell", "the file cannot be read", None, error=error)

    def without_pictures(self) -> Result:
        """The same result without images, views and X-rays, to keep by the thousand."""
        tracks = [replace(track, moments=[m.without_pictures() for m in track.moments]) for track in self.tracks]
        return replace(self, frame=self.frame.without_pictures() if self.frame else None, tracks=tracks)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: valid by `json_schema()`."""
        return {
            "schema": SCHEMA_VERSION,
            "source": self.source,
            "sha256": self.sha256,
            "kind": self.kind,
            "verdict": self.verdict,
            "score": _rounded(self.score),
            "reason": self.reason,
            "error": self.error,
            "frames": self.frames,
            "duration_s": round(self.duration_s, 3),
            "faces": [_face_dict(face) for face in self.faces] if self.kind == "image" else [],
            "tracks": [track.to_dict() for track in self.tracks],
            "worth": WORTH,
        }


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a line that `detect --json` writes."""
    text = files("facexray.detection").joinpath("result.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _face_dict(face: FaceResult) -> dict[str, Any]:
    return {"box": _box(face.box), "score": _rounded(face.score), "verdict": face.verdict, "reason": face.reason}


def _box(box: NDArray[np.float32]) -> list[float]:
    return [round(float(value), 1) for value in box]


def _rounded(score: float | None) -> float | None:
    return None if score is None or score != score else round(score, 4)
