import re
from html.parser import HTMLParser

import numpy as np
import pytest

from facexray.detection.verdict import WORTH
from facexray.errors import StoreError
from facexray.evaluation.cases import Case, choose_cases
from facexray.evaluation.report import write_report
from facexray.evaluation.scored import ScoredFace

AUCS = {"Deepfakes": 0.95, "FaceSwap": 0.85}
ABOUT = {
    "made_by": "facexray evaluate",
    "date": "2026-11-22T10:00:00+00:00",
    "machine": "Linux",
    "speed": {"frames/s": 41.5},
}
TRAPS = [
    "<script>alert(1)</script>",
    "]]><img src=x onerror=alert(1)>",
    "a\" onload='x",
    "$\\frac{$ _方法 \x00 \u202e",
    "é\udce9",
]
VOID = {"meta", "img", "br", "path", "use", "rect", "line", "circle"}


class Page(HTMLParser):
    """What a page holds: its elements, its attributes and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.headings, self._open = [], [], "", [], []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] != "style":
            self.text += data
            if self._open[-1] == "h2":
                self.headings.append(data)


def cases(truth=True):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (8, 256, 256, 3), dtype=np.uint8)
    xray = np.zeros((256, 256), np.float32)
    scores = (0.9, 0.7, 0.2, 0.1)
    return [
        Case(f"case {label}{place}", label, score, pictures[4 * label + place], xray, xray if truth and label else None)
        for label in (0, 1)
        for place, score in enumerate(scores)
    ]


@pytest.fixture
def page_of(make_rows, tmp_path):
    """A function that writes the report and reads its page."""

    def write(results, shown=(), about=ABOUT):
        methods = [name for name, row in results["data"]["methods"].items() if row["label"]]
        write_report(tmp_path, results, make_rows(methods), shown, about)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return write


def estimates(*values):
    return [{"value": value, "low_95": value - 0.02, "high_95": value + 0.02} for value in values]


def full(make_results, aucs=AUCS):
    localisation = dict.fromkeys(
        ("xray_AP", "xray_IoU", "region_IoU", "xray_energy_real", "xray_energy_fake"), estimates(0.4321)[0]
    )
    sweep = {"meaning": "JPEG quality", "amounts": [90, 70, 50, 30, 15.5], "AUC": estimates(0.8, 0.7, 0.6, 0.5, 0.4)}
    return make_results(aucs, localisation=localisation | {"faces": 77}, robustness={"jpeg": sweep})


def test_the_page_says_all_that_was_measured(make_results, page_of):
    page = Page(page_of(full(make_results), cases()))
    for words in (
        WORTH,
        "90.00 %",
        "frame-level AUC, 95 % interval [89.00, 91.00]",
        "10 real, 20 fake",
        "Deepfakes, AUC 95.00",
        "X-ray, boundary energy",
        "43.21",
        "JPEG quality: 90, 70, 50, 30, 15.5",
        "5f" * 32,
        "real_below 0.3, fake_above 0.7",
        "2026-11-22T10:00:00+00:00",
        "frames/s 41.5",
    ):
        assert words in page.text, words
    assert page.tags.count("svg") == 4 + 3 + 1  # ROC, PR, DET, reliability; the legend of them; robustness
    for heading in ("Overall", "By method", "Curves", "Localisation", "Robustness", "Worst cases", "The data"):
        assert heading in page.headings


def test_what_was_not_measured_has_no_part(make_results, page_of):
    headings = Page(page_of(make_results({"BI": 0.9}))).headings
    assert not {"By method", "Localisation", "Robustness", "Worst cases", "Best cases"} & set(headings)


def test_nothing_in_the_page_is_run_or_loaded(make_results, page_of):
    page = Page(page_of(full(make_results), cases()))
    assert not {"script", "link", "iframe", "object", "image", "foreignobject", "form", "a"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("data:image/jpeg;base64,", "#"))
        if name == "style":
            assert "url(" not in value
    assert ("meta", "http-equiv", "Content-Security-Policy") in page.attributes


def test_every_name_is_text(make_results, page_of):
    results = full(make_results, {trap: 0.9 for trap in TRAPS})
    files = [{"file": trap, "reason": trap} for trap in TRAPS]
    results["skipped"] = {"count": len(TRAPS), "reasons": dict.fromkeys(TRAPS, 1), "files": files}
    results["model"]["name"] = results["data"]["title"] = results["settings"]["data"] = "".join(TRAPS)
    results["robustness"] = {trap: results["robustness"]["jpeg"] | {"meaning": trap} for trap in TRAPS}
    shown = [Case(trap, 0, 0.1, np.zeros((256, 256, 3), np.uint8), np.zeros((256, 256), np.float32)) for trap in TRAPS]
    html = page_of(results, shown, ABOUT | {"machine": "".join(TRAPS)})
    page = Page(html)
    assert set(page.tags) <= set(Page(page_of(full(make_results), cases())).tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "<script" not in html
    for trap in TRAPS:
        text = trap.encode(errors="backslashreplace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
        assert page.text.replace("\0", "\N{REPLACEMENT CHARACTER}").count(text) >= 12, text


def test_worst_and_best_cases_are_told_apart(make_results, page_of):
    html = page_of(make_results(AUCS), cases())
    titles = re.findall(r"case (\d\d):", html)
    assert titles == ["00", "01", "13", "12", "02", "03", "11", "10"]
    assert Page(html).tags.count("img") == 4 * 2 + 4 * 3  # view and X-ray; of fakes the true X-ray, too


def test_long_lists_are_folded_and_cut(make_results, page_of):
    files = [{"file": f"clip{number}.mp4", "reason": "no face"} for number in range(1000)]
    skipped = {"count": 1000, "reasons": {"no face": 1000}, "files": files}
    short = Page(page_of(make_results(AUCS)))
    page = Page(page_of(make_results(AUCS, skipped=skipped)))
    assert page.tags.count("details") == short.tags.count("details") + 1
    assert "clip199.mp4" in page.text
    assert "clip200.mp4" not in page.text
    assert "The first 200 of 1,000 files" in page.text


def test_of_many_methods_the_hardest_are_drawn(make_results, page_of):
    page = Page(page_of(make_results({f"m{number:02d}": 0.5 + number / 100 for number in range(30)})))
    legend = re.findall(r"(\w+), AUC \d", page.text)
    assert legend == [*(f"m{number:02d}" for number in range(12)), "overall"]
    assert "Of 30 methods, the 12 with the lowest AUC" in page.text


def test_the_same_results_give_the_same_bytes_but_for_the_date(make_results, page_of, tmp_path):
    first, tables = page_of(full(make_results), cases()), (tmp_path / "tables.tex").read_bytes()
    assert page_of(full(make_results), cases()) == first
    other = page_of(full(make_results), cases(), ABOUT | {"date": "2027-01-01"})
    assert other.replace("2027-01-01", ABOUT["date"]) == first
    assert (tmp_path / "tables.tex").read_bytes() == tables


def test_a_folder_that_cannot_be_written_is_an_error(make_results, make_rows, tmp_path):
    with pytest.raises(StoreError, match="cannot be written"):
        write_report(tmp_path / "gone", make_results(AUCS), make_rows(AUCS), [], ABOUT)


def row(label, video, score, frame=0):
    return ScoredFace("set", "m", video, label, "", "", f"{video}.mp4", frame, 0, None, {"class": score})


def test_the_worst_and_the_best_are_chosen():
    rows = [
        row(label, f"{label}{video}", video / 10, frame) for label in (0, 1) for video in range(10) for frame in (0, 1)
    ]
    chosen = [(face.label, face.scores["class"]) for face in choose_cases(rows, each=2)]
    assert chosen == [(0, 0.9), (0, 0.8), (0, 0.0), (0, 0.1), (1, 0.0), (1, 0.1), (1, 0.9), (1, 0.8)]


def test_the_choice_does_not_depend_on_the_order():
    rows = [row(0, str(video), 0.5, frame) for video in range(20) for frame in range(3)]
    assert choose_cases(rows) == choose_cases(rows[::-1])


def test_few_faces_are_chosen_once_each():
    rows = [row(0, "a", 0.1), row(0, "b", 0.2), row(1, "c", 0.8)]
    chosen = choose_cases(rows)
    assert sorted(face.video for face in chosen) == ["a", "b", "c"]


def test_one_video_does_not_fill_the_page():
    rows = [row(0, "a", 0.9 + frame / 1000, frame) for frame in range(50)] + [row(0, "b", 0.5), row(0, "c", 0.4)]
    assert [face.video for face in choose_cases(rows, each=2)][:2] == ["a", "b"]


@pytest.mark.parametrize("no_face", ["leave_out", "half"])
def test_what_was_skipped_and_counts_all_the_same_is_told(make_results, page_of, no_face):
    results = make_results(AUCS)
    results["settings"]["no_face"] = no_face
    text = Page(page_of(results)).text
    assert "read in part, or scored without its mask, counts by the faces that were found in it" in text
    assert ("as a score of 0.5 among the class head's videos" in text) == (no_face == "half")
    assert "others count in no number" in text
    assert "None of these" not in text
