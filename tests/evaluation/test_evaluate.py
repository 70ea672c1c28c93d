import csv
import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from facexray.blending.command import blend
from facexray.errors import ModelError, SettingsError, StoreError
from facexray.evaluation.command import evaluate
from facexray.images import read_image, write_image


@pytest.fixture(scope="module")
def blended(store, tmp_path_factory):
    return blend(store.path, 24, tmp_path_factory.mktemp("sets") / "set", seed=1)


@pytest.fixture
def labelled(portraits, make_video, broken_files, blended, tmp_path):
    """real/: a photo, a video, a broken file, a photo without a face; fake/: two blended photos."""
    for name in ("real/deep", "fake"):
        (tmp_path / "data" / name).mkdir(parents=True)
    real, fake = tmp_path / "data" / "real", tmp_path / "data" / "fake"
    (real / "深" / "照片").mkdir(parents=True)
    write_image(real / "deep" / "hopper.png", read_image(portraits["hopper"]))
    make_video(real / "深" / "照片" / "same.mp4", read_image(portraits["astronaut"]))
    (real / "cut.jpg").write_bytes((broken_files[0] / "cut.jpg").read_bytes())
    write_image(real / "blank.png", np.full((200, 200, 3), 120, np.uint8))
    for i, folder in enumerate(sorted((blended / "fake").iterdir())[:2]):
        write_image(fake / f"same{i}.png", np.pad(read_image(folder / "background.png"), ((99, 99), (99, 99), (0, 0))))
    return tmp_path / "data"


def rows_of(out):
    with (out / "scores.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_blended_set_gets_its_numbers(blended, tmp_path):
    results = evaluate("default", blended, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    labels, scores = [int(row["label"]) for row in rows], [float(row["score"]) for row in rows]
    assert results["frame_level"]["AUC"]["value"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-4)
    assert len(rows) == 24
    assert results == json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    for level in ("frame_level", "video_level"):
        for metric in ("AUC", "AP", "EER"):
            numbers = results[level][metric]
            assert 0 <= numbers["low_95"] <= numbers["value"] <= numbers["high_95"] <= 1
    assert results["model"]["sha256"]
    assert results["settings"]["data"] == str(blended)


def test_a_labelled_folder_counts_what_it_skips(labelled, tmp_path):
    results = evaluate("default", labelled, tmp_path / "out", frames=4)
    assert results["frame_level"]["real"] == 1 + 4
    assert results["video_level"]["real"] == 2
    assert results["video_level"]["fake"] == 2
    assert results["skipped"]["count"] == 2
    assert sorted(entry["file"].rsplit("/", 1)[-1] for entry in results["skipped_files"]) == ["blank.png", "cut.jpg"]
    videos = {row["video"] for row in rows_of(tmp_path / "out")}
    assert "real/深/照片/same.mp4" in videos


@pytest.mark.parametrize("missing", ["real", "fake"])
def test_a_folder_without_one_class_says_what_is_needed(labelled, tmp_path, missing):
    (labelled / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match=f"no folder {missing}/"):
        evaluate("default", labelled, tmp_path / "out")


def test_one_class_alone_is_refused(store, tmp_path):
    from facexray.blending.config import BlendConfig

    only_real = blend(store.path, 3, tmp_path / "set", blending=BlendConfig(real_prob=1))
    with pytest.raises(SettingsError, match="3 real and 0 fake"):
        evaluate("default", only_real, tmp_path / "out")


def test_a_blended_set_without_its_manifest_is_not_taken_for_a_labelled_folder(store, tmp_path):
    (blend(store.path, 6, tmp_path / "set") / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"manifest\.json is gone"):
        evaluate("default", tmp_path / "set", tmp_path / "out")


def test_an_unknown_model_is_refused(blended, tmp_path):
    with pytest.raises(ModelError, match="no such model"):
        evaluate("nobody.onnx", blended, tmp_path / "out")


def test_a_blended_set_that_was_not_finished_says_how_to_go_on(store, tmp_path):
    manifest = blend(store.path, 2, tmp_path / "set") / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"complete": true', '"complete": false'))
    with pytest.raises(StoreError, match=r"facexray blend .*--count 2"):
        evaluate("default", tmp_path / "set", tmp_path / "out")
