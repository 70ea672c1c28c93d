"""The sweep's strengths, and that a degraded patch is the patch of a degraded picture."""

import numpy as np
import pytest

from facexray.blending.degrade import DEGRADATIONS, Degradation, degrade
from facexray.evaluation.robustness import SWEEP, Patch, name_of
from facexray.faces.crop import Square, cut_crop, cut_view
from facexray.images import read_image

SQUARES = [
    Square(150, 60, 200),
    Square(-40, -30, 180),
    Square(400, 380, 300),
    Square(3, 5, 61),
    Square(-600, -600, 2000),
]


def whole_view(image, square):
    return cut_view(cut_crop(image, square))


@pytest.fixture(scope="module")
def picture(portraits):
    return read_image(portraits["astronaut"])[:507, :501]


def test_every_kind_has_five_strengths_in_its_range_each_worse_than_the_last(picture):
    assert len({name_of(step) for steps in SWEEP.values() for step in steps}) == 5 * len(SWEEP) == 40
    view = whole_view(picture, SQUARES[0])
    for name, steps in SWEEP.items():
        assert len(steps) == 5
        assert all(step.kind == name for step in steps)
        assert all(DEGRADATIONS[name].least <= step.amount <= DEGRADATIONS[name].most for step in steps)
        lost = [np.abs(Patch(view).view(step).astype(float) - view).mean() for step in steps]
        assert lost == sorted(lost)
        assert lost[0] > 0


@pytest.mark.parametrize("square", SQUARES, ids=str)
def test_an_undegraded_patch_is_the_view_of_the_whole_picture(picture, square):
    np.testing.assert_array_equal(Patch.around(picture, square).view(), whole_view(picture, square))


@pytest.mark.parametrize("square", SQUARES[:4], ids=str)
@pytest.mark.parametrize(
    "step",
    [
        Degradation("jpeg", 50, "420"),
        Degradation("jpeg", 10, "420"),
        Degradation("blur", 3.5),
        Degradation("saturation", 0.2),
        Degradation("contrast", 0.35),
    ],
    ids=name_of,
)
def test_a_degraded_patch_is_the_patch_of_a_degraded_picture(picture, square, step):
    expected = whole_view(degrade(picture, (step,)), square).astype(float)
    off = np.abs(Patch.around(picture, square).view(step) - expected)
    assert off.max() <= 1
    assert np.abs(expected - whole_view(picture, square)).mean() > 20 * off.mean()


@pytest.mark.parametrize("step", [SWEEP["h264"][2], SWEEP["resample"][2]], ids=name_of)
def test_where_the_whole_picture_decides_a_patch_is_near_it(picture, step):
    """An encoder's choices and the phase of a coarse grid are those of the picture: the loss is alike, not the same."""
    clean, whole = whole_view(picture, SQUARES[0]).astype(float), whole_view(degrade(picture, (step,)), SQUARES[0])
    patch = Patch.around(picture, SQUARES[0]).view(step)
    lost, off = np.abs(whole - clean).mean(), np.abs(patch - whole.astype(float)).mean()
    assert np.abs(patch - clean).mean() == pytest.approx(lost, rel=0.2)
    assert off < 0.8 * lost


@pytest.mark.parametrize("kind", ["gaussian_noise", "blocks"])
def test_dice_are_the_faces_own_and_the_same_each_time(picture, kind):
    patch, step = Patch.around(picture, SQUARES[0]), SWEEP[kind][3]
    np.testing.assert_array_equal(patch.view(step, "a 0 0"), patch.view(step, "a 0 0"))
    assert (patch.view(step, "a 0 0") != patch.view(step, "a 0 1")).any()


def test_crops_and_views_are_patches_of_their_own(picture):
    crop = cut_crop(picture, SQUARES[0])
    step = SWEEP["jpeg"][1]
    np.testing.assert_array_equal(Patch(crop).view(step), cut_view(degrade(crop, (step,))))
    view = np.ascontiguousarray(cut_view(crop))
    np.testing.assert_array_equal(Patch(view).view(step), degrade(view, (step,)))
    assert Patch(crop).view().flags.c_contiguous
