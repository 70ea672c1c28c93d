"""What a face store says of the files that gave no face: its errors.jsonl."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facexray.errors import StoreError
from facexray.images import printable

LOOKED_AT = ("no face found", "face smaller than")
"""How the reasons begin for which prepare keeps no face though it could read the file; one that it has but cannot
use, such as a face without plausible landmarks, is no sign that a file shows none."""


@dataclass(frozen=True)
class Faceless:
    """A file that prepare saw, and that gave no face."""

    source: str
    """Its path then, as the store's faces name theirs."""
    sha256: str | None
    """Of its bytes; None where they could not be read."""
    reason: str
    looked_at: bool
    """Whether it was read and shows no face, or small ones alone; else it is as good as unreadable."""


def read_faceless(store: Path) -> list[Faceless]:
    """The files of a store's errors.jsonl, each as the last run found it; some gave faces beside what is said here.

    Raises:
        StoreError: The file is there and cannot be read.
    """
    path = store / "errors.jsonl"
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    runs: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for line in text.split("\n"):
        entry: Any = None
        with suppress(ValueError):  # a line that a kill cut
            entry = json.loads(line)
        if not isinstance(entry, dict) or not {"source", "sha256", "reason"} <= entry.keys():
            continue
        # prepare writes one line per reason, and again for the same file where a later run reads it otherwise.
        known = runs.get(entry["source"])
        if known is None or any(known[0].get(name) != entry.get(name) for name in ("sha256", "reading")):
            runs[entry["source"]] = known = (entry, [])
        known[1].append(str(entry["reason"]))
    return [_of(entry, reasons) for entry, reasons in runs.values()]


def _of(entry: dict[str, Any], reasons: list[str]) -> Faceless:
    others = [reason for reason in reasons if not reason.startswith(LOOKED_AT)]
    looked_at = entry["sha256"] is not None and not others
    return Faceless(printable(entry["source"]), entry["sha256"], (others or reasons)[0], looked_at)
