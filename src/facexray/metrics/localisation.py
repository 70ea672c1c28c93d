"""How well a predicted Face X-ray finds the blending boundary, and the region that the boundary encloses.

X-rays and masks are (H, W) in [0, 1]. The boundary is where the true Face X-ray B = 4·M·(1−M) is above ½, the
manipulated region where the true mask M is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.errors import SettingsError
from facexray.metrics.classification import ap
from facexray.metrics.ranking import checked, plain_counts

Map = NDArray[np.float32]
Region = NDArray[np.bool_]

THRESHOLD = 0.5
STEP = 4
"""Every fourth row and column is ranked: networks predict the X-ray at a quarter of the view's size and enlarge it."""
GAP_SHARE = 1 / 16
"""Gaps in a contour up to this share of the image's height are closed."""


def localise(xray: Map, true_xray: Map | None, mask: Map | None) -> dict[str, float]:
    """The localisation numbers of one face, as far as it has them.

    Args:
        xray: (H, W) predicted.
        true_xray: (H, W); None of a real face, whose energy alone is measured.
        mask: (H, W); None of a real face.

    Returns:
        `xray_energy`; of a fake with boundary and region in sight, too, `xray_AP`, `xray_IoU`, `region_IoU`.
    """
    numbers = {"xray_energy": xray_energy(xray)}
    if true_xray is None or mask is None:
        return numbers
    boundary, region = true_xray > THRESHOLD, mask > THRESHOLD
    pixels, ranked = xray[::STEP, ::STEP], boundary[::STEP, ::STEP]
    if ranked.any() and not ranked.all():
        numbers |= {"xray_AP": xray_ap(pixels, ranked), "xray_IoU": xray_iou(pixels, ranked)}
    if region.any():
        numbers["region_IoU"] = iou(enclosed_region(xray), region)
    return numbers


def xray_energy(xray: Map) -> float:
    """Mean of an X-ray (H, W), in [0, 1]: 0 is what a real face should have."""
    return float(xray.mean(dtype=np.float64))


def xray_ap(xray: Map, boundary: Region) -> float:
    """Average precision of the X-ray's pixels as scores for lying on the boundary.

    Args:
        xray: (H, W) predicted.
        boundary: (H, W) where the true X-ray is above ½.

    Raises:
        SettingsError: No pixel is on the boundary, or all are, or the X-ray is not finite.
    """
    return ap(boundary.ravel(), xray.ravel())


def xray_iou(xray: Map, boundary: Region) -> float:
    """Intersection over union of boundary and X-ray, at the threshold that suits this X-ray best; see `xray_ap`.

    The threshold is chosen with the truth in sight: it is what the X-ray could reach, not what it does at ½.
    """
    counts = plain_counts(*checked(boundary.ravel(), xray.ravel()))
    return float((counts.fakes[0] / (counts.all_fakes + counts.reals[0])).max())


def enclosed_region(xray: Map) -> Region:
    """The region (H, W) that an X-ray encloses: it is at ½ of M, in the middle of the boundary's band.

    The band is where the X-ray is above half of its maximum, so that a faint one has a band as well; gaps in it up to
    1/16 of the height are closed by a disc. What of the rest
    cannot be reached from the image's border lies inside, and of the band itself what is nearer to the inside than to
    the outside. A band that encloses nothing is the region itself.
    """
    radius = max(1, round(xray.shape[0] * GAP_SHARE / 2))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    # The frame around it, as wide as the disc, is outside: the closing must not stick to the image's border.
    framed = np.pad((xray > THRESHOLD * xray.max()).astype(np.uint8), radius + 1)
    band = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, disc)
    outside = band.copy()
    cv2.floodFill(outside, None, (0, 0), 2)
    inside = outside == 0
    if not inside.any():
        region = band > 0
    else:
        to_inside, to_outside = (
            cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            for part in (inside, outside == 2)
        )
        region = to_inside < to_outside
    return np.asarray(region[radius + 1 : -radius - 1, radius + 1 : -radius - 1])


def iou(found: Region, true: Region) -> float:
    """Intersection over union of two regions (H, W).

    Raises:
        SettingsError: Both are empty, or they differ in shape.
    """
    if found.shape != true.shape:
        raise SettingsError(f"regions of one shape are compared, got {found.shape} and {true.shape}")
    union = np.count_nonzero(found | true)
    if not union:
        raise SettingsError("both regions are empty: they have no intersection over union")
    return float(np.count_nonzero(found & true) / union)
