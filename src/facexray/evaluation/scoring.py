"""Scoring: sources → faces → views in batches → the model → scored faces."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from facexray.blending.blend import as_float, face_xray
from facexray.blending.degrade import Degradation
from facexray.blending.hull import Mask
from facexray.errors import FaceXrayError
from facexray.evaluation.cache import Cache, Found, FoundFace
from facexray.evaluation.clock import Clock
from facexray.evaluation.manifest import Item
from facexray.evaluation.pooled import pool_xray
from facexray.evaluation.robustness import name_of
from facexray.evaluation.scored import ScoredFace
from facexray.evaluation.sources import Look, Source, View, is_passing, without_path
from facexray.images import RGB, UNFORESEEN, printable
from facexray.metrics.localisation import localise
from facexray.runtime.model import BATCH, XrayModel

CUT_OFF = "cut off: judged by what was there"
STOPPED = "not read to its end, judged by what was"
"""Where something else than the file's content was in the way; the same command again reads it anew."""


@dataclass(frozen=True)
class Scored:
    """One item, scored: rows only, no pixels."""

    source: Source
    found: Found

    @property
    def item(self) -> Item:
        """What was scored."""
        return self.source.item

    def rows(self) -> list[ScoredFace]:
        """A row per face."""
        item = self.item
        return [
            ScoredFace(
                dataset=item.dataset,
                method=item.method,
                video=item.video,
                label=item.label,
                split=item.split,
                compression=item.compression,
                file=printable(item.files[face.frame] if len(item.files) > 1 else item.files[0]),
                frame=face.frame,
                face=face.face,
                overlap=face.overlap,
                scores=face.scores,
                localisation=face.localisation,
            )
            for face in self.found.faces
        ]


@dataclass
class _Draft:
    """An item whose views are on their way through the network."""

    source: Source
    found: Found
    waiting: int = 0
    whole: bool = False
    empty: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    passing: bool = False


@dataclass(frozen=True)
class _Job:
    """One view to score: of a face as it is, or degraded."""

    draft: _Draft
    face: FoundFace
    image: RGB
    mask: Mask | None
    step: str | None = None


class Scorer:
    """Scores sources; batches run across them, so that photographs cost no more than frames of a video."""

    def __init__(self, model: XrayModel, cache: Cache, clock: Clock, steps: Sequence[Degradation] = ()) -> None:
        """Use a model, and keep what it says in a cache.

        Args:
            model: To be evaluated.
            cache: Of this model.
            clock: Counts frames and time.
            steps: Degradations, under each of which every face is scored as well.
        """
        self._model, self._cache, self._clock, self.steps = model, cache, clock, steps

    def score(self, sources: Iterable[Source]) -> Iterator[Scored]:
        """Yield the sources as they are scored, those that are known at once: not in the order in which they came."""
        drafts: deque[_Draft] = deque()
        batch: list[_Job] = []
        for source in sources:
            if source.known is not None:
                yield Scored(source, source.known)
                continue
            draft = _Draft(source, Found(about=source.about))
            drafts.append(draft)
            for job in self._jobs(draft):
                batch.append(job)
                draft.waiting += 1
                if len(batch) == BATCH:
                    self._predict(batch)
                    batch = []
            draft.whole = True
            yield from self._finished(drafts)
        self._predict(batch)
        yield from self._finished(drafts)

    def _jobs(self, draft: _Draft) -> Iterator[_Job]:
        """Read a source and cut its views; nothing that a file can hold stops the run."""
        found = draft.found
        try:
            for look in draft.source.looks():
                found.frames += look.read
                self._clock.frames += look.read
                draft.empty |= {look.empty} if look.empty else set()
                draft.faults += [look.fault] if look.fault else []
                draft.passing |= look.passing
                for view in look.views:
                    yield from self._views(draft, look, view)
        except (FaceXrayError, *UNFORESEEN) as error:
            reason = without_path(error, *draft.source.item.files)
            draft.passing |= is_passing(error)
            if found.frames:
                reason = f"{STOPPED}: {reason}" if is_passing(error) else CUT_OFF
            found.reason = reason

    def _views(self, draft: _Draft, look: Look, view: View) -> Iterator[_Job]:
        face = FoundFace(look.index, view.face, view.overlap)
        draft.found.faces.append(face)
        yield _Job(draft, face, view.patch.view(), view.mask)
        seed = f"{json.dumps(draft.source.identity, sort_keys=True)} {look.index} {view.face}"
        for step in self.steps:
            with self._clock.measure("degrading"):
                degraded = view.patch.view(step, seed)
            yield _Job(draft, face, degraded, None, name_of(step))

    def _predict(self, batch: list[_Job]) -> None:
        if not batch:
            return
        with self._clock.measure("network"):
            prediction = self._model.predict(np.stack([job.image for job in batch]))
        for job, score, xray in zip(batch, prediction.scores.tolist(), prediction.xrays, strict=True):
            job.draft.waiting -= 1
            if job.step is not None:
                job.face.degraded[job.step] = score
                continue
            with self._clock.measure("pooling"):
                truth = (None, None) if job.mask is None else (face_xray(job.mask), as_float(job.mask))
                job.face.scores = {"class": score, **pool_xray(xray)}
                job.face.localisation = localise(xray, *truth)

    def _finished(self, drafts: deque[_Draft]) -> Iterator[Scored]:
        while drafts and drafts[0].whole and not drafts[0].waiting:
            draft = drafts.popleft()
            found = draft.found
            found.reason = found.reason or _reason(draft)
            if found.frames and not draft.passing:  # what cannot be read may be tomorrow
                self._cache.put(draft.source.identity, found)
            yield Scored(draft.source, found)


def _reason(draft: _Draft) -> str | None:
    """Why a source has no face that is judged, or what went wrong with some of its frames."""
    faults = draft.faults[:1]
    if draft.found.faces:
        return next(iter(faults), None)
    # A video with small faces in some frames and none in the others fails for the small ones.
    return next(iter(sorted(draft.empty) or faults), "no face found")
