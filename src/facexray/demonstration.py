"""The demo: the whole path on two portraits that come with facexray's dependencies."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from rich.console import Console
from rich.table import Table as TerminalTable

from facexray.blending.config import BlendConfig
from facexray.blending.generate import Layers, Sample, render_both, sample_rng, view_of
from facexray.blending.recipe import Recipe, draw_recipe
from facexray.blending.sheet import as_grey, how_blended, picture_grid
from facexray.detection.verdict import WORTH, Verdict, verdict_of_score
from facexray.errors import SettingsError
from facexray.faces.neighbours import FacePool
from facexray.faces.prepare import prepare
from facexray.faces.store import FaceStore
from facexray.images import RGB, write_bytes, write_image
from facexray.provenance import provenance
from facexray.report.heatmap import colour_xray, overlay
from facexray.report.page import Card, Page, Table, data_uri, model_facts, write_page
from facexray.runtime.model import XrayModel

PEOPLE = {"grace_hopper": "Grace Hopper", "astronaut": "Eileen Collins"}
"""The persons of the portraits, by their files' stems."""
SEED = 7
NEXT = """Next, on your own files:
  facexray detect photo.jpg video.mp4 --out report        judge them
  facexray prepare photos/ --out store                    your photographs → faces
  facexray blend store --count 100 --out blended          faces → forgeries with their X-rays
  facexray --help                                         all commands"""


@dataclass(frozen=True)
class Item:
    """An original or a forgery of the demo, and what the model says of it."""

    name: str
    sample: Sample
    layers: Layers
    score: float
    verdict: Verdict
    xray: Any
    """(256, 256) the predicted Face X-ray."""

    @property
    def truth(self) -> str:
        """What it is: real or fake."""
        return "fake" if self.sample.label else "real"

    @property
    def wrong(self) -> bool:
        """Whether the verdict is the opposite of the truth."""
        return self.verdict not in (self.truth, "cannot tell")

    @property
    def judged(self) -> str:
        """The verdict, and whether it is wrong."""
        return f"{self.verdict}: wrong" if self.wrong else self.verdict


def demo(out: Path = Path("facexray-demo")) -> Path:
    """Show the whole path on two portraits: find faces, blend forgeries, see their X-rays, judge them all.

    The portraits, Grace Hopper and the astronaut Eileen Collins, come with facexray's dependencies; no network
    and no files of yours are needed. Writes report.html, results.json, a face store and the pictures into OUT.

    Args:
        out: Folder for the results; an earlier demo's are replaced.

    Returns:
        The folder.
    """
    began = time.perf_counter()
    out = Path(out)
    _clear(out)
    timings = {}
    store = portrait_store(out / "store")
    timings["find 2 faces, their landmarks and crops"] = time.perf_counter() - began
    began = time.perf_counter()
    made = [(name, *render_both(recipe, store)) for name, recipe in _recipes(store)]
    timings[f"blend {len(made) - len(PEOPLE)} forgeries"] = time.perf_counter() - began
    began = time.perf_counter()
    model = XrayModel.load()
    timings["load the model"] = time.perf_counter() - began
    began = time.perf_counter()
    prediction = model.predict(np.stack([sample.image for _, sample, _ in made]))
    timings[f"judge {len(made)} faces"] = time.perf_counter() - began
    items = []
    for i, (name, sample, layers) in enumerate(made):
        score = float(prediction.scores[i])
        verdict, _ = verdict_of_score(score, model.thresholds)
        items.append(Item(name, sample, layers, score, verdict, prediction.xrays[i]))
    _write_pictures(out, items)
    _write_results(out, items, model, timings)
    _print(items, model)
    return out


def _clear(out: Path) -> None:
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() and not _is_demo(out):
        raise SettingsError(f"{out}: is there already and is no earlier demo; name another folder with --out")
    for name in ("store", "pictures"):
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / "results.json", b'{"made_by": "facexray demo"}\n')  # of one that is stopped, too


def _is_demo(out: Path) -> bool:
    try:
        results = json.loads((out / "results.json").read_text(encoding="utf-8"))
        return bool(results["made_by"] == "facexray demo")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def portraits() -> list[Path]:
    """The two portraits: matplotlib's grace_hopper.jpg and scikit-image's astronaut.png, both public domain."""
    skimage = importlib.util.find_spec("skimage")
    folder = Path(next(iter(skimage.submodule_search_locations or []))) if skimage else Path()
    return [
        Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg"),
        folder / "data" / "astronaut.png",
    ]


def portrait_store(path: Path) -> FaceStore:
    """A new face store of the two portraits."""
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(shutil.copy(portrait, folder)) for portrait in portraits()]
        prepare(copies, path, identity=r"(.+)\.")
    return FaceStore(path)


def _recipes(store: FaceStore) -> Iterator[tuple[str, Recipe]]:
    """For each portrait: the original, two blends of the other face into it, and one of it into itself."""
    pool = FacePool.of(store)
    names = {face.id: PEOPLE[face.identity or ""] for face in store}
    for background, name in names.items():
        yield f"{name}, original", Recipe("real", background)
        other = next(name for face, name in names.items() if face != background)
        yield from ((f"{other} blended into {name}", r) for r in _draw("bi", background, pool, 2))
        yield from ((f"{name} blended into herself", r) for r in _draw("sbi", background, pool, 2))


def _draw(mode: str, background: str, pool: FacePool, count: int) -> Iterator[Recipe]:
    """The first drawn recipes with this background, as they would look in a clean photograph."""
    config = BlendConfig(mode=mode, real_prob=0, degradations={}, flip_prob=0, colour={"lab": 1, "rgb": 1})
    window = Recipe("real", background).window
    for index in range(1000):
        recipe = replace(draw_recipe(config, pool, sample_rng(SEED, 0, index)), window=window)
        if recipe.background == background and count:
            count -= 1
            yield recipe


def _pictures(item: Item) -> list[tuple[str, RGB]]:
    return [
        ("image", item.sample.image),
        ("foreground", view_of(item.layers.foreground, item.sample.recipe)),
        ("mask M", as_grey(item.sample.mask_levels)),
        ("true X-ray", colour_xray(item.sample.xray)),
        ("predicted X-ray", colour_xray(item.xray)),
        ("laid over", overlay(item.sample.image, item.xray)),
    ]


def _write_pictures(out: Path, items: list[Item]) -> None:
    pictures = out / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for number, item in enumerate(items):
        for caption, picture in _pictures(item):
            write_image(pictures / f"{number:02d}_{caption.lower().replace(' ', '_')}.png", picture)
    captions = [caption for caption, _ in _pictures(items[0])]
    rows = [
        ([picture for _, picture in _pictures(item)], f"{item.name}: score {item.score:.2f}, {item.judged}")
        for item in items
    ]
    write_image(out / "overview.png", picture_grid(captions, rows))


def _write_results(out: Path, items: list[Item], model: XrayModel, timings: dict[str, float]) -> None:
    about = provenance("demo", {"seed": SEED})
    rows = [
        {
            "name": item.name,
            "mode": item.sample.recipe.mode,
            "label": item.sample.label,
            "score": round(item.score, 4),
            "verdict": item.verdict,
            "mean_predicted_xray": round(float(item.xray.mean()), 4),
            "recipe": item.sample.recipe.to_dict(),
        }
        for item in items
    ]
    seconds = {name: round(value, 3) for name, value in timings.items()}
    results = {
        **about,
        "model": {"name": model.name, "sha256": model.sha256},
        "seconds": seconds,
        "items": rows,
    }
    write_bytes(out / "results.json", json.dumps(results, indent=2, ensure_ascii=False).encode())
    cards = []
    for item in items:
        lines = [f"truth: {item.truth}; score {item.score:.2f}{'; the verdict is wrong' if item.wrong else ''}"]
        if item.sample.label:
            lines.append(how_blended(item.sample.recipe))
        shown = [(caption, data_uri(picture)) for caption, picture in _pictures(item)]
        cards.append(Card(item.name, item.verdict, lines, shown))
    page = Page(
        "Face X-ray demo",
        "Two public-domain portraits, forgeries blended from them, and what the shipped model says of each. "
        f"The model has learned from another portrait of Grace Hopper. {_tally(items)} {_thresholds(model)}",
        tables=[
            Table("Scores", ["image", "truth", "score", "verdict"], [_row(item) for item in items]),
            Table("Timings", ["step", "seconds"], [[name, f"{value:.2f}"] for name, value in timings.items()]),
        ],
        cards=cards,
        facts=[*model_facts(model), ("facexray", about["facexray_version"]), ("date", about["date"])],
    )
    write_page(out / "report.html", page)


def _thresholds(model: XrayModel) -> str:
    real, fake = model.thresholds.real_below, model.thresholds.fake_above
    return f"Real below {real:.2f}, fake above {fake:.2f}; in between the model does not guess."


def _tally(items: list[Item]) -> str:
    right, wrong = sum(item.verdict == item.truth for item in items), sum(item.wrong for item in items)
    return f"Of {len(items)} verdicts {right} are right, {wrong} wrong, {len(items) - right - wrong} cannot tell."


def _row(item: Item) -> list[str]:
    return [item.name, item.truth, f"{item.score:.2f}", item.judged]


def _print(items: list[Item], model: XrayModel) -> None:
    table = TerminalTable("image", "truth", "score", "verdict")
    for item in items:
        table.add_row(*_row(item))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(_tally(items))
    console.print(_thresholds(model))
    console.print(WORTH, style="italic")
    console.print(NEXT, markup=False)
