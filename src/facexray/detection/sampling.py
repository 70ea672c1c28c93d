"""Frames of a video by time: so many a second, whatever its frame rate, and in memory one at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from facexray.errors import MediaError
from facexray.images import Frame, check_whole, open_video, packets_of, upright, video_stream

CAMERA_S = 10.0
"""For how long a camera is looked through."""
MAX_DAMAGED = 500
"""Packets that cannot be decoded, after which no more are tried."""
DECLARING = frozenset({"matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "avi", "flv", "mxf"})
"""Containers whose beginning declares how long they are; of others FFmpeg's figure is an estimate by their end."""
BACK_S = 0.5
"""Times that fall back further than this, or stand still for longer, are another clip's, or wrong."""
AHEAD_S = 60.0
"""So are times that leap ahead further than this, and than ten frames usually stand."""


class Clock:
    """Makes the times of frames go on: clips that were joined begin anew, and single times may be wrong.

    Times that go on as they should stay as they are. Where they leap, the next frame follows the last at the usual
    distance, and those after it keep their distances from it.
    """

    def __init__(self, frame_s: float) -> None:
        """`frame_s` is how long frames usually stand."""
        self._step = min(frame_s, 1.0)
        self._ahead_s = max(AHEAD_S, 10 * frame_s)
        self._still = 0
        self.offset = 0.0
        """What is added to the times at present."""
        self.last: float | None = None
        """The last frame's time."""

    def tell(self, time_s: float | None) -> float:
        """The time of the next frame in seconds, never before the last one's; None where the frame has no time."""
        if self.last is None:
            self.last = 0.0 if time_s is None else time_s
            return self.last
        time = self.last + self._step if time_s is None else time_s + self.offset
        self._still = self._still + 1 if time <= self.last else 0
        if not -BACK_S <= time - self.last <= self._ahead_s or self._still * self._step > BACK_S:
            due = self.last + (self._still or 1) * self._step
            self.offset += due - time
            time, self._still = due, 0
        self.last = max(self.last, time)
        return self.last


class Sampler:
    """Chooses frames by their times, which rise: the first at or after each multiple of 1 / fps since the first."""

    def __init__(self, fps: float | None) -> None:
        """Take `fps` frames a second; None takes all."""
        self._step = 1 / fps if fps else 0.0
        self._first: float | None = None
        self._next = 0.0

    def wants(self, time_s: float) -> bool:
        """Whether the frame at this time is one to look at; ask for each frame once, in their order."""
        if self._first is None:
            self._first = time_s
        elif time_s < self._next - 1e-6:
            return False
        if self._step:
            self._next = self._first + self._step * (np.floor((time_s - self._first) / self._step + 1e-6) + 1)
        return True

    def needless(self, time_s: float, frame_s: float) -> bool:
        """Whether a frame at this time surely is none to look at; `frame_s` is how long frames usually stand."""
        if not self._step or self._first is None:
            return False
        past = (time_s - self._first) % self._step
        return 2 * frame_s < past < self._step - 0.01 * frame_s


class _Positions:
    """Tells each decoded frame's position in the video, though frames before it were not decoded."""

    def __init__(self) -> None:
        self._coming: set[int] = set()  # presentation times of packets whose frames have not come yet
        self._last = -math.inf
        self.next = 0

    def add(self, packet: av.Packet[Any]) -> None:
        """A packet is about to be decoded, or skipped."""
        if packet.pts is not None and not packet.is_discard:  # of a trimmed video, decoded for the sake of others
            self._coming.add(packet.pts)

    def of(self, frame: av.VideoFrame) -> int:
        """The position of a decoded frame, from 0."""
        if frame.pts is not None:
            since = -math.inf if frame.pts < self._last else self._last  # another clip begins
            passed = {pts for pts in self._coming if since < pts <= frame.pts}
            self._coming -= passed
            self.next += len(passed - {frame.pts})
            self._last = frame.pts
        self.next += 1
        return self.next - 1


def sample_video(path: Path, fps: float | None) -> Iterator[Frame]:
    """Yield `fps` frames a second of a video, or all with None, in order, with their own times, which rise (`Clock`).

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
            declared, clock = stream.frames, Clock(frame_s)
            end = _End(container, declared)
            for packet in packets_of(container):
                end.pass_by(packet)
                if packet.stream.index != stream.index:
                    continue
                time = None if packet.pts is None else float(packet.pts * packet.time_base) + clock.offset
                skip = time is not None and sampler.needless(time, frame_s)
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
                    if not isinstance(frame, av.VideoFrame):
                        continue
                    index = positions.of(frame)
                    time_s = clock.tell(frame.time)
                    if sampler.wants(time_s):
                        yield Frame(upright(frame), index, time_s)
        _check_frames(path, positions.next, packets, declared, damaged)
        end.check(path)
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or type(error).__name__
        raise MediaError(f"{path}: not a readable video ({reason}); it is cut off, damaged or no video") from error


def _check_frames(path: Path, frames: int, packets: int, declared: int, damaged: int) -> None:
    if not frames:
        raise MediaError(f"{path}: holds no frames; it may be cut off")
    check_whole(path, packets, declared)
    if damaged:
        raise MediaError(f"{path}: damaged: {damaged} of {packets} packets cannot be decoded")


class _End:
    """Whether a file without a count of its frames reaches the end that its beginning declares, in any stream."""

    def __init__(self, container: av.container.InputContainer, declared: int) -> None:
        says = not declared and container.format.name in DECLARING and container.duration
        self._declared_s = container.duration / 1e6 if says and container.duration else 0.0
        self._reached_s = 0.0

    def pass_by(self, packet: av.Packet[Any]) -> None:
        """A packet was read, of whatever stream."""
        if packet.pts is not None:
            self._reached_s = max(self._reached_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))

    def check(self, path: Path) -> None:
        """Raise where the file ends early.

        Raises:
            MediaError: It does.
        """
        if self._reached_s < min(self._declared_s - 1, 0.95 * self._declared_s):
            raise MediaError(f"{path}: cut off: it ends after {self._reached_s:.1f} of {self._declared_s:.1f} seconds")


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
