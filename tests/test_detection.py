import re

import numpy as np
import pytest

from facexray.detection import Detector
from facexray.errors import MediaError, ModelError
from facexray.images import read_image
from facexray.runtime.model import Prediction, Thresholds, XrayModel


class FixedModel(XrayModel):
    """Gives scores in turn, and an X-ray with one bright row."""

    def __init__(self, *scores):
        self.scores = list(scores)
        self.thresholds = Thresholds(real_below=0.3, fake_above=0.7)
        self.seen = []

    def predict(self, views):
        self.seen += list(views)
        scores = [self.scores[(len(self.seen) - len(views) + i) % len(self.scores)] for i in range(len(views))]
        xrays = np.zeros((len(views), 256, 256), np.float32)
        xrays[:, 100] = 1
        return Prediction(np.array(scores, np.float32), xrays)


@pytest.mark.parametrize(
    ("score", "verdict"), [(0.1, "real"), (0.3, "cannot tell"), (0.5, "cannot tell"), (0.71, "fake"), (1.0, "fake")]
)
def test_thresholds_make_the_verdict(portraits, score, verdict):
    result = Detector(FixedModel(score)).image(portraits["hopper"])
    assert (result.verdict, result.frames[0].faces[0].verdict) == (verdict, verdict)
    assert result.score == pytest.approx(score)
    assert f"{score:.2f}" in result.reason


def test_a_path_and_its_pixels_give_the_same_score(portraits):
    detector = Detector()
    by_path = detector.image(portraits["astronaut"])
    by_array = detector.image(read_image(portraits["astronaut"]))
    assert by_path.score == by_array.score
    assert by_path.sha256 is not None
    assert by_array.sha256 is None


def test_the_network_sees_the_crop_that_training_stores(portraits, store):
    model = FixedModel(0.5)
    Detector(model).image(portraits["hopper"])
    index = store.column("source").index(next(s for s in store.column("source") if s.endswith("hopper_0.png")))
    stored = store.crop(index)[30:286, 30:286]
    assert np.array_equal(model.seen[0], stored)


def test_the_highest_face_decides_and_all_are_listed(portraits):
    one = read_image(portraits["astronaut"])
    result = Detector(FixedModel(0.2, 0.9)).image(np.hstack([one, one]))
    assert result.verdict == "fake"
    assert sorted(face.verdict for face in result.frames[0].faces) == ["fake", "real"]
    assert "2 judged faces" in result.reason


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.full((300, 300, 3), 90, np.uint8), "no face"),
        (np.zeros((1, 1, 3), np.uint8), "no face"),
    ],
)
def test_no_face_cannot_be_told(image, reason):
    result = Detector(FixedModel(0.9)).image(image)
    assert (result.verdict, result.score) == ("cannot tell", None)
    assert reason in result.reason


def test_small_faces_are_listed_but_not_judged(portraits):
    small = read_image(portraits["astronaut"])[::3, ::3]
    result = Detector(FixedModel(0.9)).image(np.ascontiguousarray(small))
    assert (result.verdict, result.score) == ("cannot tell", None)
    assert "smaller than 48 px" in result.reason
    assert result.frames[0].faces[0].score is None


@pytest.mark.parametrize("array", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))])
def test_an_array_that_is_no_rgb_image_is_refused(array):
    with pytest.raises(MediaError, match="uint8 RGB"):
        Detector(FixedModel(0.5)).image(array)


def test_a_video_is_judged_by_the_mean_of_its_frames(portraits, make_video, tmp_path):
    path = make_video(tmp_path / "pan.mp4", read_image(portraits["astronaut"]))
    result = Detector(FixedModel(0.6, 1.0), frames=4).video(path)
    assert result.score == pytest.approx(0.8)
    assert (result.verdict, result.kind, len(result.frames)) == ("fake", "video", 4)
    assert [frame.index for frame in result.frames] == [3, 9, 15, 21]


def test_only_the_first_and_the_worst_frame_keep_their_picture(portraits, make_video, tmp_path):
    path = make_video(tmp_path / "pan.mp4", read_image(portraits["astronaut"]))
    result = Detector(FixedModel(0.2, 0.3, 0.9, 0.4, 0.5), frames=5).video(path)
    assert [bool(frame.image.size) for frame in result.frames] == [True, False, True, False, False]
    assert [frame.faces[0].xray is not None for frame in result.frames] == [True, False, True, False, False]


def test_a_video_that_breaks_off_is_judged_by_what_is_there(portraits, make_video, tmp_path):
    path = make_video(
        tmp_path / "long.mp4", read_image(portraits["astronaut"]), frames=60, options={"movflags": "faststart"}
    )
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.7)])
    result = Detector(FixedModel(0.9), frames=12).video(path)
    assert result.verdict == "fake"
    assert len(result.frames) == 12
    assert 30 < result.frames[-1].index < 50  # spread over the part that is there
    assert re.search(r"long.mp4: cut off: \d+ of 60 frames are missing", result.error)


def test_unreadable_files_do_not_stop_the_others(portraits, broken_files):
    folder, expected = broken_files
    files = [*(folder / name for name in expected), portraits["hopper"]]
    results = list(Detector(FixedModel(0.9)).images(files))
    assert [result.source for result in results] == [str(file) for file in files]
    assert all(result.error and result.verdict == "cannot tell" for result in results[:-1])
    assert results[-1].error is None
    assert results[-1].verdict == "fake"


def test_the_dictionary_holds_what_the_docs_promise(portraits):
    data = Detector(FixedModel(0.5)).image(portraits["hopper"]).to_dict()
    assert set(data) == {"schema", "source", "sha256", "kind", "verdict", "score", "reason", "error", "frames"}
    assert set(data["frames"][0]) == {"frame", "time_s", "score", "faces"}
    assert set(data["frames"][0]["faces"][0]) == {"box", "score", "verdict", "reason"}


def test_a_model_that_is_not_ours_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_text("no model")
    with pytest.raises(ModelError, match="not an ONNX model"):
        Detector(tmp_path / "model.onnx")
