import re

import pytest

from facexray.evaluation.tables import escape_latex, escape_markdown, latex, markdown, methods

FOUR = {"NeuralTextures": 0.9813, "Deepfakes": 0.9917, "FaceSwap": 0.9821, "Face2Face": 0.9857}
TRAPS = [
    "<script>alert(1)</script>",
    "a|b",
    "x_1 & 50 % #",
    r"\input{/etc/passwd}",
    "]]>",
    "方法",
    "a\nb\u202ec",
    "`*[x](y)*`",
    'a "b"',
]


def cells(line):
    """The cells of a Markdown row, split where a sign is not escaped."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def markdown_tables(text):
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[cells(line) for line in block.splitlines()] for block in blocks]


def test_the_methods_stand_in_the_papers_order(make_results):
    names = methods(make_results(FOUR | {"another": 0.5}))
    assert names == ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "another", "overall"]


def test_one_method_is_not_said_twice(make_results):
    assert methods(make_results({"BI": 0.9})) == ["overall"]


def test_markdown_has_the_papers_row(make_results):
    frame, intervals, video, _ = markdown_tables(markdown(make_results(FOUR)))
    names = ["DF", "F2F", "FS", "NT", "overall"]
    assert frame[0] == ["model", "score", *(f"{name} {metric}" for name in names for metric in ("AUC", "AP", "EER"))]
    numbers = "99.17 98.17 97.17 98.57 97.57 96.57 98.21 97.21 96.21 98.13 97.13 96.13 90.00 89.00 88.00"
    assert frame[2] == ["net", "class head", *numbers.split()]
    assert len(frame) == 2 + 5  # a row per score
    assert video[2][2] == "98.67"
    assert intervals[2] == [
        "class head",
        "DF",
        "40",
        "40",
        *(f"{v:.2f} [{v - 1:.2f}, {v + 1:.2f}]" for v in (99.17, 98.17, 97.17)),
    ]
    assert len(intervals) == 2 + 5 * 5


def test_the_words_say_what_was_measured(make_results):
    for text in (markdown(make_results(FOUR)), latex(make_results(FOUR))):
        assert "split test, compression c23: 10 real and 40 fake videos with faces, 2 skipped" in text
        assert "bootstrap over videos" in text
        assert "5f5f5f5f5f5f" in text


@pytest.mark.parametrize("count", [1, 2, 5, 6, 23])
def test_many_methods_go_into_several_tables(make_results, count):
    names = [f"m{number:02d}" for number in range(count)]
    text = markdown(make_results(dict.fromkeys(names, 0.8)))
    points = [table for table in markdown_tables(text) if table[0][0] == "model"]
    assert all(len(line) == len(table[0]) <= 2 + 3 * 5 for table in points for line in table)
    shown = [
        name.removesuffix(" AUC") for table in points[: len(points) // 2] for name in table[0] if name.endswith(" AUC")
    ]
    assert shown == ([*names, "overall"] if count > 1 else ["overall"])


def test_a_number_that_is_not_there_is_a_dash(make_results):
    results = make_results(FOUR)
    entries = results["metrics"]["class"]["frame_level"]
    entries["Deepfakes"]["AUC"] = None
    entries["Face2Face"]["AUC"] = dict.fromkeys(("value", "low_95", "high_95"), float("nan"))
    row = markdown_tables(markdown(results))[0][2]
    assert (row[2], row[5]) == ("–", "–")
    assert "nan" not in markdown(results) + latex(results)


@pytest.mark.parametrize("name", TRAPS)
def test_a_markdown_cell_holds_any_name(make_results, name):
    tables = markdown_tables(markdown(make_results({name: 0.8, "Deepfakes": 0.9})))
    assert all(len(line) == len(table[0]) for table in tables for line in table)
    assert f"{escape_markdown(name)} AUC" in tables[0][0]
    assert re.sub(r"\\(.)", r"\1", escape_markdown(name)) == re.sub(r"[\n\u202e]", " ", name)
    assert not re.search(r"(?<!\\)[<>`*_|\[\]]", escape_markdown(name))


@pytest.mark.parametrize("name", TRAPS)
def test_latex_holds_any_name(make_results, name):
    text = latex(make_results({name: 0.8, "Deepfakes": 0.9}))
    for line in text.splitlines()[1:]:
        bare = re.sub(r"\\[{}$&#_%,\\]", "", line)
        assert bare.count("{") == bare.count("}")
        assert not re.search(r"[#$%^~]", bare)
    commands = set(re.findall(r"\\[a-zA-Z]+", escape_latex(name)))
    assert all(re.fullmatch(r"\\text(backslash|less|greater|bar|asciitilde|asciicircum)", name) for name in commands)


def test_every_latex_row_has_its_columns(make_results):
    text = latex(make_results(FOUR | {"a & b": 0.7, "c": 0.6}))
    parts = text.split(r"\begin{tabular}")[1:]
    assert len(parts) == 6  # two of points and one of intervals, at two levels
    for table in parts:
        columns = len(re.match(r"\{([lc]+)\}", table)[1])
        body = table.split(r"\midrule")[1].split(r"\bottomrule")[0]
        assert {len(re.split(r"(?<!\\)&", line)) for line in body.strip().splitlines()} == {columns}
        for start, end in re.findall(r"\\cmidrule\(lr\)\{(\d+)-(\d+)\}", table):
            assert 3 <= int(start) < int(end) <= columns


def test_the_same_results_give_the_same_bytes(make_results):
    assert markdown(make_results(FOUR)) == markdown(make_results(dict(reversed(FOUR.items()))))
    assert latex(make_results(FOUR)) == latex(make_results(FOUR))


def test_a_method_that_counts_at_video_level_alone_stands_there_alone(make_results):
    """Its videos show no face, and --no_face half counts them for the class head."""
    results = make_results(FOUR | {"faceless": 0.5})
    for score, levels in results["metrics"].items():
        for level in levels if score != "class" else ("frame_level",):
            del levels[level]["faceless"]
    texts = (markdown(results), "**video-level", 3), (latex(results), "Video-level", 1)
    for text, video_level, columns in texts:
        frames, videos = text.split(video_level, 1)
        assert "faceless" not in frames
        assert videos.count("faceless") == columns + 1  # and once in the intervals, of the class head
    tables = [table for table in markdown_tables(markdown(results)) if "faceless AUC" in table[0]]
    assert [row[table[0].index("faceless AUC")] for table in tables for row in table[2:]] == ["49.50", *4 * ["–"]]
