"""The command `bench train`: how fast training is here, and how much of it is waiting for images."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from facexray.bench.blend import opened
from facexray.errors import MissingExtraError, SettingsError
from facexray.provenance import provenance
from facexray.training.config import NetworkConfig


def bench_train(
    store: Path | None = None,
    backbone: str = "hrnet_w18_small",
    batch_size: int | None = None,
    json: bool = False,
) -> Any:
    """Measure how fast training is on this machine, beside plain float32 of PyTorch.

    Whole steps: waiting for blended images, network, loss, gradients, optimiser. The machine's best setting (bfloat16
    or float32, whichever is faster, channels last) and the baseline, eager float32 in PyTorch's own memory layout,
    take turns on the same images; the medians of the rounds are shown. On a CPU one worker process makes the images;
    on a GPU all cores but one do, and the renderer on the device, whose work counts as waiting, is measured as well.
    Needs the extra: pip install 'facexray[train]'.

    Args:
        store: Face store; the two packaged portraits where not given.
        backbone: Of the network, a name of timm's.
        batch_size: Images a step; where not given, 16 on a CPU, 32 and then 128 on a GPU.
        json: Print one line of JSON instead of a table.

    Returns:
        The figures: those of the first row (`images_per_s`, `data_wait_share`, `baseline_images_per_s`,
        `ratio_to_eager_fp32`, …), all `rows`, `device`, `threads`, and how they were made.

    Raises:
        SettingsError: An odd batch size, or no such backbone.
        StoreError: The store is missing or too small.
        MissingExtraError: Torch is not installed.
    """
    if batch_size is not None and (batch_size < 2 or batch_size % 2):
        raise SettingsError(f"batch_size must be even and at least 2, got {batch_size}")
    try:
        from facexray.training.speed import measure, surroundings
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"bench train needs {error.name}: pip install 'facexray[train]'") from error
    with opened(store) as faces:
        rows = measure(faces, NetworkConfig(backbone=backbone), batch_size)
    settings = {"store": store, "backbone": backbone, "batch_size": batch_size}
    figures = {**rows[0], "rows": rows, **surroundings(), **provenance("bench train", settings)}
    if json:
        print(json_format.dumps(figures))
    else:
        _print(backbone, figures)
    return figures


def _print(backbone: str, figures: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    threads, workers = figures["threads"], figures["workers"]
    console.print(
        f"{backbone} on {figures['device']}: {threads} thread{'s' * (threads > 1)} of torch {figures['torch']}, "
        f"{workers} worker{'s' * (workers > 1)}; best setting {figures['precision']}, channels last; "
        "baseline eager float32, contiguous"
    )
    table = Table("batch", "renderer", "images/s", "waiting", "baseline", "ratio")
    for row in figures["rows"]:
        table.add_row(
            str(row["batch_size"]),
            row["renderer"],
            f"{row['images_per_s']:.1f}",
            f"{row['data_wait_share']:.1%}",
            f"{row['baseline_images_per_s']:.1f}",
            f"{row['ratio_to_eager_fp32']:.1f}",
        )
    console.print(table)
