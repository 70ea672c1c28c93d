"""Lightning Fabric that speaks of what is wrong, and of nothing else."""

from __future__ import annotations

import logging
from typing import Any

from lightning.fabric import Fabric


def quiet_fabric(**options: Any) -> Fabric:
    """A Fabric that does not tell what its options say already.

    Args:
        options: Of `Fabric`.
    """
    for part in ("fabric", "pytorch"):  # it tells by the logger of whichever was imported last
        logging.getLogger(f"lightning.{part}").setLevel(logging.WARNING)
    return Fabric(**options)
