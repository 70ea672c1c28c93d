"""How fast is the neighbour table, and what do its bounds leave? Times the exact search, and others beside it.

    python benchmarks/neighbours.py [--faces 10000 100000 1000000] [--store STORE] [--videos] [--queries N] [--json]

The faces are synthetic, 1 to 4 of a person, from a fixed seed: with --store, drawn from the covariance of the store's
landmarks, all 136 components, and so with the noise of single points; without, a portrait's landmarks are moved,
scaled, turned and bent by as much as those of 633 photographs were. With --videos they come in videos of 30 frames that
hardly differ. Of more than --queries faces, so many are searched for, in groups of the search's own.

Everything runs in one thread; `taskset -c 1 python …` keeps it on one core. Run it when the machine does nothing else.
Each number of faces has a process of its own, for the sake of its peak memory. Compared are

    search    facexray's: exact
    L2        all pairs by matrix products, and the 100 nearest by them: not exact
    SAD       all pairs' sums of absolute differences of uint8 landmarks, by OpenCV: a bound only
    FAISS     if installed (pip install faiss-cpu): inverted lists by L2, its 400 nearest ranked by S: not exact

and how many faces each bound on S leaves to a query, given its 100th neighbour's distance.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from facexray import FaceStore
from facexray.demonstration import portraits
from facexray.faces.crop import Square
from facexray.faces.detector import FaceDetector
from facexray.faces.landmarks import predict_landmarks
from facexray.faces.neighbour_search import Crowd, NeighbourSearch, _left
from facexray.faces.neighbour_table import NEIGHBOURS
from facexray.faces.ranking import pair_distances, unpack
from facexray.images import read_image
from facexray.provenance import provenance

try:
    import faiss
except ModuleNotFoundError:
    faiss = None

SPREAD = (67.5, 34.7, 26.1, 20.3, 18.1, 16.2, 13.4, 11.7, 9.6, 7.4, 6.8, 5.4, 4.8, 4.7, 4.6, 4.3)
"""Standard deviations in pixels of the first components of the landmarks of 633 photographs' faces."""
NOISE = 0.7
"""Of each coordinate beyond them, in pixels."""
FRAMES = 30
PROBES = (16, 64)
"""Inverted lists that FAISS looks into."""
CANDIDATES = 400


def shape_of(store):
    """Mean (136,), and rows (R, 136) whose combinations by normal numbers are the differences from it."""
    if store:
        flat = FaceStore(store).landmarks.reshape(-1, 136).astype(float)
        mean = flat.mean(axis=0)
        _, sizes, rows = np.linalg.svd(flat - mean, full_matrices=False)
        return mean, rows * (sizes / len(flat) ** 0.5)[:, None]
    image = read_image(portraits()[0])
    face = FaceDetector().detect(image)[0]
    mean = Square.around(face.box).to_crop(predict_landmarks(image, face)).astype(float)
    x, y = (mean - mean.mean(axis=0)).T
    one, rng = np.ones(68), np.random.default_rng(0)
    alike = [np.stack(mode, -1) for mode in ((x, y), (0 * one, one), (one, 0 * one), (-y, x))]
    # Smooth in the place on the face: points that are near move alike.
    waves = [np.cos(rng.normal(0, 1 / 40, (2, 2)) @ [x, y] + rng.uniform(0, 6.3, (2, 1))).T for _ in SPREAD[4:]]
    modes = np.linalg.qr(np.reshape([*alike, *waves], (-1, 136)).T)[0].T * np.array(SPREAD)[:, None]
    return mean.ravel(), np.concatenate([modes, NOISE * np.eye(136)])


def make_crowd(count, store, videos):
    mean, rows = shape_of(store)
    rng = np.random.default_rng(0)
    landmarks = np.empty((count, 136), np.float32)
    for start in range(0, count, 10_000):
        part = landmarks[start : start + 10_000]
        stills = -(-len(part) // FRAMES) if videos else len(part)
        faces = mean + rng.normal(size=(stills, len(rows))) @ rows
        part[:] = np.repeat(faces, FRAMES if videos else 1, axis=0)[: len(part)]
        part += rng.normal(0, 0.5, part.shape) if videos else 0
    of_video = np.arange(count) // (FRAMES if videos else 1)
    people = np.repeat(np.arange(count), rng.integers(1, 5, count))[of_video]
    return Crowd(landmarks.reshape(-1, 68, 2), of_video, people)


class CountedSearch(NeighbourSearch):
    """Searches for some of its groups alone, and counts what the bounds leave."""

    def __init__(self, crowd, queries):
        self.pairs = self.computed = 0
        self._chosen = None
        super().__init__(crowd)
        step = max(1, len(crowd.people) // queries)
        self._chosen = self._groups[step // 2 :: step]

    def _split(self, crowd):
        return super()._split(crowd) if self._chosen is None else iter(self._chosen)

    def _bounds(self, left, sums):
        self.pairs += left.shape[1] * sums.shape[1]
        return super()._bounds(left, sums)

    def _distances(self, points, rows, others, faces):
        self.computed += len(rows)
        return super()._distances(points, rows, others, faces)


def clock(work):
    start = time.process_time()
    result = work()
    return result, (time.process_time() - start) * 1000


def measure(count, store, videos, queries):
    """Every figure of one number of faces, times in ms a face."""
    crowd = make_crowd(count, store, videos)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    search, arranging = clock(lambda: CountedSearch(crowd, queries))
    found, searching = clock(lambda: list(search.nearest(crowd, NEIGHBOURS)))
    searched = sum(len(group.queries) for group in found)
    figures = {
        "faces": count,
        "searched for": searched,
        "search, ms": arranging / count + searching / searched,
        "bounds computed": search.pairs / searched,
        "distances computed": search.computed / searched,
        "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "of it the faces, MB": before / 1024,
    }
    some = np.linspace(0, len(found) - 1, 4).astype(int)
    queries = np.concatenate([found[place].queries[:64] for place in some])
    distances, faces = unpack(np.concatenate([found[place].keys[:64] for place in some]))
    figures |= leftovers(search, crowd, queries[::8], distances[::8, -1])
    figures |= by_l2(crowd, queries, faces) | by_sad(crowd, queries)
    return figures | (by_faiss(crowd, queries, faces) if faiss else {})


def leftovers(search, crowd, queries, radii):
    """How many faces each bound leaves, of all."""
    levels, unit, errors = quantised(crowd)
    left = dict.fromkeys(("L2", "SAD", "k-d tree", "parts", "k-d tree and parts"), 0)
    for query, radius in zip(queries, radii, strict=True):
        one = search._group(crowd, np.array([query]))
        parts = np.concatenate([search._bounds(_left(one), group.sums)[0] <= radius for group in search._groups])
        near = np.repeat(search._gaps(one.places)[0] <= radius, [len(group.indices) for group in search._groups])
        offsets = (crowd.landmarks - crowd.landmarks[query]).reshape(-1, 136)
        differences = np.abs(levels.astype(np.int16) - levels[query]).sum(axis=1, dtype=np.int64) * unit
        left["L2"] += (np.einsum("ij,ij->i", offsets, offsets) <= radius**2).sum()
        left["SAD"] += (differences - errors - errors[query] <= 2**0.5 * radius).sum()
        left["k-d tree"] += near.sum()
        left["parts"] += parts.sum()
        left["k-d tree and parts"] += (near & parts).sum()
    return {f"left by {name}": float(number / len(queries)) for name, number in left.items()}


def quantised(crowd):
    """Landmarks as (N, 136) uint8, their unit in pixels, and (N,) how far rounding moved a face, city block."""
    flat = crowd.landmarks.reshape(-1, 136)
    low, high = flat.min(axis=0), flat.max(axis=0)
    unit = float((high - low).max() / 255)
    levels, errors = np.empty(flat.shape, np.uint8), np.empty(len(flat), np.float32)
    for start in range(0, len(flat), 10_000):
        part = slice(start, start + 10_000)
        levels[part] = np.rint((flat[part] - low) / unit)
        errors[part] = np.abs(levels[part] * unit + low - flat[part]).sum(axis=1)
    return levels, unit, errors


def recall(candidates, faces):
    """The share of the true neighbours that are among the candidates."""
    return float(np.mean([np.isin(true[true >= 0], row).mean() for row, true in zip(candidates, faces, strict=True)]))


def by_l2(crowd, queries, faces):
    flat = crowd.landmarks.reshape(-1, 136) - crowd.landmarks.reshape(-1, 136).mean(axis=0)
    squares = np.einsum("ij,ij->i", flat, flat)
    asked = flat[queries]
    chunks = [slice(start, start + 8192) for start in range(0, len(flat), 8192)]
    product = np.empty((len(queries), 8192), np.float32)

    def multiply():
        for chunk in chunks:
            yield chunk, np.matmul(asked, flat[chunk].T, out=product[:, : len(flat[chunk])])

    def nearest():
        best = np.empty((len(queries), 0)), np.empty((len(queries), 0), int)
        for chunk, products in multiply():
            closeness = squares[chunk] - 2 * products
            closeness[crowd.people[queries][:, None] == crowd.people[chunk]] = np.inf
            places = np.argpartition(closeness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
            both = [np.take_along_axis(closeness, places, 1), places + chunk.start]
            best = [np.concatenate(pair, axis=1) for pair in zip(best, both, strict=True)]
            kept = np.argsort(best[0], axis=1)[:, :NEIGHBOURS]
            best = [np.take_along_axis(values, kept, 1) for values in best]
        return best[1]

    product_ms = clock(lambda: sum(1 for _ in multiply()))[1] / len(queries)
    candidates, nearest_ms = clock(nearest)
    return {
        "L2 products alone, ms": product_ms,
        "L2, ms": nearest_ms / len(queries),
        "L2 recall@100": recall(candidates, faces),
    }


def by_sad(crowd, queries):
    levels = quantised(crowd)[0]
    asked = levels[queries[:16]]
    milliseconds = clock(lambda: cv2.batchDistance(asked, levels, cv2.CV_32S, normType=cv2.NORM_L1, K=1))[1]
    return {"SAD, ms": milliseconds / len(asked)}


def by_faiss(crowd, queries, faces):
    faiss.omp_set_num_threads(1)
    flat = np.ascontiguousarray(crowd.landmarks.reshape(-1, 136))
    lists = int(2 * len(flat) ** 0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(136), 136, lists)
    _, training = clock(lambda: (index.train(flat[:: max(1, len(flat) // (40 * lists))]), index.add(flat)))
    figures = {"FAISS arranging, ms": training / len(flat)}

    def search():
        close = index.search(flat[queries], CANDIDATES)[1]
        rows = np.repeat(queries, CANDIDATES)
        distances = pair_distances(crowd.landmarks, rows, close.ravel()).reshape(close.shape)
        distances[(close < 0) | (crowd.people[queries][:, None] == crowd.people[close])] = np.inf
        return np.take_along_axis(close, np.argsort(distances, axis=1)[:, :NEIGHBOURS], 1)

    for index.nprobe in PROBES:
        candidates, milliseconds = clock(search)
        figures[f"FAISS, {index.nprobe} of {lists} lists, ms"] = milliseconds / len(queries)
        figures[f"FAISS, {index.nprobe} of {lists} lists, recall@100"] = recall(candidates, faces)
    return figures


def show(figures, about):
    title = f"Neighbours, {about['machine']}, {about['processor']}"
    table = Table("a face", *[f"{one['faces']:,} faces" for one in figures], title=title)
    for name in dict.fromkeys(name for one in figures for name in one if name != "faces"):
        table.add_row(name, *[f"{one[name]:,.3f}".rstrip("0").rstrip(".") if name in one else "" for one in figures])
    Console().print(table)


def processor():
    """The processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--store", type=Path)
    parser.add_argument("--videos", action="store_true")
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print all as JSON")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        cv2.setNumThreads(1)
        print(json.dumps(measure(args.faces[0], args.store, args.videos, args.queries)))
        return
    figures = []
    for count in args.faces:
        command = [sys.executable, __file__, "--alone", "--faces", str(count), "--queries", str(args.queries)]
        command += ["--store", str(args.store)] if args.store else []
        command += ["--videos"] if args.videos else []
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        figures.append(json.loads(run.stdout.splitlines()[-1]))
    about = provenance("benchmark neighbours", vars(args)) | {"processor": processor()}
    if args.json:
        print(json.dumps(about | {"figures": figures}, indent=2))
    else:
        show(figures, about)


if __name__ == "__main__":
    main()
