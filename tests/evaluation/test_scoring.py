"""Scoring with a stand-in for the network: batches across sources, masks, faults of single files."""

import errno
from types import SimpleNamespace

import av
import numpy as np
import pytest

from facexray.errors import MediaError
from facexray.evaluation.cache import Cache
from facexray.evaluation.clock import Clock
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.pooled import boundary_energy, pool_xray
from facexray.evaluation.scored import SCORES
from facexray.evaluation.scoring import CUT_OFF, STOPPED, Scorer
from facexray.evaluation.sources import is_passing
from facexray.evaluation.video_sources import Reader
from facexray.images import evenly, read_image, write_image
from facexray.runtime.model import BATCH, Prediction


class Network:
    """Scores a view by its mean, and sees an X-ray of that height all over; remembers the batches."""

    def __init__(self):
        self.batches = []

    def predict(self, views):
        self.batches.append(len(views))
        means = views.mean(axis=(1, 2, 3)).astype(np.float32) / 255
        return Prediction(means, np.repeat(means, 256 * 256).reshape(-1, 256, 256))


@pytest.fixture
def score(tmp_path):
    def run(*items, network=None, **settings):
        options = {"frames": 4, "stride": None, "min_face": 48} | settings
        network = network or Network()
        with Cache(tmp_path / "out", "model") as cache:
            clock = Clock()
            sources = list(Reader(cache, clock, **options).sources(Manifest(list(items)), []))
            broken = [source for source in sources if isinstance(source, tuple)]
            whole = [source for source in sources if not isinstance(source, tuple)]
            return SimpleNamespace(
                scored=list(Scorer(network, cache, clock).score(whole)), broken=broken, batches=network.batches
            )

    return run


def item(path, *more, masks=(), label=0):
    return Item("set", "fake" if label else "real", path.stem, label, (path, *more), masks=tuple(masks))


@pytest.fixture
def photographs(portraits, tmp_path):
    image = read_image(portraits["astronaut"])
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        write_image(path, image // (number + 1))
    return paths


def test_batches_run_across_sources_and_come_back_to_their_own(photographs, tmp_path, score):
    items = [item(path) for path in photographs] * 4
    copies = [Item("set", "real", str(number), 0, one.files) for number, one in enumerate(items)]
    found = score(*copies)
    assert found.batches == [BATCH, 20 - BATCH]
    assert [one.item.video for one in found.scored] == [str(number) for number in range(20)]
    values = [one.found.faces[0].scores["class"] for one in found.scored]
    assert values[:5] == values[15:] == sorted(values[:5], reverse=True)
    again = score(*copies)
    assert again.batches == []
    assert [one.found for one in again.scored] == [one.found for one in found.scored]


def test_pictures_as_frames_are_one_video_and_lose_only_those_that_are_broken(photographs, score, tmp_path):
    photographs[2].write_bytes(b"no picture")
    (one,) = score(item(*photographs), stride=1).scored
    assert [row.frame for row in one.rows()] == [0, 1, 3, 4]
    assert [row.file for row in one.rows()] == [str(photographs[place]) for place in (0, 1, 3, 4)]
    assert one.found.frames == 4
    assert "not a photograph" in one.found.reason
    (two,) = score(item(*photographs), frames=2).scored
    assert [row.frame for row in two.rows()] == [1, 3]


def test_what_is_not_there_or_unreadable_costs_itself_alone(photographs, tmp_path, score, broken_files):
    text = broken_files[0] / "text.mp4"
    found = score(item(tmp_path / "none.mp4"), item(text), item(photographs[0]))
    assert [(of.video, "cannot be read" in why) for of, why in found.broken] == [("none", True)]
    broken, whole = found.scored
    assert broken.found.faces == []
    assert broken.found.reason.startswith("not a readable video")
    assert len(whole.found.faces) == 1


def test_a_cut_video_is_judged_by_what_is_there(portraits, make_video, tmp_path, score):
    path = make_video(tmp_path / "cut.mp4", read_image(portraits["hopper"]), options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    (one,) = score(item(path), frames=2).scored
    assert one.found.reason == CUT_OFF
    assert one.found.faces


@pytest.mark.parametrize(
    ("settings", "reason"), [({"min_face": 5000}, "every face smaller than 5000 px"), ({}, "no face found")]
)
def test_no_face_has_its_reason(photographs, score, settings, reason):
    if not settings:
        write_image(photographs[0], np.full((200, 200, 3), 120, np.uint8))
    (one,) = score(item(photographs[0]), **settings).scored
    assert (one.found.faces, one.found.reason, one.found.frames) == ([], reason, 1)


def test_the_mask_says_how_much_of_a_face_is_forged(portraits, photographs, tmp_path, score):
    """White over the right one of two faces: it alone is located."""
    image = read_image(portraits["astronaut"])
    pair, mask = np.hstack([image, image]), np.zeros((512, 1024, 3), np.uint8)
    mask[60:220, 512 + 170 : 512 + 280] = 255
    write_image(tmp_path / "pair.png", pair)
    write_image(tmp_path / "mask.png", mask)
    (one,) = score(item(tmp_path / "pair.png", masks=[tmp_path / "mask.png"], label=1)).scored
    left, right = sorted(one.found.faces, key=lambda face: face.overlap)
    assert left.overlap == 0
    assert right.overlap > 0.5
    assert left.localisation.keys() == {"xray_energy"}
    assert right.localisation.keys() == {"xray_AP", "xray_IoU", "region_IoU", "xray_energy"}


def test_a_mask_of_another_shape_costs_the_localisation_alone(photographs, tmp_path, score):
    write_image(tmp_path / "mask.png", np.zeros((100, 300, 3), np.uint8))
    (one,) = score(item(photographs[0], masks=[tmp_path / "mask.png"], label=1)).scored
    assert one.found.reason.startswith("scored without its mask")
    assert one.found.faces[0].overlap is None


@pytest.mark.parametrize(
    ("count", "frames", "stride", "expected"),
    [(10, 2, None, [2, 7]), (3, 5, None, [0, 1, 2]), (10, 2, 4, [0, 4, 8]), (1, 32, None, [0])],
)
def test_frames_are_spread_over_the_whole(count, frames, stride, expected):
    assert evenly(count, frames, stride) == expected


def test_pooled_scores_of_a_drawn_xray():
    xray = np.zeros((256, 256), np.float32)
    xray[:16, :64] = 1.0  # 1024 of 65536 pixels, more than a hundredth
    scores = pool_xray(xray)
    assert {"class", *scores} == set(SCORES)
    assert scores["xray_mean"] == 1024 / 65536
    assert scores["xray_max"] == scores["xray_top_k"] == 1
    assert pool_xray(np.zeros((256, 256), np.float32)) == dict.fromkeys(scores, 0.0)


def test_a_contour_has_more_energy_than_a_blot_and_a_faint_one_its_share():
    y, x = np.mgrid[:256, :256].astype(np.float32) - 128
    ring = np.exp(-((np.hypot(x, y) - 70) ** 2) / 60).astype(np.float32)
    blot = np.exp(-(x**2 + y**2) / 60).astype(np.float32)
    assert boundary_energy(ring) > 1.5 * boundary_energy(blot) > 0
    assert boundary_energy(ring * np.float32(0.3)) == pytest.approx(0.3 * boundary_energy(ring), rel=1e-3)


def caused(cause):
    try:
        raise MediaError("a.mp4: not a readable video") from cause
    except MediaError as error:
        return error


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (MemoryError(), True),
        (caused(MemoryError()), True),
        (caused(OSError(errno.EIO, "Input/output error")), True),
        (caused(OSError(errno.ESTALE, "Stale file handle")), True),
        (caused(OSError("image file is truncated")), False),
        (caused(av.InvalidDataError(1094995529, "Invalid data found")), False),
        (MediaError("a.mp4: cut off: 3 of 9 frames are missing"), False),
    ],
)
def test_what_may_pass_is_told_from_broken_content(error, passing):
    assert is_passing(error) == passing


@pytest.mark.parametrize("error", [MemoryError("no more"), caused(OSError(errno.EIO, "Input/output error"))])
def test_an_error_that_passes_costs_this_run_alone(error, portraits, make_video, tmp_path, score, monkeypatch):
    path = make_video(tmp_path / "whole.mp4", read_image(portraits["hopper"]), frames=4)
    look, calls = Reader._look, []

    def fail_once(self, *args):
        calls.append(args)
        if len(calls) == 2:
            raise error
        return look(self, *args)

    monkeypatch.setattr(Reader, "_look", fail_once)
    (first,) = score(item(path)).scored
    assert (len(first.found.faces), first.found.reason.partition(":")[0]) == (1, STOPPED)
    (again,) = score(item(path)).scored
    assert (len(again.found.faces), again.found.reason) == (4, None)


def test_a_picture_that_a_drive_did_not_give_is_read_again(photographs, score, monkeypatch):
    def fail(path):
        if path == photographs[1]:
            raise caused(OSError(errno.EIO, "Input/output error"))
        return read_image(path)

    with monkeypatch.context() as patch:
        patch.setattr("facexray.evaluation.video_sources.read_image", fail)
        assert len(score(item(*photographs), stride=1).scored[0].found.faces) == 4
    (again,) = score(item(*photographs), stride=1).scored
    assert (len(again.found.faces), again.found.reason) == (5, None)
