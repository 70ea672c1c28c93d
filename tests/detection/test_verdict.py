import math

import cv2
import numpy as np
import pytest

from facexray.detection.verdict import MIN_SHARPNESS, NOSE_DEPTH, sharpness, why_not, yaw_deg
from facexray.faces.crop import Square, cut_crop, cut_view
from facexray.faces.detector import DetectedFace, FaceDetector
from facexray.images import read_image


def five_points(yaw, roll=0.0, size=100.0):
    """Eyes, nose, mouth's corners of a head in space, turned, and seen from far away."""
    head = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0, 0.1, NOSE_DEPTH], [-0.4, 0.6, 0], [0.4, 0.6, 0]])
    a, b = math.radians(yaw), math.radians(roll)
    turn = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    tilt = np.array([[math.cos(b), -math.sin(b)], [math.sin(b), math.cos(b)]])
    return ((head @ turn.T)[:, :2] @ tilt.T * size + 300).astype(np.float32)


@pytest.mark.parametrize("yaw", [-85, -60, -30, 0, 20, 45, 70, 89])
@pytest.mark.parametrize("roll", [-40, 0, 25, 180])
def test_the_turn_of_a_head_is_measured(yaw, roll):
    assert yaw_deg(five_points(yaw, roll, size=10)) == pytest.approx(abs(yaw), abs=0.5)


def test_a_profile_from_behind_is_turned_away():
    assert yaw_deg(five_points(120)) == 90


def test_why_a_face_is_not_judged(portraits):
    image = read_image(portraits["hopper"])
    (face,) = FaceDetector().detect(image)
    view = cut_view(cut_crop(image, Square.around(face.box)))
    assert why_not(face, view) is None
    assert why_not(face, cv2.GaussianBlur(view, (0, 0), 4)) == "too blurred"
    assert why_not(DetectedFace(face.box, 1, five_points(75)), view) == "turned away"
    assert why_not(DetectedFace(face.box / 8, 1, face.points), None) == "smaller than 48 px"


@pytest.mark.parametrize("name", ["hopper", "astronaut"])
def test_sharpness_falls_with_blur_and_not_with_size_light_or_noise(portraits, name):
    image = read_image(portraits[name])
    (face,) = FaceDetector().detect(image)

    def measured(change, scale=1.0):
        changed = change(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))
        return sharpness(cut_view(cut_crop(changed, Square.around(face.box * scale))))

    plain = measured(lambda x: x)
    side = (face.box[2:] - face.box[:2]).max()
    blurred = [measured(lambda x, s=s: cv2.GaussianBlur(x, (0, 0), s * side / 200)) for s in (1, 2, 3, 4, 6)]
    assert all(np.diff([plain, *blurred]) < 0)
    assert plain > 1.3 * MIN_SHARPNESS
    assert blurred[-2] < MIN_SHARPNESS
    assert measured(lambda x: x, 3) == pytest.approx(plain, rel=0.1)
    assert measured(lambda x: x // 2 + 20) == pytest.approx(plain, rel=0.05)
    assert measured(lambda x: 255 - x) == pytest.approx(plain, rel=0.02)


@pytest.mark.parametrize("view", [np.zeros((256, 256, 3), np.uint8), np.full((256, 256, 3), 200, np.uint8)])
def test_a_flat_view_is_not_sharp(view):
    assert sharpness(view) == 0
