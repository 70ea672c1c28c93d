"""The command as a whole: every kind of data, what is skipped and counted, kills, caches, refusals."""

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import time

import layouts
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from facexray.blending.command import blend
from facexray.blending.writers import read_blended
from facexray.errors import MediaError, ModelError, SettingsError, StoreError
from facexray.evaluation.cache import NAME, Cache
from facexray.evaluation.clock import Clock
from facexray.evaluation.command import _csv_line, evaluate
from facexray.evaluation.compare import compare
from facexray.evaluation.config import EvaluateConfig
from facexray.evaluation.data import open_data
from facexray.faces.prepare import prepare
from facexray.images import read_image, write_image
from facexray.runtime.model import Prediction, XrayModel

MODEL = "mobilenetv2_100.portraits"
SHORT = EvaluateConfig(frames=3)


@pytest.fixture(scope="module")
def blended(store, tmp_path_factory):
    return blend(store.path, 24, tmp_path_factory.mktemp("sets") / "set", seed=1)


@pytest.fixture(scope="module")
def labelled(portraits, make_video, broken_files, tmp_path_factory):
    """Two methods with a video of one name; beside them what cannot be read, is cut off, or shows no face or two."""
    root = tmp_path_factory.mktemp("labelled") / "data"
    for name in ("real/深", "fake/swap", "fake/puppet"):
        (root / name).mkdir(parents=True)
    hopper, astronaut = (read_image(portraits[name]) for name in ("hopper", "astronaut"))
    write_image(root / "real" / "hopper.png", hopper)
    make_video(root / "real" / "深" / "000.mp4", astronaut, frames=6)
    make_video(root / "fake" / "swap" / "000.mp4", hopper, frames=6)
    make_video(root / "fake" / "puppet" / "000.mp4", hopper[:, ::-1], frames=6)
    write_image(root / "fake" / "swap" / "two.png", np.hstack([hopper[:512], astronaut]))
    make_video(root / "fake" / "swap" / "wall.mp4", np.full((400, 300, 3), 120, np.uint8), frames=4)
    whole = make_video(root / "fake" / "puppet" / "cut.mp4", astronaut, options={"movflags": "faststart"}).read_bytes()
    (root / "fake" / "puppet" / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    (root / "real" / "text.mp4").write_bytes((broken_files[0] / "text.mp4").read_bytes())
    return root


@pytest.fixture(scope="module")
def evaluated(labelled, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "results"
    return evaluate(MODEL, labelled, out, settings=SHORT), out


def rows_of(out):
    with (out / "scores.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_labelled_folder_gets_its_numbers_and_counts_what_it_skips(evaluated):
    results, out = evaluated
    assert results == json.loads((out / "results.json").read_text(encoding="utf-8"))
    methods = results["data"]["methods"]
    assert methods["real"] == {"label": 0, "videos": 3, "videos_with_faces": 2, "frames": 4, "faces": 4}
    assert methods["swap"] == {"label": 1, "videos": 3, "videos_with_faces": 2, "frames": 7, "faces": 5}
    assert methods["puppet"]["videos_with_faces"] == methods["puppet"]["videos"] == 2
    skipped = {entry["file"].rsplit("/", 1)[1]: entry["reason"] for entry in results["skipped"]["files"]}
    assert skipped.keys() == {"wall.mp4", "text.mp4", "cut.mp4"}
    assert skipped["wall.mp4"] == "no face found"
    assert skipped["cut.mp4"] == "cut off: judged by what was there"
    assert "not a readable video" in skipped["text.mp4"]
    assert results["skipped"]["count"] == 3 == sum(results["skipped"]["reasons"].values())
    entries = results["metrics"]["class"]
    assert entries["video_level"]["overall"]["real"] == entries["video_level"]["swap"]["real"] == 2
    assert entries["video_level"]["overall"]["fake"] == 4
    assert entries["video_level"]["swap"]["fake"] == entries["video_level"]["puppet"]["fake"] == 2
    assert results["settings"]["threshold"] == results["model"]["thresholds"]["fake_above"]
    assert results["localisation"] is results["robustness"] is None


def test_the_numbers_are_those_of_the_rows(evaluated):
    """Frames by their highest face, videos by the mean of these, in a few lines of Python and scikit-learn."""
    results, out = evaluated
    frames, videos = {}, {}
    for row in rows_of(out):
        place = row["method"], row["video"], row["frame"]
        frames[place] = max(frames.get(place, 0.0), float(row["class"]))
    for (method, video, _), score in frames.items():
        videos.setdefault((method, video), []).append(score)
    for level, scores in (("frame_level", frames), ("video_level", {key: np.mean(of) for key, of in videos.items()})):
        labels = [method != "real" for method, *_ in scores]
        entry = results["metrics"]["class"][level]["overall"]
        assert entry["AUC"]["value"] == pytest.approx(roc_auc_score(labels, list(scores.values())))
        assert entry["fake"] == sum(labels)
        assert entry["AUC"]["low_95"] <= entry["AUC"]["value"] <= entry["AUC"]["high_95"]
    assert any(row["face"] == "1" for row in rows_of(out))
    assert all(0 <= float(row[score]) <= 1 for row in rows_of(out) for score in results["metrics"])


def test_every_output_is_there(evaluated):
    _, out = evaluated
    names = {path.name for path in out.iterdir()}
    assert names >= {"results.json", "scores.csv", "report.html", "tables.md", "tables.tex", "about.json", NAME}
    about = json.loads((out / "about.json").read_text())
    assert about["speed"].keys() >= {f"{part}frames_per_s" for part in ("", "decode_", "faces_", "network_")}
    assert "date" not in (out / "results.json").read_text()


def test_again_with_other_numbers_it_decodes_nothing(evaluated, labelled, monkeypatch):
    _, out = evaluated
    before = rows_of(out)
    monkeypatch.setattr("facexray.evaluation.command._cases", lambda *_: [])
    monkeypatch.setattr("facexray.faces.detector.FaceDetector.detect", lambda *_: pytest.fail("looked again"))
    settings = EvaluateConfig(frames=3, faces="largest", no_face="half", threshold=0.9)
    results = evaluate(MODEL, labelled, out, settings=settings)
    assert [row for row in before if row["face"] == "0"] == rows_of(out)
    assert results["metrics"]["class"]["video_level"]["overall"]["fake"] == 5
    assert results["metrics"]["class"]["frame_level"]["overall"]["fake"] == len(rows_of(out)) - 4
    assert results["metrics"]["xray_mean"]["video_level"]["overall"]["fake"] == 4
    assert results["skipped"]["count"] == 3
    evaluate(MODEL, labelled, out, settings=SHORT)
    assert rows_of(out) == before


def test_cases_that_cannot_be_seen_again_are_left_out_of_the_report(evaluated, labelled, tmp_path, monkeypatch):
    """Their drive is gone, or another version of OpenCV finds no face there any more."""
    out = shutil.copytree(evaluated[1], tmp_path / "out")
    evaluate(MODEL, labelled, out, settings=SHORT)
    before = (out / "report.html").stat().st_size
    monkeypatch.setattr("facexray.faces.detector.FaceDetector.detect", lambda *_: [])
    monkeypatch.setattr("facexray.evaluation.video_sources.read_video", lost)
    evaluate(MODEL, labelled, out, settings=SHORT)
    assert rows_of(out) == rows_of(evaluated[1])
    assert 0 < (out / "report.html").stat().st_size < before / 2


def lost(path, *_):
    raise MediaError(f"{path}: cannot be read (Input/output error)")


def start(data, out):
    code = "import sys; from facexray.cli import main; sys.exit(main())"
    words = ["evaluate", MODEL, str(data), "--out", str(out), "--frames", "3"]
    return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def lines_in(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("torn", [False, True])
def test_killed_and_run_again_it_ends_with_the_same_bytes(torn, evaluated, labelled, tmp_path):
    _, whole = evaluated
    evaluate(MODEL, labelled, whole, settings=SHORT)
    out = tmp_path / "out"
    child, limit = start(labelled, out), 3 + 5 * torn
    deadline = time.monotonic() + 60
    while lines_in(out / NAME) < limit and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not (out / "results.json").exists()
    if torn:
        (out / NAME).write_bytes((out / NAME).read_bytes()[:-9])
    assert 0 < lines_in(out / NAME) < lines_in(whole / NAME)
    evaluate(MODEL, labelled, out, settings=SHORT)
    for name in ("results.json", "scores.csv"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_a_blended_set_is_located_by_its_own_masks(blended, tmp_path):
    results = evaluate(MODEL, blended, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    labels, scores = [int(row["label"]) for row in rows], [float(row["class"]) for row in rows]
    assert len(rows) == 24
    entries = results["metrics"]["class"]
    assert entries["frame_level"]["overall"]["AUC"]["value"] == pytest.approx(roc_auc_score(labels, scores))
    backgrounds = {(row["label"], row["video"]) for row in rows}
    assert entries["video_level"]["overall"]["real"] + entries["video_level"]["overall"]["fake"] == len(backgrounds)
    located = results["localisation"]
    assert located["faces"] == sum(labels)
    for name in ("xray_AP", "xray_IoU", "region_IoU", "xray_energy_real", "xray_energy_fake"):
        assert 0 <= located[name]["low_95"] <= located[name]["value"] <= located[name]["high_95"] <= 1
    before = {name: (tmp_path / "out" / name).read_bytes() for name in ("results.json", "scores.csv")}
    evaluate(MODEL, blended, tmp_path / "out")
    assert before == {name: (tmp_path / "out" / name).read_bytes() for name in before}


def test_the_faces_of_one_video_are_one_witness_in_a_blended_set(portraits, make_video, tmp_path, monkeypatch):
    monkeypatch.setattr(XrayModel, "predict", quick)
    (tmp_path / "videos").mkdir()
    for name, path in portraits.items():
        make_video(tmp_path / "videos" / f"{name}.mp4", read_image(path), frames=6)
    prepare([tmp_path / "videos"], tmp_path / "store", frames=4)
    made = blend(tmp_path / "store", 16, tmp_path / "set", seed=1)
    results = evaluate(MODEL, made, tmp_path / "out", settings=EvaluateConfig(faces="mask"))
    assert {of["videos"] for of in results["data"]["methods"].values()} == {2}
    assert sum(of["faces"] for of in results["data"]["methods"].values()) == 16
    backgrounds = {view.background for view in read_blended(made)}
    assert len(backgrounds) > 4 > len({row["video"] for row in rows_of(tmp_path / "out")})
    assert all((row["overlap"] == "") == (row["label"] == "0") for row in rows_of(tmp_path / "out"))


@pytest.mark.parametrize(("asked", "said"), [(None, "c23"), ("c23", "c23")])
def test_the_compression_that_was_found_is_said(asked, said, tmp_path):
    data = layouts.faceforensics(tmp_path / "data")
    with Cache(tmp_path / "out", "model") as cache:
        opened = open_data(data, None, EvaluateConfig(protocol="ff++", compression=asked), cache, Clock())
    assert opened.facts["compression"] == said


@pytest.mark.parametrize(("column", "cell", "split"), [("", "", None), (",split", ",test", "test")])
def test_the_split_that_was_found_is_said(column, cell, split, tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "list.csv").write_text(f"file,label{column}\na.png,0{cell}\n../{tmp_path.name}/a.png,1{cell}\n")
    with Cache(tmp_path / "out", "model") as cache:
        opened = open_data(tmp_path / "list.csv", None, EvaluateConfig(), cache, Clock())
    assert opened.facts["split"] == split


def test_a_line_of_scores_holds_any_name():
    cells = ["a", "b\rc", "d\ne", 'f"g,h', "i\r\n"]
    text = _csv_line(cells) + _csv_line(["next"])
    assert list(csv.reader(io.StringIO(text, newline=""))) == [cells, ["next"]]


def test_blended_sets_of_one_name_are_told_apart(blended, store, tmp_path):
    """Moved, a set is what it was; blended with another seed, it is not, though its backgrounds bear the same names."""
    moved = shutil.copytree(blended, tmp_path / "moved" / "set")
    other = blend(store.path, 24, tmp_path / "other" / "set", seed=2)
    sets = {"first": blended, "moved": moved, "other": other}
    for name, path in sets.items():
        evaluate(MODEL, path, tmp_path / name / "out")
    first, moved, other = (tmp_path / name / "out" / "results.json" for name in sets)
    assert compare(first, moved)["frame_level"]["overall"]["difference"] == 0
    with pytest.raises(SettingsError, match="of other data: set_sha256 is"):
        compare(first, other)


def quick(model, views):
    """What a network would be if it looked at the views' detail alone."""
    detail = np.abs(np.diff(views.astype(np.float32), axis=1)).mean(axis=(1, 2, 3)) / 255
    return Prediction(detail, np.repeat(detail, 256 * 256).reshape(-1, 256, 256))


def test_robustness_leaves_the_other_numbers_and_gives_each_strength_its_own(blended, tmp_path, monkeypatch):
    monkeypatch.setattr(XrayModel, "predict", quick)
    clean = evaluate(MODEL, blended, tmp_path / "out")
    results = evaluate(MODEL, blended, tmp_path / "out", robustness=True)
    assert results["metrics"] == clean["metrics"]
    assert len(results["robustness"]) == 8
    for kind in results["robustness"].values():
        assert len(kind["amounts"]) == len(kind["AUC"]) == 5
        assert all(0 <= estimate["low_95"] <= estimate["value"] <= estimate["high_95"] <= 1 for estimate in kind["AUC"])
        assert kind["meaning"]


def test_a_store_of_a_labelled_folder_is_data_and_source_of_faces(labelled, evaluated, tmp_path, monkeypatch):
    prepare([labelled], tmp_path / "store", frames=3)
    own = evaluate(MODEL, tmp_path / "store", tmp_path / "own")
    assert own["data"]["protocol"] == "store"
    assert {name: of["label"] for name, of in own["data"]["methods"].items()} == {"real": 0, "swap": 1, "puppet": 1}
    for name in ("FaceDetector.detect", "read_video", "read_image"):
        monkeypatch.setattr(f"facexray.evaluation.video_sources.{name}", lambda *_: pytest.fail("decoded"))
    taken = evaluate(MODEL, labelled, tmp_path / "taken", tmp_path / "store")
    for results in (own, taken):
        skipped = {entry["file"].rsplit("/", 1)[1]: entry["reason"] for entry in results["skipped"]["files"]}
        assert skipped.keys() == {"wall.mp4", "text.mp4"}
        assert skipped["wall.mp4"] == "no face found"
        assert "not a readable video" in skipped["text.mp4"]
    half = evaluate(MODEL, tmp_path / "store", tmp_path / "own", settings=EvaluateConfig(no_face="half"))
    fakes = [results["metrics"]["class"]["video_level"]["overall"]["fake"] for results in (own, half)]
    assert fakes[1] == fakes[0] + 1
    scored = {(row["method"], row["video"], row["frame"], row["face"]): row["class"] for row in rows_of(evaluated[1])}
    for row in rows_of(tmp_path / "taken"):
        assert scored[row["method"], row["video"], row["frame"], row["face"]] == row["class"]
    with pytest.raises(SettingsError, match="is a face store itself"):
        evaluate(MODEL, tmp_path / "store", tmp_path / "own", tmp_path / "store")


def test_a_store_whose_sources_say_not_what_they_are_is_refused(store, tmp_path):
    with pytest.raises(StoreError, match="in no folder real/ or fake/"):
        evaluate(MODEL, store.path, tmp_path / "out")


@pytest.mark.parametrize("missing", ["real", "fake"])
def test_a_folder_without_one_class_says_what_is_needed(tmp_path, missing):
    (tmp_path / "data" / ({"real", "fake"} - {missing}).pop()).mkdir(parents=True)
    with pytest.raises(SettingsError, match=f"no folder {missing}/"):
        evaluate(MODEL, tmp_path / "data", tmp_path / "out")


def test_one_class_alone_is_refused(store, tmp_path):
    from facexray.blending.config import BlendConfig

    only_real = blend(store.path, 3, tmp_path / "set", blending=BlendConfig(real_prob=1))
    with pytest.raises(SettingsError, match="3 real and 0 fake"):
        evaluate(MODEL, only_real, tmp_path / "out")


def test_a_blended_set_without_its_manifest_is_not_taken_for_a_labelled_folder(store, tmp_path):
    (blend(store.path, 6, tmp_path / "set") / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"manifest\.json is gone"):
        evaluate(MODEL, tmp_path / "set", tmp_path / "out")


def test_an_unknown_model_is_refused(blended, tmp_path):
    with pytest.raises(ModelError, match="no such model"):
        evaluate("nobody.onnx", blended, tmp_path / "out")


def test_a_blended_set_that_was_not_finished_says_how_to_go_on(store, tmp_path):
    manifest = blend(store.path, 2, tmp_path / "set") / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"complete": true', '"complete": false'))
    with pytest.raises(StoreError, match=r"facexray blend .*--count 2"):
        evaluate(MODEL, tmp_path / "set", tmp_path / "out")


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"stride": 0}, {"min_face": 0}, {"threshold": 1.2}])
def test_settings_out_of_their_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        EvaluateConfig(**wrong)
