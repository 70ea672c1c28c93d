"""The report of an evaluation: report.html with figures and cases, and the tables for a paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from facexray.errors import StoreError
from facexray.evaluation.cases import Case
from facexray.evaluation.charts import cell_of, curves, robustness
from facexray.evaluation.scored import ScoredFace
from facexray.evaluation.tables import (
    FIELD_METRICS,
    LEVELS,
    SCORE_TITLES,
    interval,
    latex,
    markdown,
    methods,
    percent,
)
from facexray.images import printable, write_bytes
from facexray.metrics.summary import OVERALL
from facexray.report.heatmap import colour_xray
from facexray.report.page import Card, Cell, Page, Section, Table, data_uri, write_page

Results = Mapping[str, Any]
FILES_LISTED = 200
"""Skipped files that the page names; results.json names all."""
METRIC_NOTES = {
    "AUC": "area under the ROC curve",
    "AP": "average precision, fake as positive",
    "EER": "equal error rate: the lower, the better",
    "TPR@FPR=1%": "fakes found while 1 % of reals are called fake",
    "TPR@FPR=0.1%": "fakes found while 0.1 % of reals are called fake",
    "pAUC@10%": "partial AUC, to where 10 % of reals are called fake; 50 is chance",
    "accuracy": "at the threshold that was fixed beforehand",
    "ECE": "expected calibration error: the lower, the better",
    "Brier": "mean squared error of the score: the lower, the better",
}
LOCALISATION_NOTES = {
    "xray_AP": ("X-ray AP", "average precision of the X-ray's pixels against the true Face X-ray"),
    "xray_IoU": ("X-ray IoU", "overlap of the X-ray with the true one, at its best threshold"),
    "region_IoU": ("region IoU", "overlap of the region that the X-ray encloses with the true mask"),
    "xray_energy_real": ("X-ray energy, reals", "mean of the X-ray: ideally 0"),
    "xray_energy_fake": ("X-ray energy, fakes", "mean of the X-ray"),
}


def write_report(
    out: Path, results: Results, rows: Sequence[ScoredFace], cases: Sequence[Case], about: Mapping[str, Any]
) -> None:
    """Write report.html, tables.md and tables.tex.

    The tables and figures depend on `results` and `rows` alone: the same give the same bytes.

    Args:
        out: Folder of the evaluation.
        results: What results.json holds.
        rows: The scored faces that its numbers are made from.
        cases: The faces to show, as `choose_cases` chose them.
        about: What about.json holds: date, machine, speed.

    Raises:
        StoreError: The folder cannot be written.
    """
    name, data = results["model"]["name"], results["data"]
    sections = [
        _overall(results),
        *_per_method(results),
        _side_by_side(results),
        *curves(results, rows),
        *_localisation(results),
        *robustness(results),
        *_cases(cases),
        _data(results),
        *_skipped(results),
        _settings(results),
    ]
    title = f"{name} on {data['title']}"
    page = Page(title, _lead(results), _headline(results), sections=sections, facts=_facts(results, about))
    try:
        write_bytes(out / "tables.md", markdown(results).encode())
        write_bytes(out / "tables.tex", latex(results).encode())
        write_page(out / "report.html", page)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error}); free space and run again") from error


def _lead(results: Results) -> str:
    data = results["data"]
    where = [data["title"], *(f"{name} {data[name]}" for name in ("split", "compression") if data.get(name))]
    return f"The class head of {results['model']['name']} on {', '.join(where)}."


def _headline(results: Results) -> list[tuple[str, str]]:
    """AUC at both levels with its interval, and how much data that rests on."""
    counts = results["data"]["methods"].values()
    numbers = []
    for level, title in LEVELS.items():
        entry = results["metrics"]["class"][level][OVERALL]
        numbers.append((f"{percent(entry, 'AUC')} %", f"{title} AUC, 95 % interval {interval(entry, 'AUC')}"))
    real, fake = (sum(row["videos_with_faces"] for row in counts if row["label"] == label) for label in (0, 1))
    numbers.append((f"{real + fake:,}", f"videos with faces: {real:,} real, {fake:,} fake"))
    numbers.append((f"{sum(row['frames'] for row in counts):,}", "frames"))
    return [*numbers, (f"{results['skipped']['count']:,}", "skipped, each with its reason below")]


def _metrics_of(entry: Mapping[str, Any]) -> list[str]:
    return [name for name, value in entry.items() if isinstance(value, Mapping)]


def _words(metric: str) -> str:
    """A metric's name with spaces where a narrow column may break it."""
    return metric.replace("@", " @ ")


def _overall(results: Results) -> Section:
    levels = results["metrics"]["class"]
    metrics = _metrics_of(levels["frame_level"][OVERALL])
    rows: list[list[Cell]] = [
        [name, *(f"{levels[level][OVERALL][name]:,}" for level in LEVELS)] for name in ("real", "fake")
    ]
    for metric in metrics:
        cells = [cell_of(levels[level][OVERALL], metric) for level in LEVELS]
        rows.append([(_words(metric), METRIC_NOTES.get(metric, "")), *cells])
    text = [
        "All numbers but counts are percent. The small numbers are 95 % intervals by bootstrap over videos: frames of "
        "one video are alike, and count as one witness."
    ]
    return Section("Overall", text, [Table("Class head", ["", *LEVELS.values()], rows)])


def _per_method(results: Results) -> list[Section]:
    if methods(results) == [OVERALL]:
        return []
    tables = []
    for level, title in LEVELS.items():
        names = methods(results, level)
        entries = results["metrics"]["class"][level]
        metrics = _metrics_of(entries[OVERALL])
        rows: list[list[Cell]] = []
        for name in names:
            rows.append([name, f"{entries[name]['fake']:,}", *(cell_of(entries[name], metric) for metric in metrics)])
        caption = f"Class head, {title}: each method's fakes against all {entries[OVERALL]['real']:,} reals"
        tables.append(Table(caption, ["method", "fakes", *map(_words, metrics)], rows))
    return [Section("By method", tables=tables)]


def _side_by_side(results: Results) -> Section:
    header = ["score", *(f"{title} {metric}" for title in LEVELS.values() for metric in FIELD_METRICS)]
    rows: list[list[Cell]] = []
    for score, levels in results["metrics"].items():
        cells = [cell_of(levels[level][OVERALL], metric) for level in LEVELS for metric in FIELD_METRICS]
        rows.append([SCORE_TITLES.get(score, score), *cells])
    text = ["The paper's class head sees one number of the predicted X-ray, its mean. Here are others beside it."]
    return Section("Class head and X-ray scores", text, [Table("Overall", header, rows)])


def _localisation(results: Results) -> list[Section]:
    found = results["localisation"]
    if not found:
        return []
    rows: list[list[Cell]] = [[LOCALISATION_NOTES[name], cell_of(found, name)] for name in LOCALISATION_NOTES]
    text = [f"AP and IoU are means over {found['faces']:,} fakes whose true mask is known; energies, over all faces."]
    return [Section("Localisation", text, [Table("X-ray against the truth, percent", ["", "value"], rows)])]


def _cases(cases: Sequence[Case]) -> list[Section]:
    """The worse half of the reals and of the fakes, then the better half."""
    worst, best = [], []
    for label in (0, 1):
        ranked = sorted((case for case in cases if case.label == label), key=lambda case: -case.error)
        middle = (len(ranked) + 1) // 2
        worst += ranked[:middle]
        best += ranked[middle:]
    truth = "The coloured word says what a face is; the score, what the class head makes of it: 0 real, 1 fake."
    sections = [
        Section("Worst cases", [f"Reals with high scores, then fakes with low ones. {truth}"], cards=_cards(worst)),
        Section("Best cases", [f"Reals with low scores, then fakes with high ones. {truth}"], cards=_cards(best)),
    ]
    return [section for section in sections if section.cards]


def _cards(cases: Iterable[Case]) -> list[Card]:
    cards = []
    for case in cases:
        pictures = [("view", case.view), ("predicted X-ray", colour_xray(case.xray))]
        if case.true_xray is not None:
            pictures.append(("true X-ray", colour_xray(case.true_xray)))
        shown = [(caption, data_uri(picture)) for caption, picture in pictures]
        cards.append(Card(case.title, ("real", "fake")[case.label], [f"score {case.score:.3f}"], shown))
    return cards


def _data(results: Results) -> Section:
    data = results["data"]
    parts = {"videos": "videos", "videos_with_faces": "with faces", "frames": "frames", "faces": "faces"}
    rows = []
    for name, row in data["methods"].items():
        rows.append([name, ("real", "fake")[row["label"]], *(f"{row[part]:,}" for part in parts)])
    text = [f"{data['title']} (protocol {data['protocol']}): {data['items']:,} items in {data['files']:,} files."]
    header = ["method", "label", *parts.values()]
    return Section("The data", text, [Table("What was scored", header, rows)])


def _skipped(results: Results) -> list[Section]:
    skipped = results["skipped"]
    if not skipped["count"]:
        return [Section("What was skipped", ["Nothing."])]
    reasons = sorted(skipped["reasons"].items(), key=lambda pair: -pair[1])
    files = [[row["file"], row["reason"]] for row in skipped["files"]]
    title = f"{len(files):,} files by name"
    if len(files) > FILES_LISTED:
        title = f"The first {FILES_LISTED} of {len(files):,} files by name; results.json names them all"
    text = "What was read in part, or scored without its mask, counts by the faces that were found in it"
    if results["settings"].get("no_face") == "half":
        text += "; what was looked at and shows no face, as a score of 0.5 among the class head's videos"
    text += ". All others count in no number."
    tables = [
        Table(f"{skipped['count']:,} skipped", ["reason", "files"], [[name, f"{count:,}"] for name, count in reasons]),
        Table(title, ["file", "reason"], files[:FILES_LISTED], folded=len(files) > 10),
    ]
    return [Section("What was skipped", [text], tables)]


def _settings(results: Results) -> Section:
    rows = [[name, _plain(value)] for name, value in results["settings"].items()]
    return Section("Settings", tables=[Table(results["made_by"], ["setting", "value"], rows)])


def _facts(results: Results, about: Mapping[str, Any]) -> list[tuple[str, str]]:
    model = results["model"]
    facts = [("model", model["name"]), ("model SHA-256", model["sha256"]), ("thresholds", _plain(model["thresholds"]))]
    facts += [("facexray", results["facexray_version"]), ("commit", _plain(results["commit"]))]
    said = {"made_by", "facexray_version", "commit", "settings", "model"}
    return facts + [(name.replace("_", " "), _plain(value)) for name, value in about.items() if name not in said]


def _plain(value: Any) -> str:
    """A value of a JSON file as a person writes it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else printable(value)
