"""Alignments against scikit-image and the normal equations; placing images against SciPy's interpolation."""

import cv2
import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import SimilarityTransform

from facexray.blending.align import ALIGNMENTS, INTERPOLATIONS, place, then

INTERPOLATION = pytest.mark.parametrize("interpolation", INTERPOLATIONS)


def pairs(store):
    return [(a, b) for a in store.landmarks.astype(float) for b in store.landmarks.astype(float) if a is not b]


def moved(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def test_a_similarity_is_the_one_that_scikit_image_estimates(store):
    for source, target in pairs(store):
        expected = SimilarityTransform.from_estimate(source, target).params[:2]
        np.testing.assert_allclose(ALIGNMENTS["similarity"](source, target), expected, atol=1e-6)


def test_an_affine_map_solves_the_normal_equations(store):
    for source, target in pairs(store):
        points = np.column_stack([source, np.ones(68)])
        expected = np.linalg.inv(points.T @ points) @ points.T @ target
        np.testing.assert_allclose(ALIGNMENTS["affine"](source, target), expected.T, atol=1e-6)


@pytest.mark.parametrize("name", ["similarity", "affine"])
def test_finds_the_map_that_was_applied(name, store):
    points = store.landmarks[0]
    turn = np.deg2rad(14)
    matrix = np.array([[np.cos(turn), -np.sin(turn), 21], [np.sin(turn), np.cos(turn), -8]])
    matrix[:, :2] *= 1.2 if name == "similarity" else [[1.3, 0.9]]
    found = ALIGNMENTS[name](points, moved(matrix, points).astype(np.float32))
    np.testing.assert_allclose(found, matrix, atol=1e-3)


def test_a_similarity_never_mirrors(store):
    points = store.landmarks[0].astype(float)
    matrix = ALIGNMENTS["similarity"](points, points * [-1, 1])[:, :2]
    assert np.linalg.det(matrix) > 0
    np.testing.assert_allclose(matrix @ matrix.T, np.linalg.det(matrix) * np.eye(2), atol=1e-9)


def test_none_leaves_the_face_where_it_lies(store):
    np.testing.assert_array_equal(ALIGNMENTS["none"](store.landmarks[0], store.landmarks[1]), [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_a_face_lies_on_itself(name, store):
    np.testing.assert_allclose(ALIGNMENTS[name](store.landmarks[2], store.landmarks[2]), np.eye(2, 3), atol=1e-6)


def test_one_map_then_another():
    rng = np.random.default_rng(0)
    first, second, points = rng.normal(0, 1, (2, 3)), rng.normal(0, 1, (2, 3)), rng.normal(0, 50, (9, 2))
    np.testing.assert_allclose(moved(then(first, second), points), moved(second, moved(first, points)))


# Placing


@pytest.fixture(scope="module")
def image(faces):
    return faces.crop(0)


def translation(x, y):
    return np.array([[1.0, 0, x], [0, 1, y]])


@INTERPOLATION
def test_an_image_that_stays_is_the_image_itself(interpolation, image):
    np.testing.assert_array_equal(place(image, np.eye(2, 3), (20, 30, 120, 90), interpolation), image[30:90, 20:120])


@INTERPOLATION
@pytest.mark.parametrize(("x", "y"), [(0, 0), (5, -7), (-40, 60)])
def test_whole_pixels_are_moved_and_not_resampled_and_borders_go_on(interpolation, x, y, image):
    padded = np.pad(image, ((100, 100), (100, 100), (0, 0)), "edge")
    for x0, y0, x1, y1 in ((0, 0, 317, 317), (-30, 5, 90, 330)):
        expected = padded[y0 - y + 100 : y1 - y + 100, x0 - x + 100 : x1 - x + 100]
        np.testing.assert_array_equal(place(image, translation(x, y), (x0, y0, x1, y1), interpolation), expected)


TURNED = np.array([[1.05, -0.1, 4.3], [0.12, 0.97, -6.8]])


def test_the_linear_one_is_what_scipy_interpolates(image):
    """OpenCV rounds places to 1/32 pixel, and weights with them."""
    box = (-10, 15, 200, 320)
    y, x = np.mgrid[15:320, -10:200]
    back = np.linalg.inv(np.vstack([TURNED, [0, 0, 1]]))
    places = np.einsum("ij,jyx->iyx", back[:2], np.stack([x, y, np.ones_like(x)]))
    placed = place(image, TURNED, box, "linear")
    assert placed.shape == (305, 210, 3)
    for channel in range(3):
        expected = ndimage.map_coordinates(image[..., channel].astype(float), places[::-1], order=1, mode="nearest")
        off = placed[..., channel] - expected
        assert np.abs(off).max() < 8
        assert np.abs(off).mean() < 0.6
        assert abs(off.mean()) < 0.05


@INTERPOLATION
def test_a_box_has_its_part_of_the_whole(interpolation, image):
    """Within the rounding of OpenCV's places."""
    whole = place(image, TURNED, (0, 0, 317, 317), interpolation).astype(int)
    part = place(image, TURNED, (33, 71, 200, 305), interpolation)
    off = np.abs(part - whole[71:305, 33:200])
    assert off.mean() < 0.1
    assert np.median(off) == 0


@INTERPOLATION
def test_no_kernel_moves_the_image(interpolation):
    """A round blob, moved and turned about its middle, has its middle where the matrix says."""
    y, x = np.mgrid[0:201, 0:201]
    blob = np.exp(-((x - 100) ** 2 + (y - 100) ** 2) / (2 * 12**2)) * 250
    image = np.repeat(np.rint(blob).astype(np.uint8)[..., None], 3, axis=2)
    placed = place(
        image,
        cv2.getRotationMatrix2D((100, 100), 33, 1.1) + translation(7.3, -2.6) - np.eye(2, 3),
        (0, 0, 201, 201),
        interpolation,
    )
    weights = placed[..., 1].astype(float)
    assert (weights * x).sum() / weights.sum() == pytest.approx(107.3, abs=0.03)
    assert (weights * y).sum() / weights.sum() == pytest.approx(97.4, abs=0.03)


def test_longer_kernels_keep_more_detail(image):
    def detail(interpolation):
        placed = place(image, translation(0.5, 0.5), (50, 50, 250, 250), interpolation)
        return cv2.Laplacian(placed, cv2.CV_32F).std()

    assert detail("linear") < detail("cubic") < detail("lanczos")
