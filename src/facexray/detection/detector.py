"""Photographs and videos in, verdicts out.

detector = Detector()
result = detector.image("photo.jpg")
print(result.verdict, result.score, [face.box for face in result.faces])

Three stages overlap: files are read and decoded, faces found, views judged, each in a thread of its own but the last.
Views of many frames and files go through the network together.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from threading import TIMEOUT_MAX
from typing import Literal

import numpy as np

from facexray.detection.ahead import ROOM, ahead
from facexray.detection.cases import Case
from facexray.detection.finding import Finder, Look, Read, Seen
from facexray.detection.result import Result
from facexray.detection.sources import Begin, End, Opened, kind_of, name_of, read_array, read_source
from facexray.errors import MediaError, SettingsError
from facexray.faces.crop import VIEW_SIZE
from facexray.images import RGB, UNFORESEEN, Frame, printable
from facexray.runtime.engines import EngineName
from facexray.runtime.model import BATCH, Prediction, XrayModel

TOGETHER = 64
"""Frames that wait, at most, until enough views are there for a batch."""


class Detector:
    """Judges faces in photographs and videos. Not to be shared between threads."""

    def __init__(
        self,
        model: str | Path | XrayModel = "default",
        fps: float | Literal["all"] = 5.0,
        flip: bool = False,
        engine: EngineName = "auto",
        time_limit: float = 600.0,
    ) -> None:
        """Load a model.

        Args:
            model: A model's file, the name of one that ships, or a loaded one.
            fps: Frames of a video to look at each second, or all.
            flip: Judge each face and its mirror image, and take the mean: twice the work, a little steadier.
            engine: What runs the model: auto, onnxruntime, openvino or torch; see `XrayModel.load`.
            time_limit: Seconds for which the reading of a file may be waited for, all in all.

        Raises:
            ModelError: No such model, or not one that facexray exported.
            MissingExtraError: The engine is not installed.
            SettingsError: `fps` or `time_limit` is not above 0.
        """
        if fps != "all" and not 0 < fps < float("inf"):
            raise SettingsError(f"fps must be above 0, or all; got {fps}")
        if not time_limit > 0:
            raise SettingsError(f"time_limit must be above 0 seconds, got {time_limit}")
        self.model = model if isinstance(model, XrayModel) else XrayModel.load(model, engine)
        self._fps = None if fps == "all" else fps
        self._flip = flip
        self._limit_s = None if time_limit > TIMEOUT_MAX else time_limit
        self._idle: list[Finder] = []

    def image(self, image: RGB | str | Path, name: str = "image") -> Result:
        """Judge a photograph: a path, "-" for standard input, or an array (H, W, 3) uint8 RGB.

        Raises:
            MediaError: The file cannot be read, or the array is no such image.
        """
        if isinstance(image, str | Path):
            return self._one(image, "image")
        with closing(self._judge(self._find(read_array(image, name)))) as results:
            return _whole(next(results))

    def video(self, path: str | Path) -> Result:
        """Judge a video, or what the camera `camera:0` sees for ten seconds.

        A video that breaks off is judged by the frames that could be read; `error` then says so.

        Raises:
            MediaError: No frame can be read.
        """
        return self._one(path, "video")

    def images(self, files: Iterable[str | Path]) -> Iterator[Result]:
        """Judge photographs and videos, in their order; a file that cannot be read is a result with `error`."""
        read = ahead(self._read((file, kind_of(file)) for file in files), _size)
        found = ahead(self._find(read), _size)
        return self._judge(found)

    def _one(self, file: str | Path, kind: Literal["image", "video"]) -> Result:
        events = self._read(iter([(file, kind)]))
        found = self._find(events)
        with closing(self._judge(ahead(found, _size) if kind == "video" else found)) as results:
            return _whole(next(results))

    def _read(self, files: Iterator[tuple[str | Path, Literal["image", "video"]]]) -> Generator[Read, None, None]:
        """The files' frames, each file from Begin to End; reading each has its time limit."""
        for file, kind in files:
            name, error = name_of(file), None
            yield Begin(name, kind)
            try:
                yield from ahead(read_source(file, kind, self._fps), _size, limit_s=self._limit_s)
            except UNFORESEEN as broken:  # a MediaError is a ValueError
                error = printable(broken)
            yield End(error)

    def _find(self, events: Generator[Read, None, None]) -> Generator[Seen, None, None]:
        """Find faces with a finder that no other call uses meanwhile: a call may begin while another's threads run."""
        try:
            finder = self._idle.pop()
        except IndexError:
            finder = Finder()
        try:
            yield from finder.find(events)
        finally:
            self._idle.append(finder)

    def _judge(self, events: Generator[Seen, None, None]) -> Generator[Result, None, None]:
        """Judge what was found, many views at once, and gather it file by file."""
        case: Case | None = None
        with closing(events):
            for group in _groups(events):
                for event, said in zip(group, self._predict(group), strict=True):
                    if isinstance(event, Begin):
                        case = Case(event.name, event.kind, self.model.thresholds)
                    elif case is None:
                        raise AssertionError("a file begins before it has frames")
                    elif isinstance(event, Opened):
                        case.sha256 = event.sha256
                    elif isinstance(event, End):
                        case.error = case.error or event.error
                        yield case.finish()
                    elif isinstance(said, Prediction):
                        case.add(event, said)
                    else:
                        case.error = case.error or said

    def _predict(self, group: list[Seen]) -> list[Prediction | str | None]:
        """What the network says of each look of a group, or why it could not; None for other events."""
        views = [event.views if isinstance(event, Look) else [] for event in group]
        try:
            said = self._of_views([view for each in views for view in each])
        except UNFORESEEN as error:
            if len(group) == 1:
                return [printable(error)]
            return [part for event in group for part in self._predict([event])]
        ends = np.cumsum([len(each) for each in views])
        return [
            Prediction(said.scores[end - len(each) : end], said.xrays[end - len(each) : end])
            if isinstance(event, Look)
            else None
            for event, each, end in zip(group, views, ends, strict=True)
        ]

    def _of_views(self, views: list[RGB]) -> Prediction:
        stack = np.stack(views) if views else np.zeros((0, VIEW_SIZE, VIEW_SIZE, 3), np.uint8)
        said = self.model.predict(stack)
        if self._flip:
            mirrored = self.model.predict(np.ascontiguousarray(stack[:, :, ::-1]))
            half = np.float32(0.5)
            xrays = half * said.xrays + half * mirrored.xrays[:, :, ::-1]
            said = Prediction(half * said.scores + half * mirrored.scores, xrays)
        return said


def _whole(result: Result) -> Result:
    """A result of which at least one frame could be read."""
    if result.frame is None:
        raise MediaError(result.error)
    return result


def _size(event: Read | Seen) -> int:
    if isinstance(event, Look):
        return int(event.frame.image.nbytes + sum(view.nbytes for view in event.views))
    return int(event.image.nbytes) if isinstance(event, Frame) else 0


def _groups(events: Iterator[Seen]) -> Iterator[list[Seen]]:
    """Events in their order, so many together that their views fill a batch; fewer where their images are large."""
    group: list[Seen] = []
    views = size = 0
    for event in events:
        group.append(event)
        views += len(event.views) if isinstance(event, Look) else 0
        size += _size(event)
        if views >= BATCH or size >= ROOM or len(group) >= TOGETHER:
            yield group
            group, views, size = [], 0, 0
    if group:
        yield group
