"""A file's result, gathered frame by frame; of a video, numbers alone grow with its length."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence

import numpy as np

from facexray.detection.finding import Look
from facexray.detection.result import FaceResult, FrameResult, Moment, Result, Track
from facexray.detection.sources import Kind
from facexray.detection.timeline import judge_track, needed_of, smooth_scores, spans_above, tell_spans, window_of
from facexray.detection.verdict import Verdict, verdict_of_score
from facexray.runtime.model import Prediction, Thresholds

MOMENTS = 3
"""Moments that a track keeps."""
APART_S = 1.0
"""Each is the worst of another such stretch of the video."""
PICTURED_TRACKS = 6
"""Tracks of a video whose moments keep their pictures: the most suspicious."""


class Case:
    """Gathers the looks at one file."""

    def __init__(self, name: str, kind: Kind, thresholds: Thresholds) -> None:
        self.sha256: str | None = None
        self.error: str | None = None
        self._name = name
        self._kind = kind
        self._thresholds = thresholds
        self._times = array("d")
        self._worst: FrameResult | None = None
        self._logs: dict[int, _Log] = {}
        self._pictured: list[_Log] = []  # whose moments may have pictures

    def add(self, look: Look, prediction: Prediction) -> None:
        """Add a frame with what the network says of its judged faces, in their order."""
        judged = iter(zip(prediction.scores.tolist(), prediction.xrays, strict=True))
        faces = []
        for found in look.faces:
            box, square, track = found.face.box, found.square, found.track
            if found.view is None:
                reason = f"the face is {found.why_not}"
                face = FaceResult(box, "cannot tell", reason, None, square, track=track)
            else:
                score, xray = next(judged)
                verdict, reason = verdict_of_score(score, self._thresholds)
                face = FaceResult(box, verdict, reason, score, square, found.view, xray.copy(), track)  # no whole batch
            faces.append(face)
            if track is not None:
                log = self._logs.setdefault(track, _Log())
                log.add(look.frame.index, look.frame.time_s, face, found.why_not)
                if face.view is not None and log not in self._pictured:
                    self._pictured.append(log)
        frame = FrameResult(look.frame.index, look.frame.time_s, faces, look.frame.image)
        if self._worst is None or (frame.score or 0) > (self._worst.score or 0):
            self._worst = frame
        self._times.append(look.frame.time_s)
        self._drop_pictures()

    def finish(self) -> Result:
        """The result, once all frames are in."""
        if self._worst is None:
            return Result.unread(self._name, self._kind, self.error or "it holds no frame", self.sha256)
        tracks: list[Track] = []
        if self._kind == "image":
            verdict, reason = _of_faces(self._worst.faces, self._thresholds)
            score = self._worst.score
        else:
            step_s = float(np.median(np.diff(self._times))) if len(self._times) > 1 else 0.0
            needed, window_s = needed_of(step_s, len(self._times)), window_of(step_s)
            logs = sorted(self._logs.items())
            tracks = [log.finish(number, self._thresholds, needed, window_s) for number, log in logs]
            verdict, reason = _of_tracks(tracks, len(self._times))
            score = max((track.score for track in tracks if track.score is not None), default=None)
        span = self._times[-1] - self._times[0]
        read = (self._name, self.sha256, self._kind)
        return Result(*read, verdict, reason, score, self._worst, tracks, len(self._times), span, self.error)

    def _drop_pictures(self) -> None:
        """Keep the pictures of the most suspicious tracks only, so that memory does not grow with their number."""
        self._pictured.sort(key=lambda log: log.worst, reverse=True)
        for log in self._pictured[PICTURED_TRACKS:]:
            log.drop_pictures()
        del self._pictured[PICTURED_TRACKS:]


class _Log:
    """What is known of one track so far."""

    def __init__(self) -> None:
        self._times, self._scores, self._boxes = array("d"), array("f"), array("f")
        self._why_not: Counter[str] = Counter()
        self._moments: list[Moment] = []

    @property
    def worst(self) -> float:
        """The highest score of a frame."""
        return self._moments[0].face.score or 0.0 if self._moments else 0.0

    def add(self, index: int, time_s: float, face: FaceResult, why_not: str | None) -> None:
        """Add a sight of the face."""
        self._times.append(time_s)
        self._scores.append(np.nan if face.score is None else face.score)
        self._boxes.extend(face.box.tolist())
        if why_not is not None:
            self._why_not[why_not] += 1
        if face.score is not None:
            self._keep(Moment(index, time_s, face))

    def _keep(self, moment: Moment) -> None:
        second = moment.time_s // APART_S
        same = [kept for kept in self._moments if kept.time_s // APART_S == second]
        if any((kept.face.score or 0) >= (moment.face.score or 0) for kept in same):
            return
        others = [kept for kept in self._moments if kept.time_s // APART_S != second]
        self._moments = sorted([*others, moment], key=lambda kept: kept.face.score or 0, reverse=True)[:MOMENTS]

    def drop_pictures(self) -> None:
        """Keep the moments as numbers."""
        self._moments = [moment.without_pictures() for moment in self._moments]

    def finish(self, number: int, thresholds: Thresholds, needed: int, window_s: float) -> Track:
        """The track, once all frames are in."""
        times, scores = np.array(self._times), np.array(self._scores, np.float32)
        smooth = smooth_scores(times, scores, needed, window_s)
        verdict, reason, score = judge_track(times, scores, smooth, thresholds, self._why_not, window_s)
        spans = spans_above(times, smooth, thresholds.fake_above)
        boxes = np.array(self._boxes, np.float32).reshape(-1, 4)
        return Track(number, verdict, reason, score, times, boxes, scores, smooth, spans, self._moments)


def _of_faces(faces: Sequence[FaceResult], thresholds: Thresholds) -> tuple[Verdict, str]:
    """The verdict on a photograph: that of its most suspicious face."""
    judged = [face.score for face in faces if face.score is not None]
    others = Counter(face.reason.removeprefix("the face is ") for face in faces if face.score is None)
    if not faces:
        return "cannot tell", "no face was found"
    if not judged:
        every = "every face is" if len(faces) > 1 else "the face is"
        return "cannot tell", f"{every} {' or '.join(others)}"
    verdict, reason = verdict_of_score(max(judged), thresholds)
    if len(judged) > 1:
        reason += f"; the highest of {len(judged)} judged faces"
    return verdict, reason + "".join(f"; {count} {why}" for why, count in others.items())


def _of_tracks(tracks: Sequence[Track], frames: int) -> tuple[Verdict, str]:
    """The verdict on a video: fake if any track is, real if all are that could be judged."""
    if not tracks:
        return "cannot tell", f"no face was found in {frames} frames"
    judged = sorted((track for track in tracks if track.score is not None), key=lambda t: t.score or 0, reverse=True)
    unjudged = len(tracks) - max(1, len(judged))
    more = f"; and {unjudged} more face{'s' * (unjudged > 1)} that cannot be judged" if unjudged else ""
    if not judged:
        longest = max(tracks, key=lambda track: len(track.times_s))
        return "cannot tell", f"track {longest.number}: {longest.reason}{more}"
    for verdict in ("fake", "cannot tell", "real"):
        of_kind = [track for track in judged if track.verdict == verdict]
        if of_kind:
            worst, others = of_kind[0], [str(track.number) for track in of_kind[1:]]
            when = f", {tell_spans(worst.spans)}" if verdict == "fake" else ""
            are = "are tracks" if len(others) > 1 else "is track"
            as_well = f"; so {are} {', '.join(others)}" if verdict == "fake" and others else ""
            highest = f"; the highest of {len(judged)} judged tracks" if verdict == "real" and others else ""
            return worst.verdict, f"track {worst.number}{when}: {worst.reason}{as_well}{highest}{more}"
    raise AssertionError("a judged track has one of the three verdicts")
