import numpy as np
import pytest

from facexray.faces.crop import CROP_SIZE, FACE_MARGIN, VIEW_SIZE, Square, cut_crop, cut_view

NOISE = np.random.default_rng(0).integers(0, 256, (500, 600, 3), np.uint8)


@pytest.mark.parametrize(
    ("box", "centre", "side"),
    [
        ((100, 100, 200, 200), (150, 150), 160),
        ((100, 50, 180, 250), (140, 150), 320),
        ((-40, -20, 60, 20), (10, 0), 160),
        ((10, 10, 10, 10), (10, 10), 1),
    ],
)
def test_square_lies_around_the_box_by_its_longer_side(box, centre, side):
    square = Square.around(np.array(box, np.float32))
    assert square.side == side == max(1, FACE_MARGIN * max(box[2] - box[0], box[3] - box[1]))
    assert abs(square.left + side / 2 - centre[0]) <= 0.5
    assert abs(square.top + side / 2 - centre[1]) <= 0.5


@pytest.mark.parametrize("square", [Square(0, 0, 317), Square(-50, 120, 100), Square(7, -3, 1000), Square(3, 4, 1)])
def test_mapping_to_the_crop_and_back_is_the_identity(square):
    points = np.random.default_rng(1).uniform(-100, 900, (68, 2)).astype(np.float32)
    np.testing.assert_allclose(square.to_image(square.to_crop(points)), points, atol=0.01)
    np.testing.assert_allclose(square.to_crop(square.to_image(points)), points, atol=0.01)


@pytest.mark.parametrize("side", [150, 317, 500, 951])
def test_points_move_as_the_pixels_do(side):
    """The oracle is the picture: a drawn blob's centre of mass."""
    square, point = Square(40, 30, side), np.array([[40 + side * 0.4, 30 + side * 0.7]], np.float32)
    y, x = np.mgrid[:1000, :1000]
    blob = 255 * np.exp(-((x - point[0, 0]) ** 2 + (y - point[0, 1]) ** 2) / (2 * (side / 30) ** 2))
    crop = cut_crop(np.rint(blob)[..., None].repeat(3, 2).astype(np.uint8), square)[..., 0].astype(float)
    y, x = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    centre = np.array([(crop * x).sum(), (crop * y).sum()]) / crop.sum()
    np.testing.assert_allclose(square.to_crop(point)[0], centre, atol=0.1)


def test_square_of_the_crops_size_is_cut_without_resampling():
    np.testing.assert_array_equal(cut_crop(NOISE, Square(100, 50, 317)), NOISE[50:367, 100:417])


def test_border_is_repeated_where_the_square_reaches_over():
    crop = cut_crop(NOISE, Square(-40, -60, 317))
    np.testing.assert_array_equal(crop[60:, 40:], NOISE[:257, :277])
    np.testing.assert_array_equal(crop[60:, :40], np.repeat(NOISE[:257, :1], 40, axis=1))
    np.testing.assert_array_equal(crop[:60, 40:], np.repeat(NOISE[:1, :277], 60, axis=0))
    assert (crop[:60, :40] == NOISE[0, 0]).all()


def test_what_stands_near_the_border_is_not_mirrored():
    image = np.zeros((400, 400, 3), np.uint8)
    image[100:110, 10:20] = 255
    crop = cut_crop(image, Square(-100, 0, 317))
    assert (crop[100:110, 110:120] == 255).all()
    assert crop.sum() == image.sum()


@pytest.mark.parametrize(
    ("square", "corner"),
    [
        (Square(-400, 100, 317), None),
        (Square(600, 100, 317), None),
        (Square(-900, -900, 317), (0, 0)),
        (Square(5000, 5000, 317), (499, 599)),
        (Square(-900, 5000, 700), (499, 0)),
    ],
)
def test_square_wholly_outside_shows_the_nearest_pixels(square, corner):
    crop = cut_crop(NOISE, square)
    assert crop.shape == (317, 317, 3)
    assert (crop == crop[:, :1]).all()
    if corner:
        assert (crop == NOISE[corner]).all()
    else:
        np.testing.assert_array_equal(crop[:, 0], NOISE[100:417, 0 if square.left < 0 else 599])


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 2), (317, 317)])
@pytest.mark.parametrize("square", [Square(-5, -5, 20), Square(0, 0, 1), Square(-200, -200, 1300)])
def test_crop_of_any_image_has_the_one_size(shape, square):
    crop = cut_crop(np.full((*shape, 3), 90, np.uint8), square)
    assert crop.shape == (317, 317, 3)
    assert crop.dtype == np.uint8
    assert (crop == 90).all()


def test_view_is_the_middle_of_the_crop():
    crop = NOISE[:317, :317]
    view = cut_view(crop)
    assert view.shape == (VIEW_SIZE, VIEW_SIZE, 3)
    np.testing.assert_array_equal(view, crop[30:286, 30:286])


def test_view_box_is_where_the_view_lies_in_the_image():
    square = Square(20, -10, 634)  # two image pixels to each of the crop's
    assert square.view == (20 + 60, -10 + 60, 20 + 60 + 512, -10 + 60 + 512)
