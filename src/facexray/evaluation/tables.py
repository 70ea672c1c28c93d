"""Tables for a paper, in Markdown and in LaTeX: a row per model and score, AUC, AP and EER per method of forging.

The layout is that of the paper's tables 2 to 6; numbers are percent with two digits, as printed there. A second table
gives each number its 95 % interval.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from facexray.images import printable
from facexray.metrics.summary import OVERALL

LEVELS = {"frame_level": "frame-level", "video_level": "video-level"}
"""The levels of results.json, by the field's names."""
FIELD_METRICS = ("AUC", "AP", "EER")
"""The three numbers of the paper's tables."""
SCORE_TITLES = {
    "class": "class head",
    "xray_mean": "X-ray, mean",
    "xray_max": "X-ray, maximum",
    "xray_top_k": "X-ray, highest hundredth",
    "xray_boundary": "X-ray, boundary energy",
}
SHORT = {
    "Deepfakes": "DF",
    "Face2Face": "F2F",
    "FaceSwap": "FS",
    "NeuralTextures": "NT",
    "FaceShifter": "FSh",
    "DeepFakeDetection": "DFD",
}
"""The field's short names, in the order of the paper's columns."""
GROUPS = 5
"""Methods side by side in one table, which is what fits a page; more go into further tables."""
MISSING = "–"

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~&$])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "–": "--",
}

Row = list[str]


def markdown(results: Mapping[str, Any]) -> str:
    """The tables of `results` (the content of results.json) in GitHub's Markdown."""
    lines = [f"{_sentence(results, escape_markdown)}", ""]
    for level in results["metrics"]["class"]:
        for names in _in_parts(methods(results, level)):
            header = ["model", "score", *(f"{short(name)} {metric}" for name in names for metric in FIELD_METRICS)]
            lines += [f"**{LEVELS[level]}, percent**", "", *_markdown_table(header, _points(results, level, names)), ""]
        header = ["score", "method", "real", "fake", *FIELD_METRICS]
        title = f"**{LEVELS[level]}, percent, with 95 % intervals**"
        lines += [title, "", *_markdown_table(header, _intervals(results, level)), ""]
    return "\n".join(lines)


def latex(results: Mapping[str, Any]) -> str:
    """The tables of `results` (the content of results.json) in LaTeX; they need the package booktabs."""
    lines = [r"% Needs \usepackage{booktabs,textcomp}; names outside Latin script need XeLaTeX or LuaLaTeX and a font."]
    sentence = _sentence(results, escape_latex)
    for level in results["metrics"]["class"]:
        caption = f"{LEVELS[level].capitalize()} results in percent. {sentence}"
        for names in _in_parts(methods(results, level)):
            lines += _latex_table(caption, _latex_header(names), _points(results, level, names, repeat_model=False))
        header = ["Score", "Method", "Real", "Fake", *FIELD_METRICS]
        caption = f"{LEVELS[level].capitalize()} results in percent, with 95\\,\\% intervals. {sentence}"
        lines += _latex_table(caption, [_latex_row(header)], _intervals(results, level), left=2)
    return "\n".join(lines) + "\n"


def methods(results: Mapping[str, Any], level: str = "video_level") -> list[str]:
    """The entries of a level to show: the paper's methods in its order, others by name, overall last.

    One method alone is the same as overall, and not said twice. A method none of whose videos shows a face may count
    at video level, for the class head alone; all others are at either level.
    """
    order = {name: place for place, name in enumerate(SHORT)}
    found = [name for name in results["metrics"]["class"][level] if name != OVERALL]
    found.sort(key=lambda name: (order.get(name, len(order)), name))
    return [*found, OVERALL] if len(found) > 1 else [OVERALL]


def short(method: str) -> str:
    """The field's short name of a method, or its own."""
    return SHORT.get(method, method)


def percent(entry: Mapping[str, Any], metric: str) -> str:
    """A number of an entry in percent with two digits; a dash where there is none."""
    value = _value(entry, metric, "value")
    return MISSING if value is None else f"{100 * value:.2f}"


def interval(entry: Mapping[str, Any], metric: str) -> str:
    """Its 95 % interval in percent, as `[low, high]`; nothing where there is none."""
    low, high = _value(entry, metric, "low_95"), _value(entry, metric, "high_95")
    return "" if low is None or high is None else f"[{100 * low:.2f}, {100 * high:.2f}]"


def escape_markdown(text: object) -> str:
    """Any text as text in a cell of a Markdown table: on one line, no sign of it read as markup."""
    return _MARKDOWN.sub(r"\\\1", _one_line(text))


def escape_latex(text: object) -> str:
    """Any text as text in LaTeX: on one line, no sign of it read as a command."""
    return "".join(_LATEX.get(sign, sign) for sign in _one_line(text))


def _one_line(text: object) -> str:
    """Without line ends, control signs and signs that turn the direction of what follows."""
    kept = (" " if unicodedata.category(sign) in {"Cc", "Cf", "Zl", "Zp"} else sign for sign in str(text))
    return printable(" ".join("".join(kept).split()))


def _value(entry: Mapping[str, Any], metric: str, part: str) -> float | None:
    value = (entry.get(metric) or {}).get(part)
    return None if value is None or math.isnan(value) else float(value)


def _sentence(results: Mapping[str, Any], escape: Callable[[object], str]) -> str:
    """What the tables' captions say: the model, the data, the counts, the rule of the intervals."""
    data, counts = results["data"], results["data"]["methods"].values()
    where = [escape(data["title"])]
    where += [f"{name} {escape(data[name])}" for name in ("split", "compression") if data.get(name)]
    real, fake = (sum(row["videos_with_faces"] for row in counts if row["label"] == label) for label in (0, 1))
    names = ", ".join(f"{SHORT[name]} = {name}" for name in methods(results) if name in SHORT)
    return (
        f"Model {escape(results['model']['name'])} (SHA-256 {results['model']['sha256'][:12]}) on {', '.join(where)}: "
        f"{real} real and {fake} fake videos with faces, {results['skipped']['count']} skipped. "
        f"Each method's fakes are set against all reals; intervals by bootstrap over videos."
        + (f" {names}." if names else "")
    )


def _in_parts(names: Sequence[str]) -> list[Sequence[str]]:
    """At most `GROUPS` columns of methods a table, evenly."""
    parts = math.ceil(len(names) / GROUPS)
    size = math.ceil(len(names) / parts)
    return [names[start : start + size] for start in range(0, len(names), size)]


def _points(results: Mapping[str, Any], level: str, names: Sequence[str], repeat_model: bool = True) -> list[Row]:
    """A row per score: model, score, and AUC, AP, EER of each method."""
    rows = []
    for number, (score, levels) in enumerate(results["metrics"].items()):
        entries = [levels[level].get(name, {}) for name in names]
        model = results["model"]["name"] if repeat_model or not number else ""
        cells = [percent(entry, metric) for entry in entries for metric in FIELD_METRICS]
        rows.append([model, SCORE_TITLES.get(score, score), *cells])
    return rows


def _intervals(results: Mapping[str, Any], level: str) -> list[Row]:
    """A row per score and method: counts, and AUC, AP, EER with their intervals."""
    rows = []
    for score, levels in results["metrics"].items():
        for name in (name for name in methods(results, level) if name in levels[level]):
            entry = levels[level][name]
            cells = [f"{percent(entry, metric)} {interval(entry, metric)}".strip() for metric in FIELD_METRICS]
            rows.append([SCORE_TITLES.get(score, score), short(name), str(entry["real"]), str(entry["fake"]), *cells])
    return rows


def _markdown_table(header: Row, rows: Sequence[Row]) -> Row:
    lines = [[escape_markdown(cell) for cell in header], ["---"] * len(header)]
    lines += [[_markdown_cell(cell) for cell in row] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _markdown_cell(cell: str) -> str:
    """Numbers and intervals stay as they are, so that the table reads well as text too."""
    return cell if re.fullmatch(r"[\d.]+( \[[\d.]+, [\d.]+\])?", cell) else escape_markdown(cell)


def _latex_header(names: Sequence[str]) -> Row:
    width = len(FIELD_METRICS)
    groups = ["", "", *(f"\\multicolumn{{{width}}}{{c}}{{{escape_latex(short(name))}}}" for name in names)]
    firsts = range(3, 3 + width * len(names), width)
    rules = "".join(f"\\cmidrule(lr){{{first}-{first + width - 1}}}" for first in firsts)
    return [" & ".join(groups) + r" \\", rules, _latex_row(["Model", "Score", *FIELD_METRICS * len(names)])]


def _latex_row(cells: Sequence[str]) -> str:
    # A row that begins with "[" would be read as an argument of the line end before it.
    return " & ".join(f"{{{text}}}" if text.startswith("[") else text for text in map(escape_latex, cells)) + r" \\"


def _latex_table(caption: str, header: Row, rows: Sequence[Row], left: int = 2) -> Row:
    columns = "l" * left + "c" * (len(rows[0]) - left)
    return [
        r"\begin{table*}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        f"\\caption{{{caption}}}",
        f"\\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *header,
        r"\midrule",
        *(_latex_row(row) for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table*}",
        "",
    ]
