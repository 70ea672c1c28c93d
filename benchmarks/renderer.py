"""Which renders faster, NumPy on one core or tensors on a device? Times both on the same recipes of fakes.

    python benchmarks/renderer.py STORE [PRESET]

PRESET is `default` where not given. CUDA is timed where there is a device. All figures are milliseconds per fake, the
median of five runs after one to warm up; crops come from the disk's cache. `plan` is the host's share that worker
processes can take; `codecs` what the renderer does on the host itself, codecs and noise, on the way there and back;
`rest` is the device's, which on a GPU includes launching some thousand kernels per batch, however large it is.
For the CPU, one thread and its own time count, whatever else the machine does; for a GPU, the clock on the wall.
"""

import sys
import time
from dataclasses import replace
from statistics import median

import torch

from facexray.blending.config import BlendConfig
from facexray.blending.generate import draw_sample, render
from facexray.faces.neighbours import FacePool
from facexray.faces.store import FaceStore
from facexray.training.renderer import BatchRenderer, plan
from facexray.training.tensors import degrade
from facexray.workers import one_thread

BATCHES = (16, 64)
RUNS = 5
ON_HOST = degrade._on_host


class Watch:
    """Times a device's work, and the part of it that is in codecs."""

    def __init__(self, device):
        self.device, self.codecs = device, 0.0

    def now(self):
        if self.device == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def on_host(self, *arguments):
        began = self.now()
        result = ON_HOST(*arguments)
        self.codecs += self.now() - began
        return result

    def ms(self, work, count):
        """The median times per fake of a piece of work on `count` fakes: all of it, and its codecs."""
        runs = []
        for _ in range(1 + RUNS):
            self.codecs, began = 0.0, self.now()
            work()
            runs.append((self.now() - began, self.codecs))
        return [median(times) / count * 1000 for times in zip(*runs[1:], strict=True)]


def main(path, preset="default"):
    torch.set_num_threads(1)
    with one_thread():
        measure(FaceStore(path), preset)


def measure(store, preset):
    config, pool = replace(BlendConfig.preset(preset), real_prob=0), FacePool.of(store, None)
    recipes = [draw_sample(config, pool, store, 0, 0, i).recipe for i in range(max(BATCHES))]
    numpy_ms, _ = Watch("cpu").ms(lambda: [render(recipe, store) for recipe in recipes], len(recipes))
    print(f"preset {preset}; torch {torch.__version__}; NumPy on one core: {numpy_ms:.2f} ms per fake\n")
    print("device  batch    plan  codecs    rest   NumPy's cores that the device replaces")
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        watch, renderer = Watch(device), BatchRenderer(torch.device(device))
        degrade._on_host = watch.on_host
        for batch in BATCHES:
            plan_ms, _ = Watch("cpu").ms(lambda some=recipes[:batch]: plan(some, store), batch)
            planned = plan(recipes[:batch], store)
            all_ms, codecs_ms = watch.ms(lambda planned=planned, renderer=renderer: renderer(planned), batch)
            columns = "".join(f"{value:8.2f}" for value in (plan_ms, codecs_ms, all_ms - codecs_ms))
            print(f"{device:6}{batch:7}{columns}{numpy_ms / all_ms:9.2f}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
