import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facexray.errors import LandmarksError, SettingsError, StoreError
from facexray.faces.aligned import landmarks
from facexray.faces.prepare import prepare
from facexray.faces.store import FaceStore
from facexray.images import read_image, write_image


def errors_of(out):
    lines = map(json.loads, (out / "errors.jsonl").read_text(encoding="utf-8").splitlines())
    return [(Path(line["source"]).name, line["reason"]) for line in lines]


@pytest.fixture(scope="module")
def aligned(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("aligned") / "crops"
    assert landmarks(store.path, folder) == len(store)
    return folder


def test_authors_format_is_crops_beside_landmarks_json(store, aligned):
    content = json.loads((aligned / "landmarks.json").read_text())
    crops = sorted(path.name for path in aligned.glob("*.png"))
    assert sorted(content) == crops == [f"{i:03d}_0000.png" for i in range(6)]
    assert all(np.shape(points) == (68, 2) for points in content.values())
    with (aligned / "names.csv").open(encoding="utf-8", newline="") as file:
        names = list(csv.DictReader(file))
    assert [row["file"] for row in names] == crops
    for index, row in enumerate(names):
        face = store[store.index_of[row["face"]]]
        assert (row["source"], int(row["frame"])) == (face.source, face.frame)
        np.testing.assert_array_equal(np.asarray(Image.open(aligned / row["file"])), store.crop(index))


def test_authors_format_round_trip(store, aligned, tmp_path):
    options = {"landmarks": aligned / "landmarks.json", "identity": str(aligned / "names.csv")}
    summary = prepare([aligned], tmp_path / "s", **options)
    assert (summary.faces, summary.ignored, summary.skipped, summary.without_identity) == (6, 3, {}, 0)
    again = FaceStore(tmp_path / "s")
    for index, face in enumerate(again):
        np.testing.assert_array_equal(again.crop(index), store.crop(index))
        np.testing.assert_allclose(face.landmarks, store[index].landmarks, atol=0.01)
        assert (face.video, face.frame, face.identity) == (f"{index:03d}", 0, store[index].identity)


def test_frames_of_a_video_share_its_number(tmp_path, make_video, portraits):
    folder = tmp_path / "in"
    folder.mkdir()
    make_video(folder / "b.mp4", read_image(portraits["hopper"]), frames=5)
    shutil.copy(portraits["astronaut"], folder / "a.png")
    prepare([folder], tmp_path / "s", frames=3)
    landmarks(tmp_path / "s", tmp_path / "crops")
    names = sorted(path.name for path in (tmp_path / "crops").glob("*.png"))
    assert names == ["000_0000.png", "001_0000.png", "001_0001.png", "001_0002.png"]
    prepare([tmp_path / "crops"], tmp_path / "again", landmarks=tmp_path / "crops" / "landmarks.json")
    assert [(face.video, face.frame) for face in FaceStore(tmp_path / "again")] == [
        ("000", 0),
        ("001", 0),
        ("001", 1),
        ("001", 2),
    ]


def test_crops_that_landmarks_json_does_not_name_are_counted(aligned, tmp_path):
    content = json.loads((aligned / "landmarks.json").read_text())
    fewer = dict(list(content.items())[:4])
    (tmp_path / "landmarks.json").write_text(json.dumps(fewer))
    summary = prepare([aligned], tmp_path / "s", landmarks=tmp_path / "landmarks.json")
    assert summary.faces == 4
    assert summary.skipped == {"not named in landmarks.json": 2}
    assert {name for name, _ in errors_of(tmp_path / "s")} == set(content) - set(fewer)


def test_aligned_crops_of_another_size_are_brought_to_ours(tmp_path):
    """Each point stays on the pixel that it marks."""
    folder = tmp_path / "crops"
    folder.mkdir()
    points = np.random.default_rng(0).integers(40, 580, (68, 2))
    image = np.zeros((634, 634, 3), np.uint8)
    x, y = points[30]
    cv2.circle(image, (int(x), int(y)), 12, (255, 255, 255), -1)
    write_image(folder / "a_b_0007.png", image)
    (folder / "landmarks.json").write_text(json.dumps({"a_b_0007.png": points.tolist()}))
    prepare([folder], tmp_path / "s", landmarks=folder / "landmarks.json")
    store = FaceStore(tmp_path / "s")
    assert (store[0].video, store[0].frame) == ("a_b", 7)
    v, u = np.nonzero(store.crop(0)[..., 0] > 127)
    np.testing.assert_allclose(store[0].landmarks[30], (u.mean(), v.mean()), atol=0.6)


@pytest.mark.parametrize(("shape", "reason"), [((317, 300), "must be square"), (None, "not a photograph")])
def test_bad_aligned_crop_is_counted_with_its_reason(tmp_path, shape, reason):
    folder = tmp_path / "crops"
    folder.mkdir()
    if shape:
        write_image(folder / "0_0.png", np.zeros((*shape, 3), np.uint8))
    else:
        (folder / "0_0.png").write_text("text")
    (folder / "landmarks.json").write_text(json.dumps({"0_0.png": np.zeros((68, 2)).tolist()}))
    assert prepare([folder], tmp_path / "s", landmarks=folder / "landmarks.json").faces == 0
    ((name, said),) = errors_of(tmp_path / "s")
    assert name == "0_0.png"
    assert reason in said


def test_bad_landmarks_json_is_refused_before_anything_is_written(aligned, tmp_path):
    (tmp_path / "landmarks.json").write_text('{"000_0000.png": [[1, 2]]}')
    with pytest.raises(LandmarksError, match=r"000_0000\.png: expected 68"):
        prepare([aligned], tmp_path / "s", landmarks=tmp_path / "landmarks.json")
    assert not (tmp_path / "s").exists()


def test_a_data_set_of_ones_own_is_not_written_over(store, aligned, tmp_path):
    mine = shutil.copytree(aligned, tmp_path / "mine")
    (mine / "about.json").unlink()
    before = {path.name: path.read_bytes() for path in mine.iterdir()}
    with pytest.raises(SettingsError, match="mine: is not empty, and no earlier export"):
        landmarks(store.path, mine)
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == before


def test_an_export_is_made_anew_in_its_own_folder(store, aligned, tmp_path, monkeypatch):
    again = shutil.copytree(aligned, tmp_path / "again")
    with monkeypatch.context() as patch:
        patch.setattr("facexray.faces.aligned.write_image", lambda *_: exec("raise KeyboardInterrupt"))
        with pytest.raises(KeyboardInterrupt):
            landmarks(store.path, again)
    assert not (again / "landmarks.json").exists(), "it would name what may be another export's"
    assert landmarks(store.path, again) == len(store)
    assert (again / "landmarks.json").read_bytes() == (aligned / "landmarks.json").read_bytes()


def test_of_like_named_crops_the_one_beside_landmarks_json_is_meant(aligned, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(aligned, tmp_path / "root" / name)
    picture = tmp_path / "root" / "b" / "000_0000.png"
    write_image(picture, read_image(picture)[:, ::-1])
    summary = prepare([tmp_path / "root"], tmp_path / "s", landmarks=tmp_path / "root" / "a" / "landmarks.json")
    assert summary.faces == 6
    assert {Path(source).parent.name for source in FaceStore(tmp_path / "s").column("source")} == {"a"}
    assert ("000_0000.png", "one of 2 of its name, of which landmarks.json means the one beside it") in errors_of(
        tmp_path / "s"
    )


def test_missing_store_and_unusable_folder_are_named(store, tmp_path):
    with pytest.raises(StoreError, match="nowhere: no face store here"):
        landmarks(tmp_path / "nowhere", tmp_path / "crops")
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="file: cannot be made"):
        landmarks(store.path, tmp_path / "file")
