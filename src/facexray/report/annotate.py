"""An annotated copy of a video: the faces' boxes and scores drawn into every frame, the sound as it was."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from facexray.detection.result import Result, Track
from facexray.detection.verdict import Verdict
from facexray.errors import MediaError
from facexray.images import RGB, open_video, upright, video_stream
from facexray.report.heatmap import COLOURS, draw_box

MP4_SOUND = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
"""Codecs of sound that an .mp4 may hold; the copy of a video with another is an .mkv."""
BRIDGED_S = 1.0
"""Between two looks at a face no further apart than this, its box is drawn where it must have been."""
LINGER_S = 0.2
"""For how long after the last look a box stays."""


def annotated_copy(source: Path, result: Result, name: Path) -> Path | None:
    """Write an annotated copy of a video.

    Args:
        source: The video.
        result: What detection says of it.
        name: The copy's path, less its ending.

    Returns:
        The copy; None where the video cannot be read twice, as a camera's.

    Raises:
        MediaError: The copy cannot be written.
    """
    if not source.is_file():
        return None
    try:
        with open_video(source) as container:
            sounds = container.streams.audio
            kept = all(stream.codec_context.name in MP4_SOUND for stream in sounds)
            out = name.with_name(name.name + ("_annotated.mp4" if kept else "_annotated.mkv"))
            with av.open(str(out.absolute()), "w") as copy:
                _write(container, copy, source, result)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{source}: its annotated copy cannot be written ({error or type(error).__name__})") from error
    return out


def _write(
    container: av.container.InputContainer, copy: av.container.OutputContainer, source: Path, result: Result
) -> None:
    video = video_stream(container, source)
    sounds = {stream.index: copy.add_stream_from_template(stream) for stream in container.streams.audio}
    drawn: _Pictures | None = None
    early = []  # sound before the first picture: all streams must be known when the first packet is written
    for packet in container.demux(video, *container.streams.audio):
        if packet.stream.index in sounds:
            if packet.dts is not None:
                packet.stream = sounds[packet.stream.index]
                early.append(packet)
            if drawn:
                copy.mux(early)
                early.clear()
            continue
        with suppress(av.FFmpegError):  # a damaged packet; detection has said so
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    image = upright(frame)
                    drawn = drawn or _Pictures(copy, video, image)
                    drawn.add(draw_tracks(image, result.tracks, float(frame.time or 0)), frame.pts)
    if drawn:
        copy.mux(early)
        drawn.finish()


class _Pictures:
    """The copy's pictures, encoded as H.264, each at its own time."""

    def __init__(self, copy: av.container.OutputContainer, video: av.VideoStream, first: RGB) -> None:
        self._copy = copy
        self._stream = copy.add_stream("libx264", rate=video.average_rate or 25)
        # Sides must be even.
        self._stream.height, self._stream.width = (side // 2 * 2 for side in first.shape[:2])
        self._stream.pix_fmt = "yuv420p"
        self._time_base = self._stream.codec_context.time_base = video.time_base or Fraction(1, 1000)
        self._last = -1

    def add(self, image: RGB, pts: int | None) -> None:
        """Add a picture with its presentation time; times must rise."""
        image = np.ascontiguousarray(image[: self._stream.height, : self._stream.width])
        frame = av.VideoFrame.from_ndarray(image, "rgb24")
        self._last = frame.pts = max(self._last + 1, pts or 0)
        frame.time_base = self._time_base
        self._copy.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._copy.mux(self._stream.encode())


def draw_tracks(image: RGB, tracks: list[Track], time_s: float) -> RGB:
    """Draw the boxes of the faces that are there at a time into a frame (H, W, 3), with their running medians."""
    for track in tracks:
        box = box_at(track, time_s)
        if box is None:
            continue
        nearest = int(np.abs(track.times_s - time_s).argmin())
        score = float(track.smooth[nearest])
        fake = any(start <= time_s <= end for start, end in track.spans)
        label = f"{track.number}" if np.isnan(score) else f"{track.number}: {score:.2f}"
        calm: Verdict = "cannot tell" if np.isnan(score) or track.verdict == "cannot tell" else "real"
        draw_box(image, box, label, COLOURS["fake" if fake else calm])
    return image


def box_at(track: Track, time_s: float) -> NDArray[np.float32] | None:
    """A face's box (4,) at a time, between the two looks around it; None where it was not seen then."""
    after = int(np.searchsorted(track.times_s, time_s))
    before = max(0, after - 1)
    after = min(after, len(track.times_s) - 1)
    start, end = float(track.times_s[before]), float(track.times_s[after])
    if time_s < start or end - start > BRIDGED_S or time_s - end > LINGER_S:
        return None
    share = np.float32(min(1.0, (time_s - start) / (end - start)) if end > start else 0.0)
    box: NDArray[np.float32] = (1 - share) * track.boxes[before] + share * track.boxes[after]
    return box
