"""What `facexray evaluate` prints: the field's three numbers, localisation, what was skipped, what it is worth."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from facexray.detection.verdict import WORTH
from facexray.metrics.classification import METRICS

LEVELS = {"frame_level": "frames", "video_level": "videos"}


def print_results(results: dict[str, Any]) -> None:
    """Print the table of the class head, per method and overall, and what must be said beside it."""
    console = Console(markup=False, emoji=False)  # names of the user's methods and files are no markup
    console.print(_table(results))
    located = results["localisation"]
    if located:
        numbers = ", ".join(f"{name} {_estimate(located[name])}" for name in ("xray_AP", "xray_IoU", "region_IoU"))
        console.print(f"localisation on {located['faces']} faces: {numbers}")
    skipped = results["skipped"]
    if skipped["count"]:
        reasons = ", ".join(f"{count} × {reason}" for reason, count in skipped["reasons"].items())
        console.print(f"skipped {skipped['count']}: {reasons}")
    console.print(WORTH)


def _table(results: dict[str, Any]) -> Table:
    title = f"{results['model']['name']} on {results['data']['title']}, with 95 % intervals"
    table = Table("method", title=title)
    for name in ("level", "real", "fake", *METRICS):
        table.add_column(name, no_wrap=True)
    levels = results["metrics"]["class"]
    methods = list(levels["video_level"])  # a method all of whose videos show no face has no frames that count
    for method in methods[1:] * (len(methods) > 2) + methods[:1]:
        for level, noun in LEVELS.items():
            entry = levels[level].get(method)
            if entry:
                cells = (_estimate(entry[name]).replace(" [", "\n").rstrip("]") for name in METRICS)
                table.add_row(method, noun, str(entry["real"]), str(entry["fake"]), *cells)
    return table


def _estimate(number: dict[str, float]) -> str:
    return f"{number['value']:.3f} [{number['low_95']:.3f}–{number['high_95']:.3f}]"
