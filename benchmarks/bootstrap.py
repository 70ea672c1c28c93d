"""How fast are the intervals of an evaluation? Times the bootstrap over videos, beside the naive one.

    python benchmarks/bootstrap.py [--videos 5000] [--frames 32] [--methods 4] [--naive 5] [--json]

Scores are drawn from a fixed seed: half of the videos real, the other half fakes of several methods; frames of a video
are alike. Compared are, in one thread, for all numbers of a table's entries (overall, and each method's),

    facexray    1,000 resamples of videos: sorted once, each resample a matter of weights
    naive       --naive of the same resamples: the drawn frames are copied, and scikit-learn measures the copies;
                the time of 1,000 is extrapolated. What it finds must be what facexray finds, or this stops.

`taskset -c 1 python …` keeps it on one core. Run it when the machine does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from facexray.metrics.bootstrap import RESAMPLES, Resampling
from facexray.metrics.classification import CALIBRATION_BINS, gaps, right, squares
from facexray.metrics.summary import OVERALL, REALS, _Table, summaries
from facexray.provenance import provenance

THRESHOLD = 0.5


def draw(videos, frames, methods):
    """Labels, probabilities, methods and videos of all frames."""
    rng = np.random.default_rng(0)
    video = np.repeat(np.arange(videos), frames)
    label = video % 2
    logits = 1.5 * label - 0.7 + np.repeat(rng.normal(size=videos), frames) + rng.normal(size=len(video))
    method = np.char.add("method ", (video // 2 % methods).astype(str))
    return label, 1 / (1 + np.exp(-logits)), method.tolist(), video.tolist()


def by_scikit_learn(labels, scores):
    """All numbers of one entry; the EER as the curve's corner, interpolated."""
    x, y, _ = roc_curve(labels, scores, drop_intermediate=False)
    bins = np.minimum((scores * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return {
        "AUC": roc_auc_score(labels, scores),
        "AP": average_precision_score(labels, scores),
        "EER": np.interp(0, x + y - 1, x),
        "TPR@FPR=1%": y[x <= 0.01].max(),
        "TPR@FPR=0.1%": y[x <= 0.001].max(),
        "pAUC@10%": roc_auc_score(labels, scores, max_fpr=0.1),
        "accuracy": ((scores > THRESHOLD) == labels).mean(),
        "ECE": np.abs(np.bincount(bins, scores - labels)).sum() / len(labels),
        "Brier": brier_score_loss(labels, scores),
    }


def resamples_of(labels, scores, methods, videos, count):
    """Times each frame was drawn, (count, N), and what facexray finds of these resamples, by entry and number."""
    resampling = Resampling(
        [method if label else REALS for label, method in zip(labels, methods, strict=True)], videos, count
    )
    terms = {"accuracy": partial(right, threshold=THRESHOLD), "ECE": gaps, "Brier": squares}
    weights = np.concatenate(list(resampling.blocks()))
    return weights[:, resampling.units], _Table(resampling, labels, scores, terms).numbers(weights)


def naive(labels, scores, methods, times):
    """The numbers of one resample, by entry."""
    kinds = np.array(methods)
    sets = {OVERALL: labels >= 0} | {kind: (kinds == kind) | (labels == 0) for kind in dict.fromkeys(methods)}
    copies = {name: np.repeat(np.flatnonzero(part), times[part]) for name, part in sets.items()}
    return {name: by_scikit_learn(labels[rows], scores[rows]) for name, rows in copies.items()}


def clock(work):
    """What work returns, and the seconds of processor time it took."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def measure(videos, frames, methods, count):
    data = draw(videos, frames, methods)
    entries, seconds = clock(lambda: summaries(*data, threshold=THRESHOLD, probabilities=True))
    times, ours = resamples_of(*data, count)
    theirs, naive_seconds = clock(lambda: [naive(*data[:3], row) for row in times])
    differences = [
        abs(ours[name][metric][row] - value)
        for row, numbers in enumerate(theirs)
        for name, entry in numbers.items()
        for metric, value in entry.items()
    ]
    if not max(differences) < 1e-9:
        raise SystemExit(f"facexray and scikit-learn differ by {max(differences):.2g} on one resample")
    return {
        "frames": len(data[0]),
        "entries": len(entries),
        "facexray, s": seconds,
        "naive, s": naive_seconds / count * RESAMPLES,
        "ratio": naive_seconds / count * RESAMPLES / seconds,
        "largest difference": max(differences),
        "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=5000)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--methods", type=int, default=4)
    parser.add_argument("--naive", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print all as JSON")
    args = parser.parse_args()
    figures = measure(args.videos, args.frames, args.methods, args.naive)
    about = provenance("benchmark bootstrap", vars(args))
    if args.json:
        print(json.dumps(about | {"figures": figures}, indent=2))
        return
    table = Table("", "value", title=f"{RESAMPLES} resamples of {args.videos} videos of {args.frames} frames")
    for name, value in figures.items():
        table.add_row(name, f"{value:.3g}" if isinstance(value, float) else f"{value:,}")
    console = Console()
    console.print(table)
    console.print(f"{about['machine']}, commit {about['commit']}", markup=False)


if __name__ == "__main__":
    main()
