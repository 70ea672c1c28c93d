"""What a run tells while it goes: the progress line, log.csv and validation.csv, TensorBoard."""

from __future__ import annotations

import csv
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from facexray.images import write_bytes
from facexray.training.config import OptimConfig, RunConfig


class Log:
    """The log of a run: on the console, in CSV files, and for TensorBoard. Of several processes, the first has one."""

    def __init__(self, out: Path, optim: OptimConfig, run: RunConfig, iteration: int) -> None:
        """Open the log at an iteration: lines of later ones, which a kill left behind, are taken out."""
        self._out, self._optim, self._run = out, optim, run
        for name in ("log.csv", "validation.csv"):
            _cut(out / name, iteration)
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=iteration + 1 if iteration else None)
        self._console = Console(stderr=True, highlight=False)
        self.resume()

    def resume(self) -> None:
        """Begin to measure anew, after a validation."""
        self._losses: list[tuple[float, float]] = []
        self._waited = 0.0
        self._began = self._last = time.perf_counter()

    def data_arrived(self) -> None:
        """A batch is here."""
        self._waited += time.perf_counter() - self._last

    def step_done(self, iteration: int, losses: tuple[float, float], lr: float) -> None:
        """Iteration number `iteration`, from 1, is done; (X-ray excess, class loss)."""
        self._losses.append(losses)
        self._last = time.perf_counter()
        if iteration % self._run.log_every:
            return
        span = self._last - self._began
        rate = len(self._losses) / span
        xray, classes = np.mean(self._losses, axis=0)
        row = {
            "iteration": iteration,
            "xray_excess": round(float(xray), 5),
            "class_loss": round(float(classes), 4),
            "lr": float(f"{lr:.4g}"),
            "images_per_s": round(rate * self._optim.batch_size, 1),
            "data_wait_share": round(self._waited / span, 3),
        }
        left = timedelta(seconds=round((self._optim.iterations - iteration) / rate))
        self.say(
            f"{iteration}/{self._optim.iterations}  X-ray {xray:.4f}  class {classes:.3f}  "
            f"{row['images_per_s']} images/s  waiting {row['data_wait_share']:.0%}  left {left}"
        )
        self._keep("log.csv", "training", row)
        self.resume()

    def validated(self, iteration: int, result: dict[str, float], best: bool) -> None:
        """A validation's figures."""
        numbers = {name: round(value, 4) for name, value in result.items()}
        shown = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items() if "_xray_" not in name)
        self.say(f"[bold]validation at {iteration}[/]  {shown}{'  (best)' if best else ''}")
        self._keep("validation.csv", "validation", {"iteration": iteration, **numbers})

    def say(self, line: str) -> None:
        """A line on the console."""
        self._console.print(line)

    def ended(self) -> None:
        """The last iteration is done and saved."""
        self._console.print(f"written: {self._out}", markup=False, soft_wrap=True)

    def close(self) -> None:
        """Write what TensorBoard still holds back."""
        self._board.close()

    def _keep(self, name: str, group: str, row: dict[str, Any]) -> None:
        for key, value in row.items():
            if key != "iteration":
                self._board.add_scalar(f"{group}/{key}", value, row["iteration"])
        fresh = not (self._out / name).exists()
        with (self._out / name).open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)


def _cut(path: Path, iteration: int) -> None:
    """Take the lines of iterations after `iteration` out of a CSV file, and what a kill cut off."""
    if not path.exists():
        return
    head, *lines = path.read_bytes().splitlines(keepends=True) or [b""]
    if not head.endswith(b"\n"):
        path.unlink()
        return
    whole = [line for line in lines if line.endswith(b"\n") and int(line.split(b",", 1)[0]) <= iteration]
    write_bytes(path, b"".join([head, *whole]))
