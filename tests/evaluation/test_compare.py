"""`compare` on the files of two evaluations, written here as evaluate writes them."""

import csv
import json
from dataclasses import dataclass, field

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from facexray.cli import main
from facexray.errors import SettingsError, StoreError
from facexray.evaluation.compare import compare
from facexray.evaluation.scored import SCORES

VIDEOS = 60
FRAMES = 4


@dataclass
class Evaluation:
    """What an evaluation leaves; changed by tests before it is written."""

    noise: float
    seed: int
    rows: list = field(default_factory=list)
    results: dict = field(default_factory=dict)

    def __post_init__(self):
        hard, rng = np.random.default_rng(0).normal(size=VIDEOS), np.random.default_rng(self.seed)
        for video in range(VIDEOS):
            label = video % 2
            method = ("DF", "FS")[video // 2 % 2] if label else "real"
            name = f"{video // (4 if label else 2):03}"  # shared by videos of several methods
            for frame in range(FRAMES):
                score = 1 / (1 + np.exp(-rng.normal(2 * label - 1 + hard[video], self.noise)))
                self.rows.append(
                    {"dataset": "FF++", "method": method, "video": name, "label": label, "split": "test"}
                    | {"compression": "c23", "file": f"{method}/{name}.mp4", "frame": 7 * frame, "face": 0}
                    | {"overlap": "", **dict.fromkeys(SCORES, f"{score:.9g}")}
                )
        data = {"protocol": "ff++", "split": "test", "compression": "c23"}
        self.results = {"model": {"name": f"noise {self.noise}"}, "data": data, "metrics": {}}

    def write(self, folder):
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(self.results), encoding="utf-8")
        with (folder / "scores.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        return folder / "results.json"


@pytest.fixture
def good():
    return Evaluation(noise=0.3, seed=1)


@pytest.fixture
def bad():
    return Evaluation(noise=3.0, seed=2)


def area(rows, level, score="class"):
    """AUC of frames, or of videos' means, by scikit-learn."""
    groups = {}
    for row in rows:
        key = (row["dataset"], row["method"], row["video"], row["frame"] * (level == "frame_level"))
        groups.setdefault(key, []).append((row["label"], float(row[score])))
    return roc_auc_score(
        [rows[0][0] for rows in groups.values()], [np.mean(rows, axis=0)[1] for rows in groups.values()]
    )


def test_says_which_is_better(good, bad, tmp_path, capsys):
    found = compare(good.write(tmp_path / "a"), bad.write(tmp_path / "b"))
    assert found["videos"] == {"both": VIDEOS, "only_a": 0, "only_b": 0}
    for level in ("frame_level", "video_level"):
        entry = found[level]["overall"]
        assert entry["a"] == pytest.approx(area(good.rows, level))
        assert entry["b"] == pytest.approx(area(bad.rows, level))
        assert entry["difference"] == pytest.approx(entry["a"] - entry["b"])
        assert entry["low_95"] < entry["difference"] < entry["high_95"]
        assert list(found[level]) == ["overall", "DF", "FS"]
    assert (found["frame_level"]["overall"]["better"], found["frame_level"]["overall"]["real"]) == ("a", 30)
    printed = capsys.readouterr().out
    assert "A: noise 0.3" in printed
    assert "A − B" in printed


def test_an_evaluation_is_no_better_than_itself(good, tmp_path, capsys):
    path = good.write(tmp_path / "a")
    found = compare(path, path.parent)
    assert {entry["difference"] for entry in found["video_level"].values()} == {0}
    assert "within chance" in capsys.readouterr().out


def test_only_common_videos_count_and_the_others_are_named(good, bad, tmp_path, capsys):
    full = compare(good.write(tmp_path / "a"), bad.write(tmp_path / "b"), json=True)
    lost = ("DF", good.rows[FRAMES]["video"])
    few = [row for row in bad.rows if (row["method"], row["video"]) != lost]
    assert len(few) == len(bad.rows) - FRAMES
    bad.rows = few
    capsys.readouterr()
    found = compare(tmp_path / "a", bad.write(tmp_path / "few"))
    assert found["videos"] == {"both": VIDEOS - 1, "only_a": 1, "only_b": 0}
    assert f"1 that only A scored: FF++/{'/'.join(lost)}" in " ".join(capsys.readouterr().out.split())
    assert found["frame_level"]["overall"]["b"] == pytest.approx(area(few, "frame_level"))
    assert found["frame_level"]["overall"]["a"] != full["frame_level"]["overall"]["a"]


def test_the_order_of_rows_and_the_place_of_files_do_not_matter(good, bad, tmp_path):
    expected = compare(good.write(tmp_path / "a"), bad.write(tmp_path / "b"))
    bad.rows = [{**row, "file": f"/elsewhere/{row['file']}"} for row in reversed(bad.rows)]
    found = compare(tmp_path / "a", bad.write(tmp_path / "c"))
    assert (found["frame_level"], found["video_level"]) == (expected["frame_level"], expected["video_level"])


def test_of_several_faces_the_highest_counts(good, bad, tmp_path):
    expected = compare(good.write(tmp_path / "a"), bad.write(tmp_path / "b"))
    good.rows += [{**row, "face": 1, "class": "0.000001"} for row in good.rows[::3]]
    found = compare(good.write(tmp_path / "faces"), tmp_path / "b")
    assert found["frame_level"] == expected["frame_level"]


def test_another_score_is_compared_by_name(good, bad, tmp_path):
    for row in good.rows:
        row["xray_max"] = str(1 - float(row["class"]))
    found = compare(good.write(tmp_path / "a"), bad.write(tmp_path / "b"), score="xray_max")
    assert found["video_level"]["overall"]["a"] == pytest.approx(area(good.rows, "video_level", "xray_max"))
    assert found["video_level"]["overall"]["better"] == "b"
    with pytest.raises(SettingsError, match="no score; there are: class, xray_mean"):
        compare(tmp_path / "a", tmp_path / "b", score="fake")


def test_the_command_prints_json(good, bad, tmp_path, capsys):
    paths = [str(run.write(tmp_path / name)) for name, run in (("a", good), ("b", bad))]
    assert main(["compare", *paths, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["frame_level"]["overall"]["better"] == "a"
    assert found["made_by"] == "facexray compare"
    assert found["b"]["name"] == "noise 3.0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: run.results["data"].update(compression="c40"), "compression is 'c23' and 'c40'"),
        (lambda run: run.results["data"].update(protocol="celeb-df-v2"), r"protocol is 'ff\+\+' and 'celeb-df-v2'"),
        (lambda run: run.results["data"].update(set_sha256="7a9e"), "set_sha256 is None and '7a9e'"),
        (lambda run: run.results.update(settings={"faces": "largest"}), "--faces is None and 'largest'"),
        (lambda run: run.results.update(settings={"min_face": 96}), "--min_face is None and 96"),
        (
            lambda run: [row.update(dataset="other") for row in run.rows],
            r"no video in common: they are of FF\+\+ and other",
        ),
        (
            lambda run: [row.update(label=1 - row["label"]) for row in run.rows[:8]],
            "call other videos fake: FF.*/real/",
        ),
        (lambda run: [row.update(frame=row["frame"] + 1) for row in run.rows[:1]], "other frames of FF.*--frames"),
        (lambda run: run.rows.__setitem__(slice(None), run.rows[:4]), "of the 1 videos that both scored all are real"),
    ],
)
def test_says_what_differs(change, message, good, bad, tmp_path):
    change(bad)
    with pytest.raises(SettingsError, match=message):
        compare(good.write(tmp_path / "a"), bad.write(tmp_path / "b"))


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("results.json", "{", StoreError, "results.json: is damaged"),
        ("results.json", "[1]", StoreError, "results.json: is damaged"),
        ("results.json", "{}", SettingsError, "is no results.json of facexray evaluate"),
        ("results.json", None, SettingsError, "results.json: cannot be read.*No such file"),
        ("scores.csv", None, SettingsError, "scores.csv: cannot be read.*leave scores.csv beside it"),
        ("scores.csv", "dataset,method\nFF++,real\n", StoreError, "scores.csv: line 2 is damaged"),
    ],
)
def test_says_what_is_wrong_with_a_file(name, text, error, message, good, bad, tmp_path):
    good.write(tmp_path / "a")
    bad.write(tmp_path / "b")
    if text is None:
        (tmp_path / "b" / name).unlink()
    else:
        (tmp_path / "b" / name).write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        compare(tmp_path / "a", tmp_path / "b")


def test_a_blended_set_is_the_same_under_another_folders_name(good, bad, tmp_path):
    expected = compare(good.write(tmp_path / "a"), bad.write(tmp_path / "b"))
    for run, name in ((good, "set"), (bad, "copy")):
        run.results["data"]["set_sha256"] = "7a9e"
        run.rows = [{**row, "dataset": name} for row in run.rows]
    found = compare(good.write(tmp_path / "c"), bad.write(tmp_path / "d"))
    assert found["videos"] == expected["videos"]
    assert found["video_level"] == expected["video_level"]


@pytest.mark.parametrize("name", ["a [/x]", "[red]", ":fire:"])
def test_a_methods_name_is_no_markup(name, good, bad, tmp_path, capsys):
    for run in (good, bad):
        run.rows = [{**row, "method": name if row["method"] == "DF" else row["method"]} for row in run.rows]
    compare(good.write(tmp_path / "a"), bad.write(tmp_path / "b"))
    assert name in capsys.readouterr().out
