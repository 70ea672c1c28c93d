"""One self-contained HTML page: pictures inside, no scripts, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader

from facexray.detection.verdict import WORTH
from facexray.images import RGB, encode_image, write_bytes
from facexray.runtime.model import XrayModel

PICTURE_SIDE = 480
"""Longer side in pixels of a page's pictures."""


Cell = str | tuple[str, str]
"""Text; or a number and what stands small below it, such as its interval."""


@dataclass(frozen=True)
class Table:
    """A table with a caption."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False
    """Whether only the caption shows until it is asked for the rest."""


@dataclass(frozen=True)
class Card:
    """One thing that was judged or made, with its pictures."""

    title: str
    verdict: str | None = None
    """real, fake, cannot tell; colours the card."""
    lines: Sequence[str] = ()
    pictures: Sequence[tuple[str, str]] = ()
    """(caption, `data_uri` of the picture)."""
    drawings: Sequence[Drawing] = ()


@dataclass(frozen=True)
class Key:
    """An entry of the legend of drawings: a line's name and look."""

    label: str
    colour: str
    dashes: Sequence[float] = ()
    """Lengths of line and gap, in widths of the line."""
    width: float = 1.5

    @property
    def dash_array(self) -> str:
        """The dashes as SVG writes them."""
        return " ".join(f"{length * self.width:g}" for length in self.dashes)


@dataclass(frozen=True)
class Drawing:
    """A figure drawn by facexray."""

    svg: str
    """An SVG element. It goes into the page as it is, so no text of a user's may be in it unescaped."""
    caption: str
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a long report under its own heading."""

    heading: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    legend: Sequence[Key] = ()
    drawings: Sequence[Drawing] = ()
    cards: Sequence[Card] = ()


@dataclass(frozen=True)
class Page:
    """A report."""

    title: str
    lead: str
    headline: Sequence[tuple[str, str]] = ()
    """The few numbers that matter most, each with what it is."""
    tables: Sequence[Table] = ()
    cards: Sequence[Card] = ()
    sections: Sequence[Section] = ()
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)
    """Names and values for the page's foot: model, settings, versions."""


def write_page(path: Path, page: Page) -> None:
    """Write a page, whole or not at all."""
    environment = Environment(loader=PackageLoader("facexray.report"), autoescape=True)
    html = environment.get_template("page.html").render(page=page, worth=WORTH)
    write_bytes(path, html.encode(errors="backslashreplace"))


def shrink(image: RGB, long_side: int) -> RGB:
    """Shrink an image (H, W, 3) so that its longer side is at most `long_side` pixels; smaller ones stay."""
    scale = long_side / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def data_uri(image: RGB) -> str:
    """An image (H, W, 3) uint8 RGB as a data URI; larger ones are shrunk to `PICTURE_SIDE`."""
    image = shrink(image, PICTURE_SIDE)
    return "data:image/jpeg;base64," + base64.b64encode(encode_image(image, ".jpg", 90)).decode()


def model_facts(model: XrayModel) -> list[tuple[str, str]]:
    """What a page's foot says of the model."""
    thresholds = f"real below {model.thresholds.real_below:.2f}, fake above {model.thresholds.fake_above:.2f}"
    facts = [("model", model.name), ("model SHA-256", model.sha256), ("thresholds", thresholds)]
    for name, measures in model.card.get("validation", {}).items():
        low, high = measures["AUC_95"]
        text = f"AUC {measures['AUC']:.3f} (95 % interval {low:.3f}–{high:.3f}, {measures['images']} images)"
        facts.append((f"on forgeries blended from its validation portraits, {name}", text))
    return facts
