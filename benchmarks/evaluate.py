"""How fast is an evaluation, and how much memory does it take? Times `facexray evaluate` on a large labelled store.

    python benchmarks/evaluate.py [--crops 10000] [--model hrnet_w18_small.portraits] [--json]

The store's crops are the two packaged portraits', each with its own noise; half of them are entered as real, half as
fake, ten to a video. So the numbers that come out mean nothing; what they take does. Evaluated is in a process of its
own: its peak memory is that of an evaluation alone. A second run, with another choice of faces, shows what the cache
saves. Run it when the machine does nothing else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from facexray.demonstration import portrait_store
from facexray.faces.store_writer import StoreWriter
from facexray.provenance import provenance

CHILD = """
import resource, sys
from facexray.cli import main
status = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""


def fill(path, portraits, count):
    """A store of `count` crops, in videos of ten."""
    rng = np.random.default_rng(0)
    with StoreWriter(path, provenance("prepare", {})) as writer:
        for number in range(count):
            video = number // 10
            face = portraits[number % len(portraits)]
            crop = portraits.crop(number % len(portraits))
            noise = rng.integers(-3, 4, crop.shape, np.int16)
            name = f"{'fake' if video % 2 else 'real'}/{video:06d}.mp4"
            own = {"id": f"{number:06d}", "source": name, "video": f"{video:06d}", "frame": number % 10}
            writer.add(replace(face, **own, sha256=f"{video:064d}"), (crop + noise).clip(0, 255).astype(np.uint8))
            if number % 10 == 9:
                writer.end_source(f"{video:064d}")


def evaluate(model, store, out, *options):
    """Seconds and MB of one evaluation."""
    began = time.perf_counter()
    words = ["evaluate", model, str(store), "--out", str(out), *options]
    done = subprocess.run([sys.executable, "-c", CHILD, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    peak = next(line for line in done.stderr.splitlines() if line.startswith("peak"))
    return time.perf_counter() - began, int(peak.split()[1]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crops", type=int, default=10_000)
    parser.add_argument("--model", default="hrnet_w18_small.portraits")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "store", portrait_store(folder / "portraits"), args.crops)
        first, peak = evaluate(args.model, folder / "store", folder / "out")
        again, _ = evaluate(args.model, folder / "store", folder / "out", "--threshold", "0.5")
        speed = json.loads((folder / "out" / "about.json").read_text(encoding="utf-8"))["speed"]
    figures = {
        "crops": args.crops,
        "seconds": round(first, 1),
        "crops_per_s": round(args.crops / first, 1),
        "peak_mb": round(peak),
        "seconds_again": round(again, 1),
        "ratio_again": round(first / again, 1),
    }
    if args.json:
        print(json.dumps({**provenance("benchmarks/evaluate.py", vars(args)), **figures, "speed": speed}))
    else:
        for figure, value in figures.items():
            print(f"{figure:>15}  {value}")


if __name__ == "__main__":
    main()
