"""An annotated copy of a video: the faces' boxes and scores drawn into every frame, the sound as it was."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from facexray.detection.result import Result, Track
from facexray.detection.sampling import AHEAD_S, Clock
from facexray.detection.tracking import max_gap_s
from facexray.detection.verdict import Verdict
from facexray.errors import MediaError
from facexray.images import RGB, UNFORESEEN, open_video, packets_of, upright, video_stream
from facexray.report.heatmap import COLOURS, draw_box

MP4_SOUND = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
"""Codecs of sound that an .mp4 may hold; the copy of a video with another is an .mkv."""
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
    temporary = name.with_name(f".{name.name}.{os.getpid()}.part")
    try:
        with open_video(source) as container:
            # Of a sound whose codec nobody knows nothing can be kept.
            sounds = [stream for stream in container.streams.audio if stream.codec_context is not None]
            mp4 = all(stream.codec_context.name in MP4_SOUND for stream in sounds)
            with av.open(str(temporary.absolute()), "w", format="mp4" if mp4 else "matroska") as copy:
                _write(container, copy, sounds, source, result)
        out = name.with_name(name.name + ("_annotated.mp4" if mp4 else "_annotated.mkv"))
        temporary.replace(out)
    except (*UNFORESEEN, av.FFmpegError, OSError) as error:
        raise MediaError(f"{source}: its annotated copy cannot be written ({error or type(error).__name__})") from error
    finally:
        temporary.unlink(missing_ok=True)
    return out


def _write(
    container: av.container.InputContainer,
    copy: av.container.OutputContainer,
    kept: list[av.AudioStream],
    source: Path,
    result: Result,
) -> None:
    video = video_stream(container, source)
    clock = Clock(float(1 / (video.average_rate or 25)))
    sounds = {stream.index: _Sound(copy, stream, clock) for stream in kept}
    drawn: _Pictures | None = None
    gap_s = max_gap_s(result.duration_s / max(1, result.frames - 1))
    for packet in packets_of(container, video, *kept):
        if packet.stream.index in sounds:
            sounds[packet.stream.index].add(packet)
            if drawn:
                for sound in sounds.values():
                    sound.write()
            continue
        with suppress(av.FFmpegError):  # a damaged packet; detection has said so
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    image, time_s = upright(frame), clock.tell(frame.time)
                    drawn = drawn or _Pictures(copy, video, image)
                    drawn.add(draw_tracks(image, result.tracks, time_s, gap_s), time_s)
    if not drawn:
        raise ValueError("none of its pictures can be decoded")
    for sound in sounds.values():
        sound.write()
    drawn.finish()


class _Sound:
    """One of the copy's sounds, packet by packet as it was."""

    def __init__(self, copy: av.container.OutputContainer, stream: av.AudioStream, clock: Clock) -> None:
        self._copy = copy
        self._stream = copy.add_stream_from_template(stream)
        self._clock = clock
        self._waiting: list[av.Packet[Any]] = []
        self._last = -math.inf

    def add(self, packet: av.Packet[Any]) -> None:
        """Add a packet, moved as the pictures are where their clock leaps; no file takes one whose time does not rise.

        It waits until `write`: all streams must be known when the first packet is written.
        """
        if packet.dts is None:
            return
        move = round(self._clock.offset / packet.time_base)
        packet.dts += move
        packet.pts = packet.dts if packet.pts is None else packet.pts + move
        end = math.inf if self._clock.last is None else self._clock.last + AHEAD_S
        if packet.dts > self._last and packet.dts * packet.time_base <= end:
            self._last = packet.dts
            packet.stream = self._stream
            self._waiting.append(packet)

    def write(self) -> None:
        """Write what waits."""
        self._copy.mux(self._waiting)
        self._waiting.clear()


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

    def add(self, image: RGB, time_s: float) -> None:
        """Add a picture with its time."""
        image = np.ascontiguousarray(image[: self._stream.height, : self._stream.width])
        frame = av.VideoFrame.from_ndarray(image, "rgb24")
        self._last = frame.pts = max(self._last + 1, round(time_s / self._time_base))
        frame.time_base = self._time_base
        self._copy.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._copy.mux(self._stream.encode())


def draw_tracks(image: RGB, tracks: list[Track], time_s: float, gap_s: float) -> RGB:
    """Draw the boxes of the faces that are there at a time into a frame (H, W, 3), with their running medians."""
    for track in tracks:
        box = box_at(track, time_s, gap_s)
        if box is None:
            continue
        nearest = int(np.abs(track.times_s - time_s).argmin())
        score = float(track.smooth[nearest])
        fake = any(start <= time_s <= end for start, end in track.spans)
        label = f"{track.number}" if np.isnan(score) else f"{track.number}: {score:.2f}"
        calm: Verdict = "cannot tell" if np.isnan(score) or track.verdict == "cannot tell" else "real"
        draw_box(image, box, label, COLOURS["fake" if fake else calm])
    return image


def box_at(track: Track, time_s: float, gap_s: float) -> NDArray[np.float32] | None:
    """A face's box (4,) at a time, between two looks at it at most `gap_s` apart; None where it was not seen."""
    after = int(np.searchsorted(track.times_s, time_s))
    before = max(0, after - 1)
    after = min(after, len(track.times_s) - 1)
    start, end = float(track.times_s[before]), float(track.times_s[after])
    if time_s < start or end - start > gap_s or time_s - end > LINGER_S:
        return None
    share = np.float32(min(1.0, (time_s - start) / (end - start)) if end > start else 0.0)
    box: NDArray[np.float32] = (1 - share) * track.boxes[before] + share * track.boxes[after]
    return box
