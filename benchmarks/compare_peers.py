r"""Is facexray's generator faster than others? Times it against a peer's checkout of yours: same faces, in turns.

    python benchmarks/compare_peers.py algohunt CHECKOUT --python PEERS/bin/python [--store STORE] [--json]

    algohunt        CHECKOUT is a clone of AlgoHunt/Face-Xray (GPL-3.0)
    sbi             of mapooon/SelfBlendedImages (non-commercial research only)
    deepfakebench   of SCLBD/DeepfakeBench (CC BY-NC 4.0)

Nothing of theirs is in here, and nothing of theirs is loaded into this process: a driver, peer_drivers/PEER.py, imports
their modules from your checkout, in an interpreter of its own, PEERS/bin/python. For algohunt (0.5 GB; the generator
fails with OpenCV 4.5.2 and later, imgaug with NumPy 1.24 and later):

    python3.9 -m venv PEERS && PEERS/bin/pip install numpy==1.23.5 scikit-image==0.20.0 imgaug==0.4.0 Pillow==9.5.0 \
        opencv-python==4.5.1.48 matplotlib==3.7.5 tqdm==4.67.1 dlib-bin==19.24.6

For sbi and deepfakebench (2.4 GB, for PyTorch):

    python3.10 -m venv PEERS && PEERS/bin/pip install numpy==1.26.4 scipy==1.11.4 pandas==2.2.3 Pillow==10.4.0 \
        scikit-image==0.22.0 albumentations==1.3.1 opencv-python-headless==4.10.0.84 tqdm==4.67.1 dlib-bin==19.24.6 \
        lmdb==1.4.1 torch==1.12.1 torchvision==0.13.1

Both sides have one thread, and on Linux the same one core; `taskset -c 1 python …` chooses it. Without --store, the
faces are the demo's two portraits.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

import facexray
from facexray import BlendConfig, FaceStore
from facexray.blending.generate import draw_sample, render
from facexray.demonstration import portraits
from facexray.faces.neighbours import FacePool
from facexray.provenance import provenance

DRIVERS = Path(__file__).parent / "peer_drivers"
PATIENCE_S = 300
"""How long a peer may be silent."""
ENTRIES = 20_000
"""Length of the list that AlgoHunt's generator draws from."""
FILES = (
    "It reads PNG files; our crops lie uncompressed in the store. All are in the disk's cache after the first rounds."
)


@dataclass(frozen=True)
class Peer:
    """What is compared with, and how."""

    repository: str
    needs: tuple[str, ...]
    """Files of the checkout that the driver imports or reads."""
    pairs: bool
    """Whether an item is a fake with its real twin, on both sides, or a fake alone."""
    ours: dict[str, BlendConfig]
    """Our settings by what they are called."""
    unlike: tuple[str, ...]
    """Where the comparison is not like for like."""
    entries: int = 0
    """Least length of the list that both draw from; the faces stand in it several times where there are fewer."""


PEERS = {
    "algohunt": Peer(
        "AlgoHunt/Face-Xray",
        ("bi_online_generation.py", "DeepFakeMask.py"),
        pairs=False,
        ours={
            "preset generator, its resampling of fakes too": replace(
                BlendConfig.preset("generator"), reproduce_resampling_leak=True
            ),
            "default, mode bi": BlendConfig(mode="bi"),
        },
        unlike=(
            "Its calls make a real as often as a fake; the reals are not timed.",
            f"Both draw from a list of {ENTRIES:,} entries, the faces many times over. Its candidates are 5,000 less "
            "those of the background's video; those of preset generator, 5,000; those of the default, 1,000.",
            "Its image is 257 × 257 with the X-ray in float64; ours 256 × 256, in float32.",
            FILES,
        ),
        entries=ENTRIES,
    ),
    "sbi": Peer(
        "mapooon/SelfBlendedImages",
        ("src/utils/sbi.py", "src/utils/blend.py", "src/utils/funcs.py", "src/configs/sbi/base.json"),
        pairs=True,
        ours={"preset sbi": BlendConfig.preset("sbi"), "default, mode sbi": BlendConfig(mode="sbi")},
        unlike=(
            "It reads whole frames and cuts the face out of each; here its frames are our 317 × 317 crops, which is "
            "less work than video frames are.",
            "It wants 81 landmarks: 68 are ours, 13 stand on an arc over the brows. Its face box is our detector's.",
            "Its masks are convex hulls alone, unless AlgoHunt's generator lies in /app/src/utils/library.",
            "Its images are 380 × 380 float32 without an X-ray; ours 256 × 256 uint8 with one.",
            "Where it fails it prints so and takes another face; that time counts.",
            FILES,
        ),
    ),
    "deepfakebench": Peer(
        "SCLBD/DeepfakeBench",
        ("training/dataset/ff_blend.py", "training/dataset/utils/face_blend.py"),
        pairs=True,
        ours={"default, mode bi": BlendConfig(mode="bi")},
        unlike=(
            "Its nearest faces are found beforehand (here by the driver, untimed); ours while it is timed.",
            "It gets 256 × 256 images, resized beforehand; ours are resized from 317 × 317 crops while timed.",
            "It wants 81 landmarks: 68 are ours, 13 stand on an arc over the brows.",
            "Its items are normalised tensors, its X-ray float64; our images uint8, the X-ray float32.",
            FILES,
        ),
    ),
}


@dataclass
class Side:
    """One of those compared, and its rounds."""

    name: str
    rounds: list[list[float]] = field(default_factory=list)
    """Milliseconds of each item, round by round."""
    failures: dict[str, int] = field(default_factory=dict)
    """Exceptions after which the peer had to be asked again; their time is left out."""

    def median(self) -> float:
        return statistics.median(ms for items in self.rounds for ms in items)

    def spread(self) -> tuple[float, float]:
        """10th and 90th percentile."""
        low, high = np.percentile([ms for items in self.rounds for ms in items], [10, 90])
        return float(low), float(high)

    def speedups(self, slower: "Side") -> list[float]:
        """How many times faster this side was, round by round."""
        pairs = zip(slower.rounds, self.rounds, strict=True)
        return [statistics.median(theirs) / statistics.median(ours) for theirs, ours in pairs]


class Driver:
    """A peer at work in its own process."""

    def __init__(self, name: str, python: Path, checkout: Path, faces: Path) -> None:
        threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        self._log = faces / "driver.log"
        try:
            with self._log.open("w", encoding="utf-8") as log:
                self._process = subprocess.Popen(
                    [str(python), str(DRIVERS / f"{name}.py"), str(checkout.resolve()), str(faces)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={
                        **os.environ,
                        **threads,
                        "MPLBACKEND": "Agg",
                        "PYTHONPATH": "",
                        "PYTHONDONTWRITEBYTECODE": "1",
                    },
                    text=True,
                )
        except OSError as error:
            sys.exit(f"{python}: cannot be started ({error.strerror}); --python names the peer's interpreter")
        self.versions = self._answer()

    def make(self, count: int, seed: int) -> dict:
        """Make items of which `count` hold a fake: `seconds` of each, and `failures`."""
        self._process.stdin.write(json.dumps({"count": count, "seed": seed}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict:
        timer = threading.Timer(PATIENCE_S, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if line:
            return json.loads(line)
        self._process.wait()
        said = self._log.read_text(encoding="utf-8", errors="replace").strip()
        if "ModuleNotFoundError" in said or "ImportError" in said:
            sys.exit(f"{said}\n\nThe peer's Python lacks this. To make one that has all: {__file__} --help")
        sys.exit(f"{said}\n\nThe peer stopped, or was silent for {PATIENCE_S} s; above is what it said.")


def export(store: FaceStore, faces: Path) -> None:
    """Write the crops, landmarks.json, and boxes.json: the corners of each face's box in crop pixels."""
    facexray.landmarks(store.path, faces)
    names = json.loads((faces / "landmarks.json").read_text(encoding="utf-8"))
    corners = (face.square.to_crop(face.box.reshape(2, 2)).tolist() for face in store)
    (faces / "boxes.json").write_text(json.dumps(dict(zip(names, corners, strict=True))), encoding="utf-8")


def compare(peer: Peer, driver: Driver, store: FaceStore, rounds: int, count: int) -> list[Side]:
    """Let both sides work in turns; the peer comes first."""
    pool = FacePool.of(store, np.tile(np.arange(len(store)), max(1, -(-peer.entries // len(store)))))
    configs = {f"facexray, {name}": replace(config, real_prob=0.0) for name, config in peer.ours.items()}
    sides = [Side(peer.repository), *map(Side, configs)]
    driver.make(2, seed=0)
    for config in configs.values():
        make_ours(config, pool, store, peer.pairs, 2, seed=0)
    for number in range(1, rounds + 1):
        told = driver.make(count, number)
        seconds = [told["seconds"]]
        seconds += [make_ours(config, pool, store, peer.pairs, count, number) for config in configs.values()]
        for side, values in zip(sides, seconds, strict=True):
            side.rounds.append([1000 * value for value in values])
        for error, times in told["failures"].items():
            sides[0].failures[error] = sides[0].failures.get(error, 0) + times
    return sides


def make_ours(config, pool, store, pairs, count, seed) -> list[float]:
    """Seconds of each of our items."""
    seconds = []
    for index in range(count):
        began = time.perf_counter()
        fake = draw_sample(config, pool, store, seed, 0, index)
        samples = [fake, render(fake.recipe.as_real(), store)] if pairs else [fake]
        _ = [(sample.image, sample.xray) for sample in samples]  # an X-ray is made when it is asked for
        seconds.append(time.perf_counter() - began)
    return seconds


def commit_of(checkout: Path) -> str:
    """The checkout's commit, marked where files were changed since."""
    if not (checkout / ".git").exists():
        return "an unknown commit (no git checkout)"
    git = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()


def processor() -> str:
    """The processor's name and how many cores the machine has."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def page(report: dict) -> str:
    """The report as Markdown."""
    about = report["facexray"]
    lines = [
        f"{report['peer']} at {report['commit']} and facexray at {about['commit']}, {about['date']}; "
        f"{about['machine']}; {report['processor']}, one of them used.",
        f"{report['faces']} faces; {report['rounds']} rounds in turns, {report['count']} items a side each; "
        f"an item is {report['item']}.",
        "",
        "| | ms an item: median | 10th to 90th percentile | times faster: median of the rounds | least to most |",
        "|---|---|---|---|---|",
    ]
    for row in report["sides"]:
        faster = "| | |"
        if "times_faster" in row:
            least, most = row["times_faster_range"]
            faster = f"| {row['times_faster']:.1f} | {least:.1f} to {most:.1f} |"
        low, high = row["p10_p90_ms"]
        lines.append(f"| {row['name']} | {row['median_ms']:.2f} | {low:.2f} to {high:.2f} {faster}")
    lines += ["", "Not like for like:", *(f"- {text}" for text in report["not_like_for_like"])]
    lines += [f"- {times} of its calls failed, untimed: {error}" for error, times in report["failures"].items()]
    for side in ("its", "our"):
        named = ", ".join(f"{name} {number}" for name, number in report[f"{side}_versions"].items())
        lines += ["", f"{side.capitalize()} versions: {named}."]
    return "\n".join(lines)


def reported(args, peer: Peer, store: FaceStore, driver: Driver, sides: list[Side]) -> dict:
    """Everything that is told, as plain data."""
    rows = []
    for side in sides:
        row = {"name": side.name, "median_ms": side.median(), "p10_p90_ms": side.spread()}
        if side is not sides[0]:
            faster = side.speedups(sides[0])
            row.update(times_faster=statistics.median(faster), times_faster_range=(min(faster), max(faster)))
        rows.append(row)
    ours = ("numpy", "opencv-python-headless", "h5py")
    return {
        "peer": peer.repository,
        "commit": commit_of(args.checkout),
        "facexray": provenance("compare_peers", vars(args)),
        "processor": processor(),
        "faces": len(store),
        "rounds": args.rounds,
        "count": args.count,
        "item": "a fake and its real twin" if peer.pairs else "a fake",
        "sides": rows,
        "our_settings": {name: asdict(config) for name, config in peer.ours.items()},
        "not_like_for_like": peer.unlike,
        "failures": sides[0].failures,
        "its_versions": driver.versions,
        "our_versions": {"python": platform.python_version(), **{name: version(name) for name in ours}},
    }


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("checkout", type=Path, help="the peer's repository on this machine")
    parser.add_argument("--python", type=Path, required=True, help="the interpreter that has what the peer needs")
    parser.add_argument("--store", type=Path, help="a face store; the demo's two portraits where not given")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--count", type=int, default=20, help="fakes a side and round")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    args = parser.parse_args()
    peer = PEERS[args.peer]
    missing = [name for name in peer.needs if not (args.checkout / name).is_file()]
    if missing:
        parser.error(f"{args.checkout}: has no {', '.join(missing)}; CHECKOUT must be a clone of {peer.repository}")
    if min(args.rounds, args.count) < 1:
        parser.error("--rounds and --count must be at least 1")
    return args


def main() -> None:
    args = parsed()
    peer = PEERS[args.peer]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # the driver inherits it
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        made, faces = Path(folder, "store"), Path(folder, "faces")
        if not args.store:
            facexray.prepare(portraits(), made, identity=r"(.+)\.")
        store = FaceStore(args.store or made)
        export(store, faces)
        driver = Driver(args.peer, args.python, args.checkout, faces)
        sides = compare(peer, driver, store, args.rounds, args.count)
        driver.close()
        report = reported(args, peer, store, driver, sides)
    print(json.dumps(report, indent=2, ensure_ascii=False) if args.json else page(report))


if __name__ == "__main__":
    try:
        main()
    except facexray.FaceXrayError as error:
        sys.exit(f"error: {error}")
