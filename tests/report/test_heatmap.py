import numpy as np
import pytest

from facexray.detection.result import FaceResult, FrameResult
from facexray.faces.crop import Square
from facexray.report.heatmap import colour_xray, overlay, overlay_frame


def test_colours_rise_with_the_xray():
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    brightness = colour_xray(ramp)[0].astype(int).sum(axis=1)
    assert brightness[0] < 10
    assert brightness[-1] > 400
    assert (np.diff(brightness) >= -1).all()


def test_no_xray_leaves_the_image_and_full_xray_hides_it():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(overlay(image, np.zeros((8, 8), np.float32)), image)
    ones = np.ones((8, 8), np.float32)
    assert np.array_equal(overlay(image, ones), colour_xray(ones))


@pytest.mark.parametrize("side", [317, 634, 159])
def test_the_xray_lands_where_the_view_was(side):
    square = Square(100, 60, side)
    xray = np.zeros((256, 256), np.float32)
    xray[120:136, 120:136] = 1  # a spot in the view's middle
    box = np.array([900, 900, 950, 950], np.float32)  # out of the way
    face = FaceResult(box, "fake", "", 0.9, square, np.zeros((256, 256, 3), np.uint8), xray)
    marked = overlay_frame(FrameResult(0, 0.0, [face], np.zeros((800, 800, 3), np.uint8)))
    rows, columns = np.nonzero(marked.astype(int).sum(axis=2) > 300)
    x0, y0, x1, y1 = square.view
    assert columns.mean() == pytest.approx((x0 + x1) / 2 - 0.5, abs=1.0)
    assert rows.mean() == pytest.approx((y0 + y1) / 2 - 0.5, abs=1.0)
    assert columns.max() - columns.min() + 1 == pytest.approx(16 * side / 317, abs=2.5)


def test_a_face_without_xray_gets_only_its_box():
    face = FaceResult(np.array([20, 40, 60, 90], np.float32), "cannot tell", "", None, Square(0, 0, 100))
    marked = overlay_frame(FrameResult(0, 0.0, [face], np.full((120, 120, 3), 9, np.uint8)))
    assert marked[60, 20].tolist() != [9, 9, 9]
    assert marked[65, 40].tolist() == [9, 9, 9]
