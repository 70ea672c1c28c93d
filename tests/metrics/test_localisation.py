"""Localisation on drawn discs, whose areas and boundaries are known."""

import cv2
import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from facexray.errors import SettingsError
from facexray.metrics.localisation import enclosed_region, iou, localise, xray_ap, xray_energy, xray_iou

SIDE = 256


def disc(radius, centre=(128, 128), sigma=4.0):
    """A soft mask (H, W): a disc, blurred; at its rim M = ½."""
    mask = np.zeros((SIDE, SIDE), np.float32)
    cv2.circle(mask, centre, radius, 1.0, -1)
    return cv2.GaussianBlur(mask, (0, 0), sigma)


def face_xray(mask):
    """Equation 2."""
    return 4 * mask * (1 - mask)


@pytest.mark.parametrize(("radius", "sigma"), [(80, 2), (80, 4), (80, 8), (40, 3), (25, 2)])
def test_a_true_xray_encloses_its_own_region(radius, sigma):
    """Of a disc of radius r, half a pixel of the rim is 1/r of the area; other rules are off by the band's width."""
    mask = disc(radius, sigma=sigma)
    assert iou(enclosed_region(face_xray(mask)), mask > 0.5) > 1 - 1.5 / radius


def test_gaps_are_closed_up_to_a_sixteenth():
    mask = disc(80)
    xray = face_xray(mask)
    for width, closed in ((12, True), (30, False)):
        broken = xray.copy()
        broken[:128, 128 - width // 2 : 128 + width // 2] = 0
        assert (iou(enclosed_region(broken), mask > 0.5) > 0.95) == closed


def test_what_encloses_nothing_is_the_region_itself():
    spot = np.zeros((SIDE, SIDE), np.float32)
    spot[100:120, 100:140] = 1
    assert iou(enclosed_region(spot), spot > 0.5) > 0.98
    assert not enclosed_region(np.zeros((SIDE, SIDE), np.float32)).any()


def test_a_blot_beside_the_contour_is_no_part_of_the_region():
    mask = disc(60)
    xray = face_xray(mask)
    xray[5:20, 5:20] = 1
    assert iou(enclosed_region(xray), mask > 0.5) > 0.97


def test_a_line_along_the_border_encloses_nothing():
    """What the image cuts off is not closed by its border."""
    xray = np.zeros((SIDE, SIDE), np.float32)
    xray[6:9] = 1
    assert iou(enclosed_region(xray), xray > 0.5) == 1


def test_ap_of_pixels_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    boundary = face_xray(disc(80)) > 0.5
    xray = np.clip(rng.normal(0.2 + 0.3 * boundary, 0.2), 0, 1).astype(np.float32)
    assert xray_ap(xray, boundary) == pytest.approx(average_precision_score(boundary.ravel(), xray.ravel()), abs=1e-9)


def test_the_best_iou_is_that_of_a_sweep_of_thresholds():
    rng = np.random.default_rng(1)
    boundary = face_xray(disc(80)) > 0.5
    xray = np.round(np.clip(rng.normal(0.2 + 0.3 * boundary, 0.2), 0, 1), 2).astype(np.float32)
    swept = [iou(xray >= threshold, boundary) for threshold in np.unique(xray)]
    assert xray_iou(xray, boundary) == pytest.approx(max(swept))
    assert xray_iou(face_xray(disc(80)), boundary) == 1
    assert xray_iou(0.01 * face_xray(disc(80)), boundary) == 1, "its scale does not matter"


def test_a_flat_xray_has_what_chance_gives():
    boundary = face_xray(disc(80)) > 0.5
    flat = np.full((SIDE, SIDE), 0.3, np.float32)
    assert xray_ap(flat, boundary) == pytest.approx(boundary.mean())
    assert xray_iou(flat, boundary) == pytest.approx(boundary.mean())


def test_iou_worked_by_hand():
    left, right = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    left[:, :3] = right[:, 2:] = True
    assert iou(left, right) == 2 / 8
    assert iou(left, np.zeros_like(left)) == 0
    with pytest.raises(SettingsError, match="empty"):
        iou(np.zeros_like(left), np.zeros_like(left))
    with pytest.raises(SettingsError, match=r"\(2, 4\) and \(4, 2\)"):
        iou(left, left.T)


def test_energy_is_the_mean():
    assert xray_energy(np.array([[0, 0.5], [1, 0.1]], np.float32)) == pytest.approx(0.4)


def test_each_face_has_the_numbers_that_it_can():
    mask = disc(80)
    xray = face_xray(mask)
    assert localise(xray, None, None) == {"xray_energy": pytest.approx(xray.mean())}
    numbers = localise(xray, xray, mask)
    assert numbers["xray_AP"] == numbers["xray_IoU"] == 1
    assert numbers["region_IoU"] > 0.98
    whole = np.ones_like(mask)
    assert set(localise(xray, face_xray(whole), whole)) == {"xray_energy", "region_IoU"}, "no boundary in sight"
    nothing = np.zeros_like(mask)
    assert set(localise(xray, face_xray(nothing), nothing)) == {"xray_energy"}


@pytest.mark.parametrize("metric", [xray_ap, xray_iou])
def test_pixel_numbers_refuse_what_has_no_boundary(metric):
    with pytest.raises(SettingsError, match="both real"):
        metric(np.zeros((4, 4), np.float32), np.zeros((4, 4), bool))
    with pytest.raises(SettingsError, match="not finite"):
        metric(np.full((2, 2), np.nan, np.float32), np.eye(2, dtype=bool))
