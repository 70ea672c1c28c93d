"""From rows to numbers: which faces count, how frames and videos pool, what is counted; all by hand."""

from pathlib import Path

import pytest

from facexray.errors import SettingsError
from facexray.evaluation.cache import Found, FoundFace
from facexray.evaluation.config import EvaluateConfig
from facexray.evaluation.manifest import Item
from facexray.evaluation.measure import LEFT_OUT, UNMASKED, Tally, measure
from facexray.evaluation.scored import SCORES
from facexray.evaluation.scoring import Scored
from facexray.evaluation.sources import Source


def item(label, video="000", method=None):
    method = method or ("fake" if label else "real")
    return Item("set", method, video, label, (Path(f"{method}/{video}.mp4"),))


def face(frame, number, score, overlap=None):
    return FoundFace(frame, number, overlap, dict.fromkeys(SCORES, score), {"xray_energy": score})


def scored(of, *faces, frames=2, reason=None):
    return Scored(Source(of, {}, lambda: iter(())), Found(frames, list(faces), reason))


def tally_of(*items, choice="max"):
    tally = Tally(choice)
    for one in items:
        tally.add(one)
    return tally


REAL = scored(item(0), face(0, 0, 0.5))


def counted(tally, **settings):
    return measure(tally, EvaluateConfig(**settings), robustness=False)


def auc(numbers, level="frame_level", method="overall", score="class"):
    return numbers["metrics"][score][level][method]["AUC"]["value"]


@pytest.mark.parametrize(
    ("choice", "kept"), [("max", [(0, 0), (0, 1), (1, 0)]), ("largest", [(0, 0), (1, 0)]), ("mask", [(0, 1)])]
)
def test_the_faces_that_count(choice, kept):
    fake = scored(item(1), face(0, 0, 0.1, 0.0), face(0, 1, 0.9, 0.6), face(1, 0, 0.2, 0.001))
    tally = tally_of(REAL, fake, choice=choice)
    assert [(row.frame, row.face) for row in tally.rows if row.label] == kept
    assert [(row.frame, row.face) for row in tally.rows if not row.label] == [(0, 0)]


@pytest.mark.parametrize(("overlap", "reason"), [(None, UNMASKED), (0.0, LEFT_OUT)])
def test_a_fake_whose_face_no_mask_chooses_is_counted_and_left_out(overlap, reason):
    tally = tally_of(REAL, scored(item(1), face(0, 0, 0.9, overlap)), choice="mask")
    assert tally.skipped == [("fake/000.mp4", reason)]
    with pytest.raises(SettingsError, match=f"1 real and 0 fake faces.*{reason}"):
        counted(tally)


def test_frames_are_their_highest_face_and_videos_the_mean_of_their_frames():
    """Real: one frame of 0.5. Fake: frames of max(0.1, 0.6) and 0.2: of the two one is above, their mean is below."""
    numbers = counted(tally_of(REAL, scored(item(1), face(0, 0, 0.1), face(0, 1, 0.6), face(1, 0, 0.2))))
    assert auc(numbers) == 0.5
    assert auc(numbers, "video_level") == 0.0
    assert numbers["metrics"]["class"]["frame_level"]["overall"]["fake"] == 2


def test_videos_of_one_name_in_two_methods_are_two():
    tally = tally_of(REAL, scored(item(1, method="a"), face(0, 0, 0.9)), scored(item(1, method="b"), face(0, 0, 0.1)))
    numbers = counted(tally)
    assert [auc(numbers, level, "a") for level in ("frame_level", "video_level")] == [1, 1]
    assert [auc(numbers, level, "b") for level in ("frame_level", "video_level")] == [0, 0]
    assert auc(numbers, "video_level") == 0.5
    assert numbers["methods"]["a"] == {"label": 1, "videos": 1, "videos_with_faces": 1, "frames": 2, "faces": 1}


@pytest.mark.parametrize(("no_face", "fakes", "value"), [("leave_out", 1, 1.0), ("half", 2, 0.75)])
def test_a_video_without_a_face_is_left_out_or_counts_a_half(no_face, fakes, value):
    """A half is as high as the real's 0.5: a tie, which counts one half of a pair."""
    empty = scored(item(1, "wall"), reason="no face found")
    numbers = counted(tally_of(REAL, scored(item(1), face(0, 0, 0.9)), empty), no_face=no_face)
    entry = numbers["metrics"]["class"]["video_level"]["overall"]
    assert (entry["fake"], entry["AUC"]["value"]) == (fakes, value)
    assert numbers["metrics"]["class"]["frame_level"]["overall"]["fake"] == 1
    assert numbers["metrics"]["xray_mean"]["video_level"]["overall"]["fake"] == 1
    assert numbers["skipped"]["files"] == [{"file": "fake/wall.mp4", "reason": "no face found"}]


def test_an_unreadable_file_is_never_a_half():
    tally = tally_of(REAL, scored(item(1), face(0, 0, 0.9)), scored(item(1, "b"), frames=0, reason="unreadable"))
    tally.skip(item(1, "c"), "not there")
    numbers = counted(tally, no_face="half")
    assert numbers["metrics"]["class"]["video_level"]["overall"]["fake"] == 1
    assert numbers["skipped"]["count"] == 2
    assert numbers["methods"]["fake"]["videos"] == 3


def test_accuracy_is_at_the_threshold():
    tally = tally_of(REAL, scored(item(1), face(0, 0, 0.9)))
    accuracies = [
        counted(tally, threshold=threshold)["metrics"]["class"]["frame_level"]["overall"]["accuracy"]["value"]
        for threshold in (0.4, 0.7, 0.95)
    ]
    assert accuracies == [0.5, 1.0, 0.5]


def test_localisation_is_of_those_whose_mask_is_known():
    located = face(0, 0, 0.9)
    located.localisation |= {"xray_AP": 0.75, "xray_IoU": 0.5, "region_IoU": 0.25}
    tally = tally_of(REAL, scored(item(1), located), scored(item(1, "b"), face(0, 0, 0.3)))
    numbers = counted(tally)["localisation"]
    assert numbers["faces"] == 1
    assert [numbers[name]["value"] for name in ("xray_AP", "xray_IoU", "region_IoU")] == [0.75, 0.5, 0.25]
    assert numbers["xray_energy_real"]["value"] == 0.5
    assert numbers["xray_energy_fake"]["value"] == pytest.approx(0.6)
    assert counted(tally_of(REAL, scored(item(1), face(0, 0, 1.0))))["localisation"] is None


@pytest.mark.parametrize("overlap", [None, 0.0])
def test_a_face_that_the_choice_leaves_out_is_never_a_half(overlap):
    """It has a face: that its mask lacks, or covers another one, says nothing of the face."""
    good = scored(item(1), face(0, 0, 0.9, 0.5))
    other = scored(item(1, "b", "other"), face(0, 0, 0.8, overlap))
    tally = tally_of(REAL, good, other, choice="mask")
    assert tally.without_face == []
    assert counted(tally, no_face="half")["metrics"]["class"]["video_level"]["overall"]["fake"] == 1
