"""Detection: photograph or video → faces → Face X-rays → verdicts.

detector = Detector()
result = detector.image("photo.jpg")
print(result.verdict, result.score, [face.box for face in result.frames[0].faces])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facexray.errors import MediaError
from facexray.faces.crop import Square, cut_crop, cut_view
from facexray.faces.detector import FaceDetector
from facexray.images import RGB, UNFORESEEN, Frame, is_video, printable, read_image, read_video, sha256_of
from facexray.runtime.model import Thresholds, XrayModel

Verdict = Literal["real", "fake", "cannot tell"]

MIN_FACE_PX = 48
"""Longer side of a face's box in pixels, under which it is not judged."""
WORTH = (
    "A score is a model's opinion, not proof: it looks for traces of blending, is wrong at times in both "
    "directions, and cannot see faces that were generated whole."
)
"""What a verdict is worth: stands wherever one is given."""
SCHEMA_VERSION = 1
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


@dataclass(frozen=True)
class FrameResult:
    """A photograph, or one frame of a video."""

    index: int
    time_s: float
    faces: list[FaceResult]
    image: RGB
    """(H, W, 3) uint8 RGB."""

    @property
    def score(self) -> float | None:
        """The highest of the faces' scores."""
        return max((face.score for face in self.faces if face.score is not None), default=None)


@dataclass(frozen=True)
class Result:
    """The verdict on one photograph or video."""

    source: str
    sha256: str | None
    kind: Literal["image", "video"]
    verdict: Verdict
    reason: str
    score: float | None
    """An image's is its frame's, a video's the mean over the frames with a judged face."""
    frames: list[FrameResult]
    """Of a video, the frames that were looked at; only the most suspicious one and the first keep their image
    and X-rays (the others' images are empty)."""
    error: str | None = None
    """Why the file could not be read, or not to its end."""

    def without_pictures(self) -> Result:
        """The same result without images, views and X-rays, to keep by the thousand."""
        return replace(self, frames=[_light(frame) for frame in self.frames])

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; see docs/detect.md for the schema."""
        return {
            "schema": SCHEMA_VERSION,
            "source": self.source,
            "sha256": self.sha256,
            "kind": self.kind,
            "verdict": self.verdict,
            "score": _rounded(self.score),
            "reason": self.reason,
            "error": self.error,
            "frames": [
                {
                    "frame": frame.index,
                    "time_s": round(frame.time_s, 3),
                    "score": _rounded(frame.score),
                    "faces": [_face_dict(face) for face in frame.faces],
                }
                for frame in self.frames
            ],
        }


def _face_dict(face: FaceResult) -> dict[str, Any]:
    box = [round(float(value), 1) for value in face.box]
    return {"box": box, "score": _rounded(face.score), "verdict": face.verdict, "reason": face.reason}


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 4)


class Detector:
    """Judges faces in photographs and videos. Not to be shared between threads."""

    def __init__(self, model: str | Path | XrayModel = "default", frames: int = 32) -> None:
        """Load a model.

        Args:
            model: A model's file, the name of one that ships, or a loaded one.
            frames: Frames of a video to look at, spread evenly over it.

        Raises:
            ModelError: No such model, or not one that facexray exported.
        """
        self.model = model if isinstance(model, XrayModel) else XrayModel.load(model)
        self._frames = frames
        self._faces = FaceDetector()

    def image(self, image: RGB | str | Path, name: str = "image") -> Result:
        """Judge a photograph: a path, or an array (H, W, 3) uint8 RGB.

        Raises:
            MediaError: The file cannot be read, or the array is no such image.
        """
        sha256 = None
        if isinstance(image, str | Path):
            name, sha256 = printable(image), sha256_of(Path(image))
            image = read_image(Path(image))
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise MediaError(f"{name}: expected an (H, W, 3) uint8 RGB array, got {image.shape} {image.dtype}")
        frame = self._judge(Frame(image, 0, 0.0))
        verdict, reason = _of_faces(frame.faces, self.model.thresholds)
        return Result(name, sha256, "image", verdict, reason, frame.score, [frame])

    def video(self, path: str | Path) -> Result:
        """Judge a video by frames spread evenly over it.

        A video that breaks off is judged by the frames that could be read; `error` then says so.

        Raises:
            MediaError: No frame can be read.
        """
        path = Path(path)
        sha256 = sha256_of(path)
        frames: list[FrameResult] = []
        worst = 0
        error = None
        try:
            for frame in read_video(path, self._frames):
                frames.append(self._judge(frame))
                # Only the first frame and the worst so far stay whole, so that memory does not grow.
                loser = len(frames) - 1
                if (frames[loser].score or 0) > (frames[worst].score or 0):
                    worst, loser = loser, worst
                if loser:
                    frames[loser] = _light(frames[loser])
        except MediaError as broken:
            if not frames:
                raise
            error = printable(broken)
        verdict, reason, score = _of_frames(frames, self.model.thresholds)
        return Result(printable(path), sha256, "video", verdict, reason, score, frames, error)

    def images(self, files: Iterable[str | Path]) -> Iterator[Result]:
        """Judge photographs and videos one after the other; a file that cannot be read is a result with `error`."""
        for file in files:
            video = is_video(Path(file))
            try:
                yield self.video(file) if video else self.image(file)
            except UNFORESEEN as error:  # a MediaError is a ValueError
                kind: Literal["image", "video"] = "video" if video else "image"
                reason = "the file cannot be read"
                yield Result(printable(file), None, kind, "cannot tell", reason, None, [], printable(error))

    def _judge(self, frame: Frame) -> FrameResult:
        found = self._faces.detect(frame.image)
        large = [face for face in found if (face.box[2:] - face.box[:2]).max() >= MIN_FACE_PX]
        squares = [Square.around(face.box) for face in large]
        views = [np.ascontiguousarray(cut_view(cut_crop(frame.image, square))) for square in squares]
        faces = []
        if views:
            prediction = self.model.predict(np.stack(views))
            for i, face in enumerate(large):
                score = float(prediction.scores[i])
                verdict, reason = verdict_of_score(score, self.model.thresholds)
                xray = prediction.xrays[i]
                faces.append(FaceResult(face.box, verdict, reason, score, squares[i], views[i], xray))
        too_small = f"the face is smaller than {MIN_FACE_PX} px"
        for face in found[len(large) :]:
            faces.append(FaceResult(face.box, "cannot tell", too_small, None, Square.around(face.box)))
        return FrameResult(frame.index, frame.time_s, faces, frame.image)


def _light(frame: FrameResult) -> FrameResult:
    faces = [replace(face, view=None, xray=None) for face in frame.faces]
    return replace(frame, faces=faces, image=np.zeros((0, 0, 3), np.uint8))


def verdict_of_score(score: float, thresholds: Thresholds) -> tuple[Verdict, str]:
    """The verdict on a score in [0, 1], and its reason."""
    if score > thresholds.fake_above:
        return "fake", f"score {score:.2f} is above {thresholds.fake_above:.2f}"
    if score < thresholds.real_below:
        return "real", f"score {score:.2f} is below {thresholds.real_below:.2f}"
    between = f"between {thresholds.real_below:.2f} and {thresholds.fake_above:.2f}"
    return "cannot tell", f"score {score:.2f} is {between}"


def _of_faces(faces: list[FaceResult], thresholds: Thresholds) -> tuple[Verdict, str]:
    """The verdict on an image: that of its most suspicious face."""
    judged = [face.score for face in faces if face.score is not None]
    if not faces:
        return "cannot tell", "no face was found"
    if not judged:
        return "cannot tell", f"every face is smaller than {MIN_FACE_PX} px"
    verdict, reason = verdict_of_score(max(judged), thresholds)
    if len(faces) > 1:
        reason += f"; the highest of {len(judged)} judged faces"
    if len(judged) < len(faces):
        reason += f"; {len(faces) - len(judged)} too small to judge"
    return verdict, reason


def _of_frames(frames: list[FrameResult], thresholds: Thresholds) -> tuple[Verdict, str, float | None]:
    """The verdict on a video: that of its frames' mean."""
    scores = [frame.score for frame in frames if frame.score is not None]
    if not scores:
        return "cannot tell", f"no face that could be judged in {len(frames)} frames", None
    mean = float(np.mean(scores))
    verdict, reason = verdict_of_score(mean, thresholds)
    return verdict, f"{reason}; the mean over {len(scores)} of {len(frames)} frames", mean
