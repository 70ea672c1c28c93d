"""From scored items to the numbers: which faces count, what was skipped, metrics of frames and videos."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from facexray.blending.degrade import DEGRADATIONS
from facexray.errors import SettingsError
from facexray.evaluation.config import EvaluateConfig, Faces
from facexray.evaluation.manifest import Item
from facexray.evaluation.robustness import SWEEP, name_of
from facexray.evaluation.scored import SCORES, ScoredFace
from facexray.evaluation.scoring import Scored
from facexray.faces.masks import MIN_COVER
from facexray.metrics.pooling import pool_by_frame, pool_by_video
from facexray.metrics.summary import average, summaries, summary

UNMASKED = "no mask to choose its face by"
LEFT_OUT = "every face is one that the mask leaves out"
LOCALISATION = ("xray_AP", "xray_IoU", "region_IoU")
"""Numbers of a fake whose true mask is known."""


@dataclass
class Tally:
    """All that was scored, and the faces of it that count."""

    choice: Faces
    items: list[Item] = field(default_factory=list)
    """With a face or without."""
    rows: list[ScoredFace] = field(default_factory=list)
    degraded: list[dict[str, float]] = field(default_factory=list)
    """Of each row, the class head's score under each degradation."""
    frames: Counter[str] = field(default_factory=Counter)
    """That were looked at, by method."""
    without_face: list[Item] = field(default_factory=list)
    """That were looked at; not those whose faces the choice leaves out."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """(file, reason): missing, unreadable, cut off, without a face."""

    def add(self, scored: Scored) -> None:
        """Add an item, with those of its faces that count."""
        item, rows, reason = scored.item, scored.rows(), scored.found.reason
        kept, why = list(range(len(rows))), None
        if self.choice == "largest":
            kept = [index for index, row in enumerate(rows) if row.face == 0]
        elif self.choice == "mask" and item.label:
            kept, why = _by_mask(rows)
        self.items.append(item)
        self.frames[item.method] += scored.found.frames
        self.rows += [rows[index] for index in kept]
        self.degraded += [scored.found.faces[index].degraded for index in kept]
        if reason := (why if rows and not kept else reason):
            self.skipped.append((name_of_item(item), reason))
        if not rows and scored.found.frames:
            self.without_face.append(item)

    def skip(self, item: Item, reason: str) -> None:
        """Add an item that could not be scored."""
        self.items.append(item)
        self.skipped.append((name_of_item(item), reason))


def name_of_item(item: Item) -> str:
    """What an item is called where it is reported: its file, or the folder of its pictures."""
    return str(item.files[0] if len(item.files) == 1 else item.files[0].parent)


def _by_mask(rows: Sequence[ScoredFace]) -> tuple[list[int], str | None]:
    """Of each frame of a fake the face that the mask covers most; none where it leaves all out."""
    frames: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        frames[row.frame].append(index)
    covers = {index: row.overlap for index, row in enumerate(rows) if row.overlap is not None}
    known = [[index for index in indices if index in covers] for indices in frames.values()]
    best = [max(indices, key=lambda index: covers[index]) for indices in known if indices]
    return [index for index in best if covers[index] > MIN_COVER], LEFT_OUT if covers else UNMASKED


def measure(tally: Tally, config: EvaluateConfig, robustness: bool) -> dict[str, Any]:
    """The numbers of results.json that follow from what was scored.

    Args:
        tally: What was scored.
        config: Its threshold, 0.5 where it names none, is that of the accuracy; its `no_face` says what becomes of
            videos without a face.
        robustness: Whether everything was scored under the sweep, too.

    Raises:
        SettingsError: Only one class has faces.
    """
    rows = tally.rows
    labels = [row.label for row in rows]
    if set(labels) != {0, 1}:
        raise SettingsError(
            f"needs real and fake images with faces; got {labels.count(0)} real and {labels.count(1)} fake faces "
            f"({len(tally.skipped)} skipped: {_reasons(tally.skipped)})"
        )
    absent = tally.without_face if config.no_face == "half" else []
    threshold = 0.5 if config.threshold is None else config.threshold
    return {
        "methods": _methods(tally),
        "skipped": _skipped(tally.skipped),
        "metrics": {
            score: _levels(rows, [row.scores[score] for row in rows], threshold, score, absent) for score in SCORES
        },
        "localisation": _localisation(rows),
        "robustness": _robustness(tally) if robustness else None,
    }


def _methods(tally: Tally) -> dict[str, Any]:
    faces = Counter(row.method for row in tally.rows)
    with_faces = Counter(method for _, method, _ in {row.key for row in tally.rows})
    videos = Counter(method for _, method, _ in {item.key for item in tally.items})
    labels = {item.method: item.label for item in sorted(tally.items, key=lambda item: item.label)}
    return {
        method: {
            "label": label,
            "videos": videos[method],
            "videos_with_faces": with_faces[method],
            "frames": tally.frames[method],
            "faces": faces[method],
        }
        for method, label in labels.items()
    }


def _reasons(skipped: Iterable[tuple[str, str]]) -> dict[str, int]:
    return dict(Counter(reason.split(" (")[0].split(": ")[0].split("; ")[0] for _, reason in skipped).most_common())


def _skipped(skipped: list[tuple[str, str]]) -> dict[str, Any]:
    files = [{"file": file, "reason": reason} for file, reason in skipped]
    return {"count": len(files), "reasons": _reasons(skipped), "files": files}


def _by_frame(
    rows: Sequence[ScoredFace], scores: Sequence[float]
) -> tuple[list[tuple[str, str, str]], list[int], list[float]]:
    """The video, label and score of every frame: the highest of its faces'."""
    places = [(row.key, row.frame) for row in rows]
    _, labels, pooled = pool_by_frame(places, [row.label for row in rows], scores)
    return [key for key, _ in dict.fromkeys(places)], labels, pooled


def _levels(
    rows: Sequence[ScoredFace], scores: Sequence[float], threshold: float, score: str, absent: Sequence[Item]
) -> dict[str, Any]:
    """A score's entries of frames and of videos: faces pool to frames by their highest, frames to videos by the mean.

    The intervals of both resample videos, since the frames of one are no independent witnesses.
    """
    videos, labels, of_frames = _by_frame(rows, scores)
    _, video_labels, of_videos = pool_by_video(videos, labels, of_frames)
    keys = list(dict.fromkeys(videos))
    probabilities = score == "class"
    if probabilities:
        keys, video_labels = [*keys, *(item.key for item in absent)], [*video_labels, *(item.label for item in absent)]
        of_videos = [*of_videos, *[0.5] * len(absent)]
    return {
        level: summaries(truth, given, [key[1] for key in names], names, threshold, probabilities)
        for level, truth, given, names in (
            ("frame_level", labels, of_frames, videos),
            ("video_level", video_labels, of_videos, keys),
        )
    }


def _localisation(rows: Sequence[ScoredFace]) -> dict[str, Any] | None:
    """Means over faces, with intervals over videos; None where no true mask is known."""
    known = [row for row in rows if all(name in row.localisation for name in LOCALISATION)]
    if not known:
        return None
    numbers: dict[str, Any] = {name: _mean(known, name) for name in LOCALISATION}
    for label, name in enumerate(("xray_energy_real", "xray_energy_fake")):
        numbers[name] = _mean([row for row in rows if row.label == label], "xray_energy")
    return {**numbers, "faces": len(known)}


def _mean(rows: Sequence[ScoredFace], name: str) -> dict[str, float]:
    return average([row.localisation[name] for row in rows], [row.key for row in rows])


def _robustness(tally: Tally) -> dict[str, Any]:
    """Frame-level AUC of the class head at each strength of each kind."""
    numbers = {}
    for kind, steps in SWEEP.items():
        estimates = []
        for step in steps:
            videos, labels, scores = _by_frame(tally.rows, [face[name_of(step)] for face in tally.degraded])
            estimates.append(summary(labels, scores, videos)["AUC"])
        amounts = [round(step.amount, 4) for step in steps]
        numbers[kind] = {"meaning": DEGRADATIONS[kind].meaning, "amounts": amounts, "AUC": estimates}
    return numbers
