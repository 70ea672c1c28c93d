"""What is evaluated: the labelled videos and photographs of a data set, read from its layout on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Item:
    """One video, or one photograph, and what its data set says of it."""

    dataset: str
    """Name of the data set, such as `FaceForensics++`."""
    method: str
    """What made it: `real` for every real one; a manipulation's name, such as `Deepfakes`; else `fake`."""
    video: str
    """Its key within (dataset, method): videos of two methods may share it, such as `000_003`."""
    label: int
    """0 real, 1 fake."""
    files: tuple[Path, ...]
    """One video or photograph; or the pictures of a video's frames, in order."""
    split: str = ""
    """`train`, `val`, `test`, or nothing where the data set has no splits."""
    compression: str = ""
    """`raw`, `c23`, `c40`, or nothing where the data set has one form only."""
    masks: tuple[Path, ...] = ()
    """Where the manipulated regions are known: the masks' video, or a picture per entry of `files`."""

    @property
    def key(self) -> tuple[str, str, str]:
        """(dataset, method, video): what all frames of one video share, and no other's do."""
        return self.dataset, self.method, self.video


@dataclass(frozen=True)
class Manifest:
    """The items of a data set, and those that its own lists name but that are not there."""

    items: list[Item]
    missing: list[tuple[str, str]] = field(default_factory=list)
    """(what, why): counted and reported, never silently left out."""
