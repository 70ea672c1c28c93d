import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from facexray.evaluation import figures

RNG = np.random.default_rng(0)


def scored(count=300, shift=1.5):
    labels = np.arange(count) % 2
    return labels, 1 / (1 + np.exp(-(RNG.normal(size=count) + shift * labels)))


SCORED = {"$x^$ <b> _方法": scored(), "overall": scored()}
DRAWN = {
    "roc": lambda: figures.draw_roc(SCORED),
    "pr": lambda: figures.draw_precision_recall(SCORED),
    "det": lambda: figures.draw_det(SCORED),
    "reliability": lambda: figures.draw_reliability(*SCORED["overall"]),
    "robustness": lambda: figures.draw_robustness("jpeg", AUCS, 0.45),
}
AUCS = [{"value": v, "low_95": v - 0.02, "high_95": v + 0.02} for v in (0.95, 0.9, 0.8, 0.7, 0.6, 0.5)]
EACH = pytest.mark.parametrize("name", DRAWN)


def points(svg, colour):
    """The points (N, 2) of the line of a colour, in the drawing's units, y upward."""
    path = re.search(rf'<path d="([^"]*)"[^>]*stroke: {colour}', svg)[1]
    return np.array([[float(x), -float(y)] for x, y in re.findall(r"[ML] ([\d.-]+) ([\d.-]+)", path)])


@EACH
def test_a_figure_is_an_element_that_loads_and_runs_nothing(name):
    svg = DRAWN[name]()
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "currentColor" in svg
    assert figures.INK not in svg
    assert "#ffffff" not in svg  # the page's ground shows through, light or dark
    assert not re.search(r"<script|<style|<image|<foreignObject| on\w+=", svg)
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"]*", svg)) <= namespaces
    assert set(re.findall(r'href="(.)', svg)) <= {"#"}


@EACH
def test_its_words_are_text_and_no_names_of_a_users(name):
    svg = DRAWN[name]()
    words = [text.text for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert any("(%)" in word for word in words)
    assert "方法" not in svg


@EACH
def test_the_same_numbers_give_the_same_bytes_under_any_settings(name):
    first = DRAWN[name]()
    with matplotlib.rc_context({"svg.fonttype": "path", "lines.linewidth": 9, "axes.facecolor": "red"}):
        assert DRAWN[name]() == first
    assert not re.search(r"20\d\d-\d\d-\d\d", first)


def test_figures_leave_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    DRAWN["roc"]()
    assert dict(matplotlib.rcParams) == before


def test_figures_of_a_page_share_no_ids():
    ids = [re.findall(r'\bid="([^"]*)"', make()) for make in DRAWN.values()]
    ids += [re.findall(r'\bid="([^"]*)"', figures.draw_robustness("blur", AUCS, 0.45))]
    flat = [name for part in ids for name in part]
    assert len(flat) == len(set(flat))


def test_the_roc_curve_encloses_its_auc():
    from sklearn.metrics import roc_auc_score

    line = points(figures.draw_roc(SCORED), "currentColor; stroke-width: 2.2")
    span = line[-1] - line[0]
    area = np.trapezoid(line[:, 1] - line[0, 1], line[:, 0]) / span.prod()
    assert area == pytest.approx(roc_auc_score(*SCORED["overall"]), abs=0.003)


def test_a_curve_of_very_many_frames_stays_small():
    svg = figures.draw_roc({"overall": scored(160_000)})
    assert len(svg) < 60_000
    assert len(points(svg, "currentColor; stroke-width: 2.2")) < 1000


def test_the_det_curve_of_normal_scores_is_straight():
    labels = np.arange(40_000) % 2
    scores = RNG.normal(size=40_000) + 2.0 * labels
    line = points(figures.draw_det({"overall": (labels, scores)}), "currentColor; stroke-width: 2.2")
    left, right = np.quantile(line[:, 0], [0.3, 0.7])
    middle = line[(line[:, 0] > left) & (line[:, 0] < right)]
    slope, _ = np.polyfit(*middle.T, 1)
    assert slope == pytest.approx(-1, abs=0.1)


def test_the_reliability_of_true_probabilities_is_the_diagonal():
    given = RNG.uniform(size=100_000)
    labels = RNG.uniform(size=given.size) < given
    svg = figures.draw_reliability(labels, given)
    line = points(svg, figures.PALETTE[0])
    straight = np.polyval(np.polyfit(*line.T, 1), line[:, 0])
    assert np.abs(straight - line[:, 1]).max() < 3
    assert len(line) == 15


def test_perfect_scores_can_be_drawn():
    labels = np.array([0, 0, 1, 1])
    for draw in (figures.draw_roc, figures.draw_precision_recall, figures.draw_det):
        assert "nan" not in draw({"overall": (labels, labels.astype(float))}).lower()
    assert "nan" not in figures.draw_reliability(labels, labels).lower()


def test_the_robustness_curve_passes_its_numbers():
    line = points(DRAWN["robustness"](), figures.PALETTE[0])
    assert len(line) == 6
    assert np.diff(line[:, 0]) == pytest.approx(line[1, 0] - line[0, 0], abs=0.05)
    assert np.diff(line[1:, 1]) == pytest.approx(line[2, 1] - line[1, 1], abs=0.05)  # 10 points each


def test_strokes_tell_24_methods_apart():
    found = figures.strokes([f"m{number}" for number in range(24)] + ["overall"])
    assert len({(stroke.colour, stroke.dashes) for stroke in found.values()}) == 25
    assert found["overall"].colour == figures.INK
