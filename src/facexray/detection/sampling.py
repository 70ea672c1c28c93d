"""Frames of a video by time: so many a second, whatever its frame rate, and in memory one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from heapq import heappop, heappush
from pathlib import Path

import av
import cv2
import numpy as np

from facexray.errors import MediaError
from facexray.images import Frame, open_video, upright, video_stream

CAMERA_S = 10.0
"""For how long a camera is looked through."""
MAX_DAMAGED = 500
"""Packets that cannot be decoded, after which no more are tried."""


class Sampler:
    """Chooses frames by their times: the first at or after each multiple of 1 / fps since the first frame."""

    def __init__(self, fps: float | None) -> None:
        """Take `fps` frames a second; None takes all."""
        self._step = 1 / fps if fps else 0.0
        self._first: float | None = None
        self._next = self._last = 0.0

    def wants(self, time_s: float) -> bool:
        """Whether the frame at this time is one to look at; ask for each frame once, in their order."""
        if self._first is None:
            self._first = self._last = time_s
        elif time_s < self._next - 1e-6 and time_s > self._last - 1:  # a clock that leaps back begins anew
            return False
        self._last = time_s
        if self._step:
            self._next = self._first + self._step * (np.floor((time_s - self._first) / self._step + 1e-6) + 1)
        return True

    def needless(self, packet: av.Packet[av.VideoStream], frame_s: float) -> bool:
        """Whether a packet's frame surely is none to look at; `frame_s` is how long frames usually stand."""
        if packet.pts is None or not self._step or self._first is None:
            return False
        past = (float(packet.pts * packet.time_base) - self._first) % self._step
        return 2 * frame_s < past < self._step - 0.01 * frame_s


class _Positions:
    """Tells each decoded frame's position in the video, though frames before it were not decoded."""

    def __init__(self) -> None:
        self._coming: list[int] = []  # presentation times of packets whose frames have not come yet
        self.next = 0

    def add(self, packet: av.Packet[av.VideoStream]) -> None:
        """A packet is about to be decoded, or skipped."""
        if packet.pts is not None:
            heappush(self._coming, packet.pts)

    def of(self, frame: av.VideoFrame) -> int:
        """The position of a decoded frame, from 0."""
        while frame.pts is not None and self._coming and self._coming[0] <= frame.pts:
            self.next += heappop(self._coming) < frame.pts
        self.next += 1
        return self.next - 1


def sample_video(path: Path, fps: float | None) -> Iterator[Frame]:
    """Yield `fps` frames a second of a video, or all with None, in order, with their own times.

    Frames that nobody asks for and no other frame is made from are not decoded.

    Raises:
        MediaError: The file cannot be opened or holds no video; or, *after* the readable frames were yielded,
            it is cut off or damaged part-way.
    """
    sampler, positions, packets, damaged = Sampler(fps), _Positions(), 0, 0
    try:
        with open_video(path) as container:
            stream = video_stream(container, path)
            frame_s = float(1 / (stream.average_rate or Fraction(25)))
            declared = stream.frames
            for packet in container.demux(stream):
                skip = sampler.needless(packet, frame_s)
                stream.codec_context.skip_frame = "NONREF" if skip else "DEFAULT"
                positions.add(packet)
                packets += packet.size > 0
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    damaged += 1
                    if damaged > MAX_DAMAGED:
                        break
                    continue
                for frame in frames:
                    index = positions.of(frame)
                    time_s = index * frame_s if frame.time is None else frame.time
                    if sampler.wants(time_s):
                        yield Frame(upright(frame), index, time_s)
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or type(error).__name__
        raise MediaError(f"{path}: not a readable video ({reason}); it is cut off, damaged or no video") from error
    _check_whole(path, positions.next, packets, declared, damaged)


def _check_whole(path: Path, frames: int, packets: int, declared: int, damaged: int) -> None:
    if not frames:
        raise MediaError(f"{path}: holds no frames; it may be cut off")
    if packets < declared:
        raise MediaError(f"{path}: cut off: {declared - packets} of {declared} frames are missing")
    if damaged:
        raise MediaError(f"{path}: damaged: {damaged} of {packets} packets cannot be decoded")


def sample_camera(number: int, fps: float | None) -> Iterator[Frame]:
    """Yield frames of a camera, `fps` a second or all, for `CAMERA_S` seconds.

    Raises:
        MediaError: There is no such camera, or it gives no picture.
    """
    camera = cv2.VideoCapture(number)
    try:
        sampler, began, index = Sampler(fps), cv2.getTickCount(), 0
        while True:
            given, image = camera.read()
            time_s = (cv2.getTickCount() - began) / cv2.getTickFrequency()
            if not given:
                raise MediaError(f"camera:{number}: gives no picture; check that it is there and not in use")
            if time_s > CAMERA_S:
                return
            if sampler.wants(time_s):
                yield Frame(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), index, time_s)
            index += 1
    finally:
        camera.release()
