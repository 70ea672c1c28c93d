"""How a thing was made: the record that every output of facexray carries."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


def provenance(command: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The command, its resolved settings, the version, the checkout's commit if there is one, date and machine."""
    return {
        "made_by": f"facexray {command}",
        "facexray_version": version("facexray"),
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "settings": {name: plain(value) for name, value in settings.items()},
    }


def plain(value: Any) -> Any:
    """Dataclasses, paths, tuples and mappings as what JSON knows."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _commit() -> str | None:
    """The commit of the checkout that this module lies in, marked where it was changed since."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        inside = subprocess.run([*git[:3], "ls-files", "--error-unmatch", __file__], capture_output=True, check=False)
        if inside.returncode:
            return None
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
