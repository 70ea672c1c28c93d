"""How fast training is on this machine, beside eager float32 in torch's own memory layout."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from facexray.blending.config import BlendConfig
from facexray.faces.store import FaceStore
from facexray.training.config import NetworkConfig, OptimConfig
from facexray.training.datasets import Batch, BlendedPairs, PairSampler, Rendered, training_loader
from facexray.training.device_loader import planned_loader
from facexray.training.fabric import quiet_fabric
from facexray.training.losses import face_xray_loss
from facexray.training.network import FaceXrayNet
from facexray.training.renderer import BatchRenderer
from facexray.training.schedule import make_optimizer
from facexray.workers import granted_cores, keep_memory

ROUNDS = 5
"""Times that the best setting and the baseline take turns, so that a busy machine slows both."""
STEPS, BASELINE_STEPS = 4, 2
"""Steps of each in a round."""
DRAINED = 6
"""Batches taken before a round is timed: what the workers made in the baseline's turn shall not hide their pace."""
CPU_BATCHES, CUDA_BATCHES = (16,), (32, 128)


class Trainee:
    """A network in training, in one precision and memory layout."""

    def __init__(self, network: NetworkConfig, precision: Any, layout: torch.memory_format) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.precision, self.layout, self.optim = precision, layout, OptimConfig()
        self.fabric = quiet_fabric(accelerator=device, devices=1, precision=precision)
        torch.manual_seed(0)
        net = FaceXrayNet(network).to(memory_format=layout)
        self.model, self.optimizer = self.fabric.setup(net.train(), make_optimizer(self.optim, net))

    def step(self, batch: Batch) -> float:
        """One step of the optimiser, as the loop takes them; returns the loss, so that a device has done it."""
        views, xrays, labels = (tensor.to(self.fabric.device) for tensor in batch)
        output = self.model(views.contiguous(memory_format=self.layout))
        losses = face_xray_loss(output, xrays, labels, self.optim.xray_weight)
        self.optimizer.zero_grad()
        self.fabric.backward(losses.total)
        self.fabric.clip_gradients(self.model, self.optimizer, max_norm=self.optim.clip_norm)
        self.optimizer.step()
        return losses.total.item()

    def seconds(self, batch: Batch, steps: int) -> float:
        """Seconds per step."""
        began = time.perf_counter()
        for _ in range(steps):
            self.step(batch)
        return (time.perf_counter() - began) / steps


def measure(store: FaceStore, network: NetworkConfig, batch_size: int | None) -> list[dict[str, Any]]:
    """Train for some steps on blended pairs of a store, and time them.

    Args:
        store: Face store.
        network: The network.
        batch_size: Images a step, even; None for 16 on a CPU, and both 32 and 128 on a GPU.

    Returns:
        Per batch size, and on a GPU per renderer too: `batch_size`, `renderer`, `workers`, `precision`, `images_per_s`,
        `data_wait_share`, `baseline_images_per_s` (eager float32, contiguous), `ratio_to_eager_fp32`: medians of the
        rounds.

    Raises:
        SettingsError: timm has no such backbone.
    """
    keep_memory()
    pairs, cuda = BlendedPairs(BlendConfig(), store, None, seed=0), torch.cuda.is_available()
    sizes = (batch_size,) if batch_size else CUDA_BATCHES if cuda else CPU_BATCHES
    workers = max(1, granted_cores() - 1) if cuda else 1
    best, baseline = _best(pairs, network, sizes[0]), Trainee(network, "32-true", torch.contiguous_format)
    return [
        {"batch_size": size, "renderer": renderer, "workers": workers, **_in_turns(best, baseline, batches, size)}
        for size in sizes
        for renderer in (("numpy", "torch") if cuda else ("numpy",))
        for batches in [_batches(pairs, size, renderer, workers, best.fabric.device)]
    ]


def _best(pairs: BlendedPairs, network: NetworkConfig, size: int) -> Trainee:
    """The faster of bfloat16 and float32, both in the layout that convolutions like best."""
    batch = next(_batches(pairs, size, "numpy", 0, torch.device("cpu"))).batch
    settings = [Trainee(network, precision, torch.channels_last) for precision in ("bf16-mixed", "32-true")]
    for setting in settings:
        setting.step(batch)
    return min(settings, key=lambda setting: setting.seconds(batch, 1))


def _batches(pairs: BlendedPairs, size: int, renderer: str, workers: int, device: torch.device) -> Iterator[Rendered]:
    sampler = PairSampler(0, size // 2 * (ROUNDS + 1) * (STEPS + DRAINED))
    if renderer == "numpy":
        yield from training_loader(pairs, sampler, size // 2, workers)
        return
    render: Callable[..., Any] = BatchRenderer(device)
    for plan in planned_loader(pairs, sampler, size // 2, workers):
        yield render(plan)


def _in_turns(best: Trainee, baseline: Trainee, batches: Iterator[Rendered], size: int) -> dict[str, Any]:
    """The figures of a row; a first round is not counted."""
    fast, slow, waits = [], [], []
    for _ in range(ROUNDS + 1):
        for _ in range(DRAINED):
            next(batches)
        waited, began = 0.0, time.perf_counter()
        for _ in range(STEPS):
            asked = time.perf_counter()
            rendered = next(batches)
            waited += time.perf_counter() - asked
            batch = rendered.batch
            best.step(batch)
        spent = time.perf_counter() - began
        fast.append(spent / STEPS)
        waits.append(waited / spent)
        slow.append(baseline.seconds(batch, BASELINE_STEPS))
    fast_s, slow_s = np.median(fast[1:]), np.median(slow[1:])
    return {
        "precision": best.precision,
        "images_per_s": round(float(size / fast_s), 2),
        "data_wait_share": round(float(np.median(waits[1:])), 4),
        "baseline_images_per_s": round(float(size / slow_s), 2),
        "ratio_to_eager_fp32": round(float(np.median(np.array(slow[1:]) / fast[1:])), 2),
    }


def surroundings() -> dict[str, Any]:
    """What the figures depend on: the device's name, torch's threads and version."""
    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else f"CPU, {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
