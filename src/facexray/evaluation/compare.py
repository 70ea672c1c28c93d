"""The command `compare`: whether one evaluation's AUC is better than another's, beyond chance."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from json import JSONDecodeError, dumps, loads
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from facexray.errors import SettingsError, StoreError
from facexray.evaluation.scored import SCORES
from facexray.metrics.paired import FEWEST, Difference, auc_differences
from facexray.metrics.pooling import pool_by_frame, pool_by_video
from facexray.provenance import provenance

Video = tuple[str, str, str]
"""(dataset, method, video)."""
LEVELS = {"frame_level": "frames", "video_level": "videos"}
SAME = ("protocol", "split", "compression", "set_sha256")
"""What results.json says of the data, and two evaluations must share; the last is known of blended sets alone."""
COUNTING = ("faces", "min_face")
"""The settings that decide which faces stand in scores.csv."""
BLENDED = "blended set"
"""The data set's name in place of a blended set's folder: the same set may lie in another one."""
NAMED = 5
"""How many of the videos that only one scored, or that differ, are named."""


@dataclass(frozen=True)
class _Run:
    """What an evaluation left in its folder."""

    path: Path
    results: dict[str, Any]
    labels: dict[Video, int]
    scores: dict[Video, dict[int, float]]
    """Of each video, by frame: the highest score of its faces."""


def compare(a: Path, b: Path, score: str = "class", json: bool = False) -> dict[str, Any]:
    """Say whether one evaluation's AUC is better than another's, beyond chance: the paired bootstrap over videos.

    Both are of the same data; compared are the videos that both scored. Each of 1,000 resamples draws videos, of reals
    and of each method's fakes, once for both, so that what makes a video hard for both is no difference between them.

    Args:
        a: results.json of the first evaluation, with its scores.csv beside it; or the folder of both.
        b: That of the second.
        score: Which score is compared: class, xray_mean, xray_max, xray_top_k or xray_boundary.
        json: Print one line of JSON instead of a table.

    Returns:
        What --json prints: per level and method both AUCs, the difference a − b with its 95 % interval, the shares of
        resamples in which either is better, and which is better beyond chance, if any.

    Raises:
        SettingsError: No evaluation there, other data or labels, or no real and fake videos that both scored.
        StoreError: A file of an evaluation that is damaged.
    """
    if score not in SCORES:
        raise SettingsError(f"--score {score!r} is no score; there are: {', '.join(SCORES)}")
    runs = _read(Path(a), score), _read(Path(b), score)
    both, only = _check(*runs)
    levels = _compare(*runs, both)
    found = {
        **provenance("compare", {"a": a, "b": b, "score": score}),
        **{side: run.results["model"] for side, run in zip("ab", runs, strict=True)},
        "videos": {"both": len(both), **{f"only_{side}": len(videos) for side, videos in only.items()}},
        **{
            level: {name: {**asdict(entry), "better": entry.better} for name, entry in entries.items()}
            for level, entries in levels.items()
        },
    }
    if json:
        print(dumps(found, ensure_ascii=False))
    else:
        _print(runs, score, found["videos"], only, levels)
    return found


def _read(path: Path, score: str) -> _Run:
    path = path / "results.json" if path.is_dir() else path
    try:
        results = loads(path.read_text(encoding="utf-8"))
        if not {"model", "data", "metrics"} <= results.keys():
            raise SettingsError(f"{path}: is no results.json of facexray evaluate, or of an older version's")
        dataset = BLENDED if results["data"].get("set_sha256") else None
        labels, scores = _read_scores(path.with_name("scores.csv"), score, dataset)
    except OSError as error:
        raise SettingsError(
            f"{error.filename}: cannot be read ({error.strerror}); name the results.json that facexray evaluate wrote, "
            "and leave scores.csv beside it"
        ) from error
    except (UnicodeDecodeError, JSONDecodeError, AttributeError) as error:
        raise StoreError(f"{path}: is damaged ({error}); evaluate again") from error
    return _Run(path, results, labels, scores)


def _read_scores(path: Path, score: str, dataset: str | None) -> tuple[dict[Video, int], dict[Video, dict[int, float]]]:
    """The labels of the videos, and the scores of their frames; all are of `dataset`, where it is said."""
    places: list[tuple[Video, int]] = []
    labels: list[int] = []
    scores: list[float] = []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        try:
            for row in rows:
                places.append(((dataset or row["dataset"], row["method"], row["video"]), int(row["frame"])))
                labels.append(int(row["label"]))
                scores.append(float(row[score]))
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise StoreError(f"{path}: line {rows.line_num} is damaged ({error!r}); evaluate again") from error
    _, of_frames, highest = pool_by_frame(places, labels, scores)
    found: dict[Video, dict[int, float]] = {}
    of_videos: dict[Video, int] = {}
    for (video, frame), label, value in zip(dict.fromkeys(places), of_frames, highest, strict=True):
        found.setdefault(video, {})[frame] = value
        if of_videos.setdefault(video, label) != label:
            raise StoreError(f"{path}: {_name(video)} is both real and fake; evaluate again")
    return of_videos, found


def _check(a: _Run, b: _Run) -> tuple[list[Video], dict[str, list[Video]]]:
    """The videos that both scored, and those that one did.

    Raises:
        SettingsError: They are not of the same data, or did not let the same faces count.
    """
    sides = f"{a.path} and {b.path}"
    for option in COUNTING:
        one, other = (run.results.get("settings", {}).get(option) for run in (a, b))
        if one != other:
            raise SettingsError(f"{sides} count other faces: --{option} is {one!r} and {other!r}; evaluate both alike")
    for name in SAME:
        if a.results["data"].get(name) != b.results["data"].get(name):
            values = " and ".join(repr(run.results["data"].get(name)) for run in (a, b))
            raise SettingsError(f"{sides} are of other data: {name} is {values}; evaluate both on the same")
    both = [video for video in a.scores if video in b.scores]
    if not both:
        datasets = (", ".join(sorted({video[0] for video in run.scores})) for run in (a, b))
        raise SettingsError(f"{sides} have no video in common: they are of {' and '.join(datasets)}")
    others = [video for video in both if a.labels[video] != b.labels[video]]
    if others:
        raise SettingsError(f"{sides} call other videos fake: {_some(others)}; put the labels right")
    others = [video for video in both if a.scores[video].keys() != b.scores[video].keys()]
    if others:
        raise SettingsError(
            f"{sides} looked at other frames of {_some(others)}; evaluate both with the same --frames or --stride, "
            "from the same files or store"
        )
    kinds = {a.labels[video] for video in both}
    if kinds != {0, 1}:
        raise SettingsError(
            f"{sides}: of the {len(both)} videos that both scored all are {'fake' * kinds.pop() or 'real'}"
        )
    only = {"a": [v for v in a.scores if v not in b.scores], "b": [v for v in b.scores if v not in a.scores]}
    return both, only


def _some(videos: list[Video]) -> str:
    return ", ".join(map(_name, videos[:NAMED])) + f" and {len(videos) - NAMED} more" * (len(videos) > NAMED)


def _name(video: Video) -> str:
    return "/".join(video)


def _compare(a: _Run, b: _Run, both: list[Video]) -> dict[str, dict[str, Difference]]:
    """By level and entry. The videos stand in one order at both levels: the same ones are drawn."""
    videos = [video for video in both for _ in a.scores[video]]
    labels = [a.labels[video] for video in videos]
    of_frames = [[run.scores[video][frame] for video in both for frame in a.scores[video]] for run in (a, b)]
    _, of_videos, first = pool_by_video(videos, labels, of_frames[0])
    second = pool_by_video(videos, labels, of_frames[1])[2]
    return {
        "frame_level": auc_differences(labels, [video[1] for video in videos], videos, *of_frames),
        "video_level": auc_differences(of_videos, [video[1] for video in both], both, first, second),
    }


def _print(
    runs: Iterable[_Run],
    score: str,
    videos: Mapping[str, int],
    only: Mapping[str, list[Video]],
    levels: Mapping[str, Mapping[str, Difference]],
) -> None:
    console = Console(markup=False, emoji=False, highlight=False)  # names of the user's methods are no markup
    for side, run in zip("AB", runs, strict=True):
        console.print(f"{side}: {run.results['model']['name']}, {run.path}")
    title = f"AUC of the score {score} on the {videos['both']} videos that both scored"
    table = Table("method", "level", "A", "B", "A − B [95 %]", "A better", "B better", "beyond chance", title=title)
    methods = list(levels["frame_level"])
    for method in methods[1:] * (len(methods) > 2) + methods[:1]:
        for level, noun in LEVELS.items():
            table.add_row(method, noun, *_cells(levels[level][method]))
    console.print(table)
    for side, names in only.items():
        if names:
            console.print(f"left out: {len(names)} that only {side.upper()} scored: {_some(names)}")
    console.print(_in_words(levels["video_level"]["overall"]))


def _cells(entry: Difference) -> list[str]:
    interval = f"{entry.difference:+.3f} [{entry.low_95:+.3f}, {entry.high_95:+.3f}]"
    shares = f"{100 * entry.above_0:.1f} %", f"{100 * entry.below_0:.1f} %"
    return [f"{entry.a:.3f}", f"{entry.b:.3f}", interval, *shares, entry.better.upper() if entry.better else "no"]


def _in_words(entry: Difference) -> str:
    """What the difference of videos, overall, is worth."""
    if min(entry.real, entry.fake) < FEWEST:
        return f"{entry.real} real and {entry.fake} fake videos are too few to say: {FEWEST} of each are the least"
    if entry.better is None:
        return "Of videos, overall, the difference is within chance: as many other videos might turn it round."
    other = "B" if entry.better == "a" else "A"
    return f"Of videos, overall, {entry.better.upper()} is better than {other} beyond chance."
