import cv2
import numpy as np
import pytest

from facexray.faces.detector import FaceDetector
from facexray.images import read_image

# Read off the pictures by hand: x, y of the right eye, left eye and mouth, and the chin's y.
BY_HAND = {
    "hopper": ((222, 190), (307, 187), (266, 275), 330),
    "astronaut": ((200, 100), (248, 102), (223, 145), 186),
}


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


@pytest.fixture(scope="module")
def images(portraits):
    return {name: read_image(path) for name, path in portraits.items()}


def overlap(a, b):
    """Intersection over union of two xyxy boxes."""
    inner = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return inner / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inner)


@pytest.mark.parametrize("name", BY_HAND)
def test_one_face_where_the_eye_sees_it(detector, images, name):
    (face,) = detector.detect(images[name])
    right_eye, left_eye, mouth, chin = BY_HAND[name]
    eyes = left_eye[0] - right_eye[0]
    np.testing.assert_allclose(face.points[:2], [right_eye, left_eye], atol=0.15 * eyes)
    np.testing.assert_allclose(face.points[3:].mean(0), mouth, atol=0.2 * eyes)
    x0, y0, x1, y1 = face.box
    assert x0 < right_eye[0] < left_eye[0] < x1
    assert y0 < right_eye[1] < mouth[1] < y1
    assert abs(y1 - chin) < 0.3 * eyes
    assert 1.5 * eyes < x1 - x0 < 3 * eyes
    assert 0.7 <= face.score <= 1


@pytest.mark.parametrize("shape", [(1, 1), (31, 31), (33, 33), (1, 3000), (240, 320), (900, 1700)], ids=str)
def test_no_face_in_noise(detector, shape):
    assert detector.detect(np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)) == []


@pytest.mark.parametrize("shape", [(40, 20_000), (20_000, 40), (32, 5000), (20, 640)], ids=str)
def test_no_face_in_a_strip(detector, shape):
    """Shrunk to a few pixels' height, YuNet gave boxes that are not finite."""
    assert detector.detect(np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)) == []


@pytest.mark.parametrize("factor", [0.3, 4])
def test_box_scales_with_the_image(detector, images, factor):
    (face,) = detector.detect(images["hopper"])
    (scaled,) = detector.detect(cv2.resize(images["hopper"], None, fx=factor, fy=factor))
    assert overlap(scaled.box / factor, face.box) > 0.8
    np.testing.assert_allclose(scaled.points / factor, face.points, atol=12)


def test_small_face_in_a_large_photograph_is_found_once(detector, images):
    canvas = np.full((1800, 2400, 3), 128, np.uint8)
    canvas[1000:1300, 1500:1756] = cv2.resize(images["hopper"], (256, 300), interpolation=cv2.INTER_AREA)
    (face,) = detector.detect(canvas)
    (alone,) = detector.detect(images["hopper"])
    assert overlap((face.box - [1500, 1000, 1500, 1000]) * 2, alone.box) > 0.7


def test_largest_face_comes_first(detector, images):
    canvas = np.full((600, 1024, 3), 128, np.uint8)
    canvas[:512, :512] = images["astronaut"]
    canvas[:, 512:] = images["hopper"]
    faces = detector.detect(canvas)
    assert len(faces) == 2
    assert faces[0].box[0] > 512 > faces[1].box[2]


def test_forty_faces_are_found_each_in_its_place(detector, images):
    tile = cv2.resize(images["hopper"][30:430, 70:470], (192, 192), interpolation=cv2.INTER_AREA)  # face: ~ 100 px
    faces = detector.detect(np.tile(tile, (5, 8, 1)))
    cells = {tuple(((face.box[:2] + face.box[2:]) / 2 // 192).astype(int)) for face in faces}
    assert len(cells) >= 36
    assert len(faces) == len(cells), "a face was found twice"


@pytest.mark.parametrize("side", [40, 45, 70])
def test_a_face_of_40_px_is_found_in_a_photograph_of_4000(detector, images, side):
    box = detector.detect(images["astronaut"])[0].box
    scale = side / (box[2:] - box[:2]).max()
    person = cv2.resize(images["astronaut"], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    scene = np.full((3000, 4000, 3), 120, np.uint8) + np.linspace(0, 60, 3000).astype(np.uint8)[:, None, None]
    scene[1800 : 1800 + len(person), 2500 : 2500 + person.shape[1]] = person
    (face,) = detector.detect(scene)
    assert overlap((face.box - [2500, 1800, 2500, 1800]) / scale, box) > 0.6


@pytest.mark.parametrize("margin", [1.4, 1.0, 0.8])
def test_a_face_that_fills_a_photograph_of_3000_px_is_found(detector, images, margin):
    x0, y0, x1, y1 = detector.detect(images["astronaut"])[0].box
    half = margin * (y1 - y0) / 2
    left, top = (round(float(value)) for value in ((x0 + x1) / 2 - half, (y0 + y1) / 2 - half))
    part = images["astronaut"][max(top, 0) : round(top + 2 * half), left : round(left + 2 * half)]
    (face,) = detector.detect(cv2.resize(part, (3000, 3000), interpolation=cv2.INTER_CUBIC))
    assert (face.box[2:] - face.box[:2]).max() > 1800


@pytest.mark.parametrize("smallest", [40, 110, 200])
def test_following_finds_a_face_of_known_size_again(detector, images, smallest):
    (face,) = detector.detect(images["astronaut"])
    (again,) = detector.follow(images["astronaut"], smallest)
    assert overlap(again.box, face.box) > 0.8
