"""Hulls against SciPy's convex hull and scikit-image's polygon, on the landmarks of real faces."""

import cv2
import numpy as np
import pytest
from scipy.spatial import ConvexHull
from skimage.draw import polygon

from facexray.blending.hull import HULLS, components, extended, whole
from facexray.faces.crop import CROP_SIZE
from facexray.faces.landmarks import LEFT_BROW, LEFT_EYE, RIGHT_BROW, RIGHT_EYE, mirror

NOSE_TIP = 30
KINDS = pytest.mark.parametrize("kind", HULLS)


def raised_brows(landmarks):
    """The brows of `extended`, moved by hand: half of the way from the eyes' middle to the brows'."""
    raised = landmarks.copy()
    for brow, eye in ((RIGHT_BROW, RIGHT_EYE), (LEFT_BROW, LEFT_EYE)):
        raised[brow] = landmarks[brow] + (landmarks[brow].mean(axis=0) - landmarks[eye].mean(axis=0)) / 2
    return raised


def distance_to_hull(points):
    """(317, 317) signed distance of each pixel to the half-planes of a convex hull; negative inside."""
    y, x = np.mgrid[0:CROP_SIZE, 0:CROP_SIZE]
    equations = ConvexHull(points.astype(float)).equations
    return (np.stack([x, y], -1) @ equations[:, :2].T + equations[:, 2]).max(axis=-1)


@KINDS
def test_is_a_mask_that_holds_the_nose_tip(kind, store):
    for landmarks in store.landmarks:
        mask = HULLS[kind](landmarks, CROP_SIZE)
        assert mask.shape == (CROP_SIZE, CROP_SIZE)
        assert mask.dtype == np.float32
        assert mask.min() == 0
        assert mask.max() == 1
        x, y = np.rint(landmarks[NOSE_TIP]).astype(int)
        assert mask[y, x] == 1


@KINDS
def test_stays_inside_the_hull_of_its_points(kind, store):
    for landmarks in store.landmarks:
        points = np.concatenate([landmarks, raised_brows(landmarks)]) if kind == "extended" else landmarks
        mask, distance = HULLS[kind](landmarks, CROP_SIZE), distance_to_hull(points)
        assert distance[mask > 0.5].max() <= 1
        assert distance[mask > 0].max() <= 2  # antialiasing


@KINDS
def test_covers_a_good_part_of_the_hull(kind, store):
    for landmarks in store.landmarks:
        assert HULLS[kind](landmarks, CROP_SIZE).sum() > 0.6 * whole(landmarks, CROP_SIZE).sum()


def test_whole_is_the_polygon_that_scikit_image_draws(store):
    for landmarks in store.landmarks:
        corners = landmarks[ConvexHull(landmarks.astype(float)).vertices]
        expected = np.zeros((CROP_SIZE, CROP_SIZE), bool)
        expected[polygon(corners[:, 1], corners[:, 0], expected.shape)] = True
        differs = (whole(landmarks, CROP_SIZE) > 0.5) != expected
        assert np.abs(distance_to_hull(landmarks)[differs]).max(initial=0) < 1


def test_whole_has_the_area_and_centre_of_the_hull(store):
    """The shoelace formula; a mask shifted by half a pixel, or grown by one, would be seen."""
    for landmarks in store.landmarks:
        x, y = landmarks[ConvexHull(landmarks.astype(float)).vertices].astype(float).T
        cross = x * np.roll(y, -1) - np.roll(x, -1) * y
        area = cross.sum() / 2
        centre_x = ((x + np.roll(x, -1)) * cross).sum() / (6 * area)
        centre_y = ((y + np.roll(y, -1)) * cross).sum() / (6 * area)
        mask = whole(landmarks, CROP_SIZE).astype(float)
        rows, columns = np.mgrid[0:CROP_SIZE, 0:CROP_SIZE]
        assert mask.sum() == pytest.approx(abs(area), rel=0.02)
        assert (mask * columns).sum() / mask.sum() == pytest.approx(centre_x, abs=0.3)
        assert (mask * rows).sum() / mask.sum() == pytest.approx(centre_y, abs=0.3)


def test_extended_reaches_higher_than_components_and_elsewhere_the_same(store):
    for landmarks in store.landmarks:
        low, high = components(landmarks, CROP_SIZE), extended(landmarks, CROP_SIZE)
        rows_low, rows_high = (np.flatnonzero((mask > 0.5).any(axis=1)) for mask in (low, high))
        assert rows_high[0] < rows_low[0]
        assert rows_high[-1] == rows_low[-1]
        assert ((low > 0.5) & (high < 0.5)).sum() < 0.01 * (low > 0.5).sum()
        nose_base = int(landmarks[33, 1])
        np.testing.assert_array_equal(low[nose_base:], high[nose_base:])


def test_components_are_one_region_without_holes(store):
    for landmarks in store.landmarks:
        inside = (components(landmarks, CROP_SIZE) > 0.5).astype(np.uint8)
        assert cv2.connectedComponents(inside)[0] == 2  # the background and one region
        around = np.pad(1 - inside, 1, constant_values=1)
        assert cv2.connectedComponents(around, connectivity=4)[0] == 2


@KINDS
def test_the_mirrored_face_gives_the_mirrored_mask(kind, store):
    for landmarks in store.landmarks:
        mask = HULLS[kind](landmarks, CROP_SIZE)
        mirrored = HULLS[kind](mirror(landmarks, CROP_SIZE), CROP_SIZE)
        differs = (mask > 0.5) != (mirrored[:, ::-1] > 0.5)
        assert differs.sum() < 0.005 * (mask > 0.5).sum()


@KINDS
@pytest.mark.parametrize("shift", [(200, 0), (-150, -150), (0, 180), (-30, 40)])
def test_landmarks_partly_outside_are_cut_at_the_frame(kind, shift, store):
    wide = CROP_SIZE + 400
    for landmarks in store.landmarks[:2]:
        mask = HULLS[kind](landmarks + np.float32(shift), CROP_SIZE)
        assert 0 < mask.sum() <= HULLS[kind](landmarks, CROP_SIZE).sum() * 1.001
        uncut = HULLS[kind](landmarks + np.float32(shift) + 200, wide)[200:-200, 200:-200]
        np.testing.assert_allclose(mask[2:-2, 2:-2], uncut[2:-2, 2:-2], atol=0.02)
        assert ((mask > 0.5) != (uncut > 0.5)).sum() <= 6  # antialiasing at the frame itself


@KINDS
def test_landmarks_wholly_outside_give_an_empty_mask(kind, store):
    assert not HULLS[kind](store.landmarks[0] + np.float32(1000), CROP_SIZE).any()


@KINDS
def test_leaves_the_landmarks_alone(kind, store):
    landmarks = store.landmarks[0].copy()
    HULLS[kind](landmarks, CROP_SIZE)
    np.testing.assert_array_equal(landmarks, store.landmarks[0])
