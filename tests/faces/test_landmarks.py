import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from facexray.errors import LandmarksError
from facexray.faces import landmarks as lm
from facexray.faces.detector import FaceDetector
from facexray.images import read_image

PAIRS = np.arange(136, dtype=float).reshape(68, 2).tolist()


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


def predict(detector, image):
    face = detector.detect(image)[0]
    return face, lm.predict_landmarks(image, face)


# Mirroring


def test_mirroring_twice_changes_nothing():
    assert lm.MIRROR[lm.MIRROR].tolist() == list(range(68))
    points = np.random.default_rng(0).uniform(0, 317, (68, 2)).astype(np.float32)
    np.testing.assert_allclose(lm.mirror(lm.mirror(points, 317), 317), points, atol=1e-4)


@pytest.mark.parametrize(
    ("group", "partner"),
    [
        (lm.JAW, lm.JAW),
        (lm.RIGHT_BROW, lm.LEFT_BROW),
        (lm.NOSE_BRIDGE, lm.NOSE_BRIDGE),
        (lm.NOSE_BASE, lm.NOSE_BASE),
        (lm.RIGHT_EYE, lm.LEFT_EYE),
        (lm.LEFT_EYE, lm.RIGHT_EYE),
        (lm.OUTER_MOUTH, lm.OUTER_MOUTH),
        (lm.INNER_MOUTH, lm.INNER_MOUTH),
    ],
)
def test_mirroring_maps_a_group_onto_its_partner(group, partner):
    every = np.arange(lm.COUNT)
    assert sorted(lm.MIRROR[group]) == every[partner].tolist()


def test_groups_cover_the_68_points_once():
    groups = [lm.JAW, lm.RIGHT_BROW, lm.LEFT_BROW, lm.NOSE_BRIDGE, lm.NOSE_BASE, lm.RIGHT_EYE, lm.LEFT_EYE]
    every = np.arange(lm.COUNT)
    covered = np.concatenate([every[group] for group in [*groups, lm.OUTER_MOUTH, lm.INNER_MOUTH]])
    assert covered.tolist() == every.tolist()


def test_mirrored_landmarks_lie_on_the_mirrored_face(detector, portraits):
    image = read_image(portraits["hopper"])
    face, points = predict(detector, image)
    _, flipped = predict(detector, np.ascontiguousarray(image[:, ::-1]))
    eyes = np.linalg.norm(face.points[0] - face.points[1])
    distance = np.linalg.norm(flipped - lm.mirror(points, image.shape[1]), axis=1)
    assert np.median(distance) < 0.06 * eyes
    assert distance.max() < 0.4 * eyes


# Prediction


@pytest.mark.parametrize("name", ["hopper", "astronaut"])
@pytest.mark.parametrize("factor", [0.5, 1, 3])
def test_predicted_eyes_lie_near_the_detectors(detector, portraits, name, factor):
    image = cv2.resize(read_image(portraits[name]), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    face, points = predict(detector, image)
    assert points.shape == (68, 2)
    assert points.dtype == np.float32
    eyes = np.linalg.norm(face.points[0] - face.points[1])
    predicted = [points[lm.RIGHT_EYE].mean(0), points[lm.LEFT_EYE].mean(0)]
    assert np.linalg.norm(predicted - face.points[:2], axis=1).max() < 0.12 * eyes


@pytest.mark.parametrize(("shift", "kept"), [(0, True), (0.1, True), (0.4, False), (3, False)])
def test_landmarks_that_stray_from_the_detectors_points_are_refused(detector, portraits, shift, kept):
    image = read_image(portraits["hopper"])
    face = detector.detect(image)[0]
    eyes = np.linalg.norm(face.points[0] - face.points[1])
    moved = replace(face, points=face.points + np.float32([shift * eyes, 0]))
    assert (lm.predict_landmarks(image, moved) is not None) == kept


def test_predicted_eyes_lie_on_hand_placed_pupils(detector, faces_dir):
    """In the London set's 189 points the first two are the pupils, the image's left one first."""
    by_hand = json.loads((faces_dir / "london" / "landmarks189_neutral.json").read_text())
    errors = []
    for name in sorted(by_hand)[::10]:
        pupils = np.array(by_hand[name][:2])
        assert pupils[0, 0] < pupils[1, 0]
        _, points = predict(detector, read_image(faces_dir / "london" / name))
        predicted = np.stack([points[lm.RIGHT_EYE].mean(0), points[lm.LEFT_EYE].mean(0)])
        errors.append(np.linalg.norm(predicted - pupils, axis=1) / np.linalg.norm(pupils[0] - pupils[1]))
    assert len(errors) >= 10
    assert np.median(errors) < 0.08


# landmarks.json


def test_landmarks_json_of_the_authors_form_is_read(tmp_path):
    (tmp_path / "landmarks.json").write_text(json.dumps({"000_0000.png": PAIRS, "人_0001.png": PAIRS}))
    read = lm.read_landmarks_json(tmp_path / "landmarks.json")
    assert list(read) == ["000_0000.png", "人_0001.png"]
    np.testing.assert_array_equal(read["000_0000.png"], np.array(PAIRS, np.float32))


def test_landmarks_json_round_trip_keeps_a_hundredth_of_a_pixel(tmp_path):
    points = {f"00{i}_0000.png": np.random.default_rng(i).uniform(-5, 322, (68, 2)).astype("f4") for i in range(3)}
    lm.write_landmarks_json(tmp_path / "landmarks.json", points)
    read = lm.read_landmarks_json(tmp_path / "landmarks.json")
    assert list(read) == list(points)
    for name in points:
        np.testing.assert_allclose(read[name], points[name], atol=0.0051)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (PAIRS[:67], r"68 \[x, y\] pairs, got the shape \(67, 2\)"),
        ([[x, y, 0.0] for x, y in PAIRS], r"got the shape \(68, 3\)"),
        ([*PAIRS[:67], [float("nan"), 1.0]], "NaN or infinite"),
        ([*PAIRS[:67], [float("inf"), 1.0]], "NaN or infinite"),
        ([*PAIRS[:67], [10**400, 1]], "68"),
        ([*PAIRS[:67], [1.0]], "68"),
        ([*PAIRS[:67], ["x", "y"]], "68"),
        ([*PAIRS[:67], None], "68"),
        ("landmarks", "68"),
        (None, "68"),
        ({"x": 1}, "68"),
    ],
)
def test_bad_entry_is_named_with_its_reason(tmp_path, entry, reason):
    path = tmp_path / "landmarks.json"
    path.write_text(json.dumps({"000_0000.png": PAIRS, "000_0001.png": entry}))
    with pytest.raises(LandmarksError, match=reason) as caught:
        lm.read_landmarks_json(path)
    assert str(caught.value).startswith(str(path))
    assert "000_0001.png" in str(caught.value)
    assert "000_0000.png" not in str(caught.value)


def test_many_bad_entries_are_counted(tmp_path):
    (tmp_path / "landmarks.json").write_text(json.dumps({f"{i:03d}.png": [] for i in range(12)}))
    with pytest.raises(LandmarksError, match=r"000\.png.*004\.png.*and 7 more"):
        lm.read_landmarks_json(tmp_path / "landmarks.json")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b'{"000_0000.png": [[1, 2', "not JSON"),
        ("人脸".encode("gbk"), "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2]", "expected an object"),
        (b"{}", "expected an object"),
        (b"null", "expected an object"),
    ],
)
def test_file_that_is_no_landmarks_json_is_named(tmp_path, content, reason):
    (tmp_path / "landmarks.json").write_bytes(content)
    with pytest.raises(LandmarksError, match=rf"landmarks\.json: {reason}"):
        lm.read_landmarks_json(tmp_path / "landmarks.json")


def test_missing_landmarks_json_is_named(tmp_path):
    with pytest.raises(LandmarksError, match=r"landmarks\.json: cannot be read"):
        lm.read_landmarks_json(tmp_path / "landmarks.json")
