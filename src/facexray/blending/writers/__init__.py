"""Blended sets on disk: a folder tree to look at, an HDF5 file or tar shards to train on; and their reader."""

from facexray.blending.writers.reader import is_blended_set, read_blended
from facexray.blending.writers.sample import LABELS, LabelledView

__all__ = ["LABELS", "LabelledView", "is_blended_set", "read_blended"]
