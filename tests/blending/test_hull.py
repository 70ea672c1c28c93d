"""Hulls against SciPy's, pixel by pixel, on the landmarks of real faces."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import ConvexHull, Delaunay

from facexray.blending.hull import HULLS, fill
from facexray.faces.crop import CROP_SIZE
from facexray.faces.landmarks import LEFT_BROW, LEFT_EYE, RIGHT_BROW, RIGHT_EYE, mirror

HULL = pytest.mark.parametrize("hull", HULLS)
PIXELS = np.stack(np.meshgrid(np.arange(CROP_SIZE), np.arange(CROP_SIZE)), axis=-1).reshape(-1, 2).astype(float)
"""x, y of the crop's pixels, row by row."""

RIM = 1.0
"""Pixels from a hull's edge to where its mask passes ½: OpenCV draws the edge itself as inside."""
ANTIALIASING = 2.25
"""Pixels from a hull's edge to where its mask ends: OpenCV's antialiased line is that wide, corners included."""

HOLDS = {
    "whole": range(68),
    "without_forehead": range(68),
    "components": range(68),
    "extended": range(68),
    "forehead": range(68),
    "inner": range(17, 68),
    "inner_without_brows": range(27, 68),
    "mouth": [*range(3, 14), *range(31, 36), *range(48, 68)],
}
"""Numbers of the landmarks that lie within each hull, as its docstring says; what else lies in it is not said."""
LEAVES_OUT = {
    "inner": [*range(4, 13)],
    "inner_without_brows": [*range(3, 14), *range(17, 27)],
    "mouth": [0, 16, *range(17, 31), *range(36, 48)],
}


def filled(hull, landmarks):
    return fill(HULLS[hull](landmarks), CROP_SIZE, CROP_SIZE)


def raised(landmarks, share):
    """The ten points of the brows, moved by hand: a share of the way from the eye's middle to the brow's."""
    return np.concatenate(
        [
            landmarks[brow] + share * (landmarks[brow].mean(axis=0) - landmarks[eye].mean(axis=0))
            for brow, eye in ((RIGHT_BROW, RIGHT_EYE), (LEFT_BROW, LEFT_EYE))
        ]
    )


def outside_by(points, places=PIXELS):
    """Signed distance of places (N, 2) to the half-planes of a convex hull; negative inside."""
    equations = ConvexHull(points.astype(float)).equations
    return (places @ equations[:, :2].T + equations[:, 2]).max(axis=1)


@HULL
def test_fills_the_pixels_that_delaunay_finds_in_its_parts(hull, store):
    for landmarks in store.landmarks[[0, 3]]:
        parts = HULLS[hull](landmarks)
        inside = np.any([Delaunay(part.astype(float)).find_simplex(PIXELS) >= 0 for part in parts], axis=0)
        distance = np.min([outside_by(part) for part in parts], axis=0)
        mask = filled(hull, landmarks).ravel()
        differs = (mask > 127) != inside
        assert np.abs(distance[differs]).max(initial=0) < RIM
        assert not mask[distance > ANTIALIASING].any()
        assert (mask[distance < -RIM] == 255).all()
        assert inside.sum() > 2000


def test_a_filled_polygon_has_the_area_and_the_centre_of_the_shoelace_formula(store):
    """A mask moved by half a pixel would be seen. OpenCV's takes half of the edge's pixels in: half its length more."""
    for landmarks in store.landmarks:
        hull = ConvexHull(landmarks.astype(float))
        x, y = landmarks[hull.vertices].astype(float).T
        cross = x * np.roll(y, -1) - np.roll(x, -1) * y
        centre_x = ((x + np.roll(x, -1)) * cross).sum() / (3 * cross.sum())
        centre_y = ((y + np.roll(y, -1)) * cross).sum() / (3 * cross.sum())
        mask = filled("whole", landmarks).ravel() / 255
        assert mask.sum() == pytest.approx(cross.sum() / 2 + hull.area / 2, rel=0.01)  # SciPy's area: the perimeter
        np.testing.assert_allclose(mask @ PIXELS / mask.sum(), [centre_x, centre_y], atol=0.2)


def test_corners_count_by_fractions_of_a_pixel():
    square = np.array([[10, 10], [20, 10], [20, 20], [10, 20]], np.float32)
    sums = [fill([square + np.float32([shift, 0])], 40, 40)[:, 10].sum() for shift in (0, 0.25, 0.5, 0.75)]
    assert sums[0] > sums[1] > sums[2] > sums[3] > 0


@pytest.mark.parametrize("hull", HOLDS)
def test_holds_the_landmarks_that_it_names(hull, store):
    for landmarks in store.landmarks:
        within = np.min([outside_by(part, landmarks.astype(float)) for part in HULLS[hull](landmarks)], axis=0) <= 1e-3
        assert within[list(HOLDS[hull])].all()
        assert not within[LEAVES_OUT.get(hull, [])].any()


def test_every_hull_has_its_landmarks_written_down_here():
    assert set(HOLDS) == set(HULLS)


@pytest.mark.parametrize(("hull", "share"), [("extended", 0.5), ("forehead", 1.5)])
def test_raised_brows_are_where_they_are_said_to_be(hull, share, store):
    for landmarks in store.landmarks:
        highest = raised(landmarks, share)
        points = np.concatenate(HULLS[hull](landmarks))
        assert np.abs(points[:, None] - highest[None]).sum(axis=2).min(axis=0).max() < 1e-3
        assert points[:, 1].min() == pytest.approx(min(highest[:, 1].min(), landmarks[:, 1].min()), abs=1e-3)


@pytest.mark.parametrize(
    ("larger", "smaller"),
    [
        ("forehead", "whole"),
        ("forehead", "extended"),
        ("whole", "components"),
        ("whole", "without_forehead"),
        ("whole", "inner"),
        ("whole", "mouth"),
        ("inner", "inner_without_brows"),
        ("extended", "components"),
    ],
)
def test_one_hull_contains_another(larger, smaller, store):
    for landmarks in store.landmarks[::2]:
        over, under = filled(larger, landmarks) > 127, filled(smaller, landmarks) > 127
        alone = under & ~over
        # Where two hulls share an edge, its pixels may fall to either.
        edge = np.min([outside_by(part) for part in HULLS[larger](landmarks)], axis=0).reshape(over.shape)
        assert np.abs(edge[alone]).max(initial=0) < RIM


def test_hulls_of_the_chin_end_with_it_and_hulls_of_the_brows_with_them(store):
    for landmarks in store.landmarks:
        rows = {hull: np.flatnonzero((filled(hull, landmarks) > 127).any(axis=1)) for hull in HULLS}
        tops, bottoms = ({hull: int(found[end]) for hull, found in rows.items()} for end in (0, -1))
        assert tops["forehead"] < tops["extended"] < tops["whole"] <= tops["inner"] < tops["inner_without_brows"]
        assert tops["inner_without_brows"] < tops["mouth"]
        chin = [bottoms[hull] for hull in ("whole", "without_forehead", "components", "extended", "forehead", "mouth")]
        assert max(chin) - min(chin) <= 1
        assert max(bottoms["inner"], bottoms["inner_without_brows"]) < min(chin)


@HULL
def test_the_hull_of_a_mirrored_face_is_the_mirrored_hull(hull, store):
    """The same parts, in whatever order."""
    for landmarks in store.landmarks:
        parts = HULLS[hull](landmarks)
        back = [part * [-1, 1] + [CROP_SIZE - 1, 0] for part in HULLS[hull](mirror(landmarks, CROP_SIZE))]
        assert len(back) == len(parts)
        for part in parts:
            assert min(farthest(part, other) for other in back) < 1e-3
        mask, mirrored = filled(hull, landmarks), fill(HULLS[hull](mirror(landmarks, CROP_SIZE)), CROP_SIZE, CROP_SIZE)
        assert np.abs(mask.astype(int) - mirrored[:, ::-1]).sum() < 0.002 * mask.sum()  # both round corners to 1/16 px


def farthest(points, others):
    """Hausdorff distance of two sets of points."""
    apart = np.linalg.norm(points[:, None] - others[None], axis=2)
    return max(apart.min(axis=0).max(), apart.min(axis=1).max())


@pytest.mark.parametrize("hull", ["components", "extended"])
def test_components_are_one_region_without_gaps(hull, store):
    for landmarks in store.landmarks:
        inside = np.pad(filled(hull, landmarks) > 127, 1)
        assert ndimage.label(inside)[1] == 1
        assert ndimage.label(~inside)[1] == 1


@HULL
def test_what_lies_beyond_the_canvas_is_cut_off(hull, store):
    """Clipped lines are drawn a little differently: by a level or two, and at the canvas's border."""
    landmarks = store.landmarks[0]
    for shift in ([200, 0], [-150, -100], [0, 90], [-30, 40]):
        cut = filled(hull, landmarks + np.float32(shift))
        uncut = fill(HULLS[hull](landmarks + np.float32(shift) + 200), CROP_SIZE + 400, CROP_SIZE + 400)[
            200:-200, 200:-200
        ]
        assert cut.any()
        assert np.abs(cut.astype(int) - uncut)[2:-2, 2:-2].max() <= 4
    assert not filled(hull, landmarks + np.float32(1000)).any()


@HULL
def test_leaves_the_landmarks_alone(hull, store):
    landmarks = store.landmarks[0].copy()
    before = landmarks.copy()
    filled(hull, landmarks)
    np.testing.assert_array_equal(landmarks, before)
