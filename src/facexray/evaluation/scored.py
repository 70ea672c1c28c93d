"""Scored faces: what scoring hands to the metrics, a row per face of a frame."""

from __future__ import annotations

from dataclasses import dataclass, field

SCORES = ("class", "xray_mean", "xray_max", "xray_top_k", "xray_boundary")
"""The scores of a face, side by side: the class head's probability of fake, and numbers pooled from the predicted
Face X-ray: its mean (what the paper's class head sees), its maximum, the mean of its highest hundredth, and its energy
along the boundary of the region that it encloses."""


@dataclass(frozen=True)
class ScoredFace:
    """One face of one frame."""

    dataset: str
    method: str
    video: str
    label: int
    """0 real, 1 fake."""
    split: str
    compression: str
    file: str
    """The file that the frame is from."""
    frame: int
    """Position in the video, from 0; 0 of a photograph."""
    face: int
    """Number of the face in its frame, the largest first, from 0."""
    overlap: float | None
    """Share of its box that the true mask covers, in [0, 1]; None where no mask is known."""
    scores: dict[str, float]
    """By the names of `SCORES`."""
    localisation: dict[str, float] = field(default_factory=dict)
    """Where a mask is known or the face is real: `xray_AP`, `xray_IoU`, `region_IoU` (fakes), `xray_energy` (all)."""

    @property
    def key(self) -> tuple[str, str, str]:
        """(dataset, method, video), as of its `Item`."""
        return self.dataset, self.method, self.video
