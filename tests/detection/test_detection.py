import errno
import json
import re
import sys
import threading
import time
from fractions import Fraction
from io import BytesIO, TextIOWrapper
from pathlib import Path

import av
import cv2
import jsonschema
import numpy as np
import pytest

from facexray.detection import detector as module
from facexray.detection.detector import Detector
from facexray.detection.result import Result, json_schema
from facexray.errors import MediaError, ModelError, SettingsError
from facexray.faces.detector import FaceDetector
from facexray.images import read_image, write_image
from facexray.runtime.model import Prediction, Thresholds, XrayModel


@pytest.mark.parametrize(
    ("score", "verdict"), [(0.1, "real"), (0.3, "cannot tell"), (0.5, "cannot tell"), (0.71, "fake"), (1.0, "fake")]
)
def test_thresholds_make_the_verdict(portraits, fixed, score, verdict):
    result = Detector(fixed(score)).image(portraits["hopper"])
    assert (result.verdict, result.faces[0].verdict) == (verdict, verdict)
    assert result.score == pytest.approx(score)
    assert f"{score:.2f}" in result.reason


def test_a_path_and_its_pixels_give_the_same_score(portraits):
    detector = Detector()
    by_path = detector.image(portraits["astronaut"])
    by_array = detector.image(read_image(portraits["astronaut"]))
    assert by_path.score == by_array.score
    assert by_path.sha256 is not None
    assert by_array.sha256 is None


def test_the_network_sees_the_crop_that_training_stores(portraits, store, fixed):
    model = fixed(0.5)
    Detector(model).image(portraits["hopper"])
    index = store.column("source").index(next(s for s in store.column("source") if s.endswith("hopper_0.png")))
    assert np.array_equal(model.seen[0], store.crop(index)[30:286, 30:286])


def test_the_highest_face_decides_and_all_are_listed(portraits, fixed):
    one = read_image(portraits["astronaut"])
    result = Detector(fixed(0.2, 0.9)).image(np.hstack([one, one]))
    assert result.verdict == "fake"
    assert sorted(face.verdict for face in result.faces) == ["fake", "real"]
    assert "2 judged faces" in result.reason


def test_flip_is_the_mean_over_a_face_and_its_mirror_image(portraits, fixed):
    model = fixed(0.2, 0.9)
    result = Detector(model, flip=True).image(portraits["hopper"])
    assert result.score == pytest.approx(0.55)
    assert np.array_equal(model.seen[1], model.seen[0][:, ::-1])


def test_flip_turns_the_xray_back(portraits):
    image = read_image(portraits["hopper"])
    plain = Detector().image(image).faces[0]
    flipped = Detector(flip=True).image(image).faces[0]
    assert np.corrcoef(plain.xray.ravel(), flipped.xray.ravel())[0, 1] > 0.5


# Cannot tell


@pytest.mark.parametrize("image", [np.full((300, 300, 3), 90, np.uint8), np.zeros((1, 1, 3), np.uint8)])
def test_no_face_cannot_be_told(fixed, image):
    result = Detector(fixed(0.9)).image(image)
    assert (result.verdict, result.score, result.reason) == ("cannot tell", None, "no face was found")


def test_small_faces_are_listed_but_not_judged(portraits, fixed):
    small = read_image(portraits["astronaut"])[::3, ::3]
    result = Detector(fixed(0.9)).image(np.ascontiguousarray(small))
    assert (result.verdict, result.score) == ("cannot tell", None)
    assert "smaller than 48 px" in result.reason
    assert result.faces[0].score is None


def test_blurred_faces_are_not_judged_whatever_their_size(portraits, fixed):
    image = read_image(portraits["hopper"])
    for factor in (1, 3):
        enlarged = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        result = Detector(fixed(0.9)).image(cv2.GaussianBlur(enlarged, (0, 0), 4 * factor))
        assert (result.verdict, result.faces[0].reason) == ("cannot tell", "the face is too blurred")
        assert Detector(fixed(0.9)).image(enlarged).verdict == "fake"


def test_what_was_not_judged_is_counted_by_its_reason(portraits, fixed):
    image = read_image(portraits["astronaut"])
    canvas = np.hstack([image, cv2.GaussianBlur(image, (0, 0), 5), np.full_like(image, 128)])
    canvas[100:300, 1100:1300] = cv2.resize(image, (200, 200), interpolation=cv2.INTER_AREA)
    result = Detector(fixed(0.9)).image(canvas)
    assert result.verdict == "fake"
    assert "1 too blurred" in result.reason
    assert "1 smaller than 48 px" in result.reason


@pytest.mark.parametrize("array", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))])
def test_an_array_that_is_no_rgb_image_is_refused(fixed, array):
    with pytest.raises(MediaError, match="uint8 RGB"):
        Detector(fixed(0.5)).image(array)


@pytest.mark.parametrize("options", [{"fps": 0}, {"fps": float("nan")}, {"fps": -1.0}, {"time_limit": 0.0}], ids=str)
def test_a_setting_out_of_range_is_told(fixed, options):
    with pytest.raises(SettingsError, match=next(iter(options))):
        Detector(fixed(0.5), **options)


def test_a_model_that_is_not_ours_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_text("no model")
    with pytest.raises(ModelError, match="not an ONNX model"):
        Detector(tmp_path / "model.onnx")


# Videos


@pytest.fixture(scope="module")
def pan(portraits, make_video, tmp_path_factory):
    """Two seconds at 24 frames a second."""
    return make_video(tmp_path_factory.mktemp("pan") / "pan.mp4", read_image(portraits["astronaut"]), frames=48)


def test_a_video_is_judged_by_its_tracks(pan, fixed):
    result = Detector(fixed(0.9), fps=4).video(pan)
    assert (result.verdict, result.kind, result.frames) == ("fake", "video", 8)
    (track,) = result.tracks
    np.testing.assert_allclose(track.times_s, np.arange(8) / 4, atol=1e-6)
    assert re.match(r"track 1, 00:00\.0–00:01\.8: score 0\.90 is above 0\.70", result.reason)
    assert track.spans == [(0.0, pytest.approx(1.75))]
    assert result.duration_s == pytest.approx(1.75)


class Dark(XrayModel):
    """Says fake of dark views."""

    def __init__(self):
        self.thresholds = Thresholds(real_below=0.3, fake_above=0.7)

    def predict(self, views):
        scores = np.array([0.95 if view.mean() < 70 else 0.05 for view in views], np.float32)
        return Prediction(scores, np.zeros((len(views), 256, 256), np.float32))


@pytest.fixture(scope="module")
def two_clips(portraits, make_video, tmp_path_factory):
    """Four seconds of a face, then four of it in the dark: their pictures."""
    folder, image = tmp_path_factory.mktemp("clips"), read_image(portraits["astronaut"])
    clips = [make_video(folder / f"{i}.ts", image // (1 + i), frames=96, size=(320, 240)) for i in range(2)]
    return [clip.read_bytes() for clip in clips]


def test_a_fake_clip_in_a_joined_file_is_found(two_clips, tmp_path):
    (tmp_path / "joined.ts").write_bytes(b"".join(two_clips))
    result = Detector(Dark()).video(tmp_path / "joined.ts")
    assert result.verdict == "fake"
    assert result.duration_s == pytest.approx(8, abs=0.3)
    start = result.tracks[0].times_s[0]
    (span,) = next(track.spans for track in result.tracks if track.verdict == "fake")
    np.testing.assert_allclose(np.array(span) - start, (4, 8), atol=0.3)


def test_one_wrong_time_hides_nothing(two_clips, tmp_path):
    (tmp_path / "plain.ts").write_bytes(two_clips[1])
    with av.open(str(tmp_path / "plain.ts")) as container, av.open(str(tmp_path / "wrong.mkv"), "w") as copy:
        stream = copy.add_stream_from_template(container.streams.video[0])
        for number, packet in enumerate(container.demux(video=0)):
            if packet.dts is not None:
                packet.pts += int(1000 / packet.time_base) if number == 20 else 0
                packet.stream = stream
                copy.mux(packet)
    result = Detector(Dark()).video(tmp_path / "wrong.mkv")
    assert (result.verdict, len(result.tracks)) == ("fake", 1)
    assert result.frames == pytest.approx(20, abs=1)
    assert result.duration_s == pytest.approx(4, abs=0.3)


def test_one_bad_frame_is_no_verdict_but_a_moment(pan, fixed):
    result = Detector(fixed(*[0.1] * 5, 0.99, 0.1, 0.1), fps=4).video(pan)
    assert result.verdict == "real"
    assert result.tracks[0].moments[0].time_s == pytest.approx(1.25)
    assert result.frame.time_s == pytest.approx(1.25)


@pytest.mark.parametrize(("rate", "fps"), [(Fraction(1, 2), 5), (Fraction(30000, 30030), 1), (2, 0.4)], ids=str)
def test_rare_looks_are_judged_too(portraits, make_video, fixed, tmp_path, rate, fps):
    image = read_image(portraits["astronaut"])
    path = make_video(tmp_path / "slow.mp4", image, frames=30 if rate == 2 else 6, size=(320, 240), rate=rate)
    result = Detector(fixed(0.9), fps=fps).video(path)
    assert (result.verdict, result.frames, len(result.tracks)) == ("fake", 6, 1)


def test_frames_that_disagree_cannot_be_told(pan, fixed):
    result = Detector(fixed(0.95, 0.05, 0.95), fps=8).video(pan)
    assert result.verdict == "cannot tell"
    assert "frames disagree" in result.reason


def test_only_a_few_moments_keep_pictures_and_they_lie_apart(pan, fixed):
    result = Detector(fixed(*np.linspace(0.1, 0.9, 8)), fps=4).video(pan)
    (track,) = result.tracks
    times = [moment.time_s for moment in track.moments]
    np.testing.assert_allclose(times, [7 / 4, 3 / 4])
    assert all(moment.face.view.shape == (256, 256, 3) for moment in track.moments)
    light = result.without_pictures()
    assert all(moment.face.view is None for moment in light.tracks[0].moments)
    assert not light.frame.image.size
    assert light.to_dict() == result.to_dict()


def test_a_fake_third_of_a_video_is_found_and_told_when(store, encode_video, tmp_path):
    """A portrait that is panned over for six seconds; from the second to the fourth it has another's face."""
    from dataclasses import replace

    from facexray.blending.config import BlendConfig
    from facexray.blending.generate import render, sample_rng
    from facexray.blending.recipe import Recipe, draw_recipe
    from facexray.faces.neighbours import FacePool

    pool = FacePool.of(store)
    index = store.column("source").index(next(s for s in store.column("source") if s.endswith("astronaut_0.png")))
    background = store[index].id
    config = BlendConfig(mode="bi", real_prob=0, degradations={}, flip_prob=0)
    window = Recipe("real", background).window
    drawn = (draw_recipe(config, pool, sample_rng(1, 0, i)) for i in range(1000))
    recipes = [replace(recipe, window=window) for recipe in drawn if recipe.background == background][:8]
    views = [render(recipe, store).image for recipe in recipes]
    detector = Detector()
    real = store.crop(index)
    fake = real.copy()
    fake[30:286, 30:286] = views[int(detector.model.predict(np.stack(views)).scores.argmax())]

    def frame(i):
        crop = cv2.resize(fake if 48 <= i < 96 else real, (400, 400), interpolation=cv2.INTER_CUBIC)
        return crop[i // 10 : i // 10 + 360, i // 6 : i // 6 + 360]

    result = detector.video(encode_video(tmp_path / "third.mp4", [frame(i) for i in range(144)]))
    (track,) = result.tracks
    middle = (track.times_s >= 2) & (track.times_s < 4)
    assert track.smooth[middle].mean() > track.smooth[~middle].mean() + 0.3
    assert (result.verdict, len(track.spans)) == ("fake", 1)
    np.testing.assert_allclose(track.spans[0], (2, 4), atol=0.41)
    assert np.nanmean(track.scores) < detector.model.thresholds.fake_above, "a mean would have washed it out"


def test_a_video_that_breaks_off_is_judged_by_what_is_there(portraits, make_video, fixed, tmp_path):
    path = make_video(
        tmp_path / "long.mp4", read_image(portraits["astronaut"]), frames=60, options={"movflags": "faststart"}
    )
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.7)])
    result = Detector(fixed(0.9), fps=8).video(path)
    assert result.verdict == "fake"
    assert 10 <= result.frames < 20
    assert re.search(r"long.mp4: cut off: \d+ of 60 frames are missing", result.error)


def test_a_long_video_leaves_numbers_only(pan, fixed):
    """Memory must not grow with the number of frames: no list of images, views or X-rays may be as long."""
    result = Detector(fixed(0.9, 0.5), fps="all").video(pan)
    assert result.frames == 48
    pictures = [moment.face.view for track in result.tracks for moment in track.moments]
    assert len(pictures) <= 3


# Many files


def test_results_come_in_order_and_unreadable_files_do_not_stop_the_others(portraits, broken_files, pan, fixed):
    folder, expected = broken_files
    files = [portraits["astronaut"], *(folder / name for name in expected), pan, portraits["hopper"]]
    results = list(Detector(fixed(0.9)).images(files))
    assert [result.source for result in results] == [str(file) for file in files]
    assert all(result.error and result.verdict == "cannot tell" for result in results[1:-2])
    assert [(result.error, result.verdict) for result in (results[0], *results[-2:])] == [(None, "fake")] * 3
    for result in results:
        jsonschema.validate(json.loads(json.dumps(result.to_dict())), json_schema())


@pytest.fixture(scope="module")
def small(portraits, tmp_path_factory):
    """A photograph of 200 px, which is quickly looked at."""
    path = tmp_path_factory.mktemp("small") / "small.png"
    write_image(path, cv2.resize(read_image(portraits["hopper"])[30:430, 70:470], (200, 200)))
    return path


def test_faces_of_many_photographs_go_through_the_network_together(small, fixed):
    model, sizes = fixed(0.5), []
    original = model.predict
    model.predict = lambda views: (sizes.append(len(views)), original(views))[1]
    list(Detector(model).images([small] * 20))
    assert max(sizes) == 16
    assert sum(sizes) == 20


def test_together_or_alone_makes_no_difference(portraits, pan):
    detector = Detector(engine="onnxruntime", fps=2)
    together = list(detector.images([*portraits.values(), pan]))
    alone = [*(detector.image(path) for path in portraits.values()), detector.video(pan)]
    np.testing.assert_allclose([r.score for r in together], [r.score for r in alone], atol=1e-5)


def test_photographs_may_be_judged_between_the_results_of_many_files(small, pan, fixed, monkeypatch):
    """Two calls run at once then: none may use a face detector that the other is in."""
    original, busy, shared = FaceDetector._detect_at, set(), []

    def watched(self, image, side):
        shared.append(id(self) in busy)
        busy.add(id(self))
        time.sleep(0.01)
        try:
            return original(self, image, side)
        finally:
            busy.discard(id(self))

    monkeypatch.setattr(FaceDetector, "_detect_at", watched)
    detector = Detector(fixed(0.9), fps=12)
    for result in detector.images([small, pan, small, small]):
        assert (result.verdict, result.error) == ("fake", None)
        assert detector.image(small).verdict == "fake"
    assert not any(shared)


@pytest.fixture
def no_thread_left():
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(3)
    assert not [thread for thread in left if thread.is_alive()]


def fail_at(stage, error, model, monkeypatch):
    """Let the second call of a stage fail."""
    calls = []

    def counted(original):
        def call(*arguments):
            calls.append(1)
            if len(calls) == 2:
                raise error
            return original(*arguments)

        return call

    if stage == "decode":
        monkeypatch.setattr(module, "read_source", counted(module.read_source))
    elif stage == "find":
        monkeypatch.setattr(FaceDetector, "detect", counted(FaceDetector.detect))
    else:
        monkeypatch.setattr(module, "BATCH", 1)
        model.predict = counted(model.predict)


@pytest.mark.parametrize("stage", ["decode", "find", "predict"])
def test_a_fault_in_any_stage_ends_all_of_them(stage, small, fixed, monkeypatch, no_thread_left):
    model = fixed(0.5)
    fail_at(stage, RuntimeError("a fault of ours"), model, monkeypatch)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        list(Detector(model).images([small] * 30))


@pytest.mark.parametrize("stage", ["decode", "find", "predict"])
def test_a_file_that_breaks_a_stage_costs_itself_alone(stage, small, fixed, monkeypatch, no_thread_left):
    model = fixed(0.5)
    fail_at(stage, MemoryError("no room"), model, monkeypatch)
    results = list(Detector(model).images([small] * 5))
    assert len(results) == 5
    assert sum(result.error is not None for result in results) <= 1
    assert sum(result.score is not None for result in results) >= 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit])
def test_who_stops_early_stops_all_stages(error, small, pan, fixed, no_thread_left):
    results = Detector(fixed(0.5), fps="all").images([small, *[pan] * 20])
    next(results)
    with pytest.raises((error, StopIteration)):
        results.throw(error)


# Other sources


def test_a_photograph_comes_from_standard_input(portraits, fixed, monkeypatch):
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(portraits["hopper"].read_bytes())))
    result = Detector(fixed(0.9)).image("-")
    assert (result.source, result.kind, result.verdict) == ("standard input", "image", "fake")
    assert result.sha256 == Detector(fixed(0.9)).image(portraits["hopper"]).sha256


def test_a_camera_is_looked_through_for_ten_seconds(small, fixed, monkeypatch):
    class Camera:
        def __init__(self, number):
            assert number == 1
            self.image = cv2.cvtColor(read_image(small), cv2.COLOR_RGB2BGR)

        def read(self):
            clock[0] += 0.5
            return True, self.image

        def release(self):
            clock.append("released")

    clock = [0.0]
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.setattr(cv2, "getTickCount", lambda: clock[0])
    monkeypatch.setattr(cv2, "getTickFrequency", lambda: 1.0)
    result = Detector(fixed(0.9)).video("camera:1")
    assert (result.source, result.kind, result.frames, result.sha256) == ("camera:1", "video", 20, None)
    assert result.verdict == "fake"
    assert clock[1:] == ["released"]


def test_a_camera_that_is_not_there_is_told(fixed):
    (result,) = Detector(fixed(0.9)).images(["camera:97"])
    assert "camera:97: gives no picture" in result.error


def test_a_file_without_a_suffix_is_known_by_its_content(portraits, pan, fixed, tmp_path):
    (tmp_path / "photo").write_bytes(portraits["hopper"].read_bytes())
    (tmp_path / "clip.bin").write_bytes(pan.read_bytes())
    results = list(Detector(fixed(0.9)).images([tmp_path / "photo", tmp_path / "clip.bin"]))
    assert [(result.kind, result.error) for result in results] == [("image", None), ("video", None)]


def test_a_file_that_takes_too_long_is_given_up(portraits, fixed, monkeypatch):
    released = threading.Event()
    original = module.read_source

    def hang(file, kind, fps):
        if "grace" in str(file):
            released.wait(20)
        yield from original(file, kind, fps)

    monkeypatch.setattr(module, "read_source", hang)
    monkeypatch.setattr("facexray.detection.ahead.FAREWELL_S", 0.05)
    results = list(Detector(fixed(0.9), time_limit=1).images([portraits["hopper"], portraits["astronaut"]]))
    released.set()
    assert "gave up after waiting 1 seconds" in results[0].error
    assert results[1].error is None


@pytest.mark.parametrize("limit", [1e12, float("inf")])
def test_a_limit_beyond_what_a_thread_can_wait_is_none(small, fixed, limit):
    assert Detector(fixed(0.9), time_limit=limit).image(small).verdict == "fake"


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000 + "b", "x" * 300 + ".jpg", "x" * 300 + ".mp4"])
def test_a_path_that_cannot_be_reached_costs_itself_alone(small, fixed, tmp_path, name):
    results = list(Detector(fixed(0.9)).images([tmp_path / name, small]))
    assert "cannot be read" in results[0].error
    assert results[1].verdict == "fake"


def test_a_file_in_a_forbidden_folder_costs_itself_alone(small, fixed, tmp_path, monkeypatch):
    original = Path.stat

    def stat(self, **options):
        if "secret" in self.parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return original(self, **options)

    monkeypatch.setattr(Path, "stat", stat)
    results = list(Detector(fixed(0.9)).images([tmp_path / "secret" / "photo", small]))
    assert "Permission denied" in results[0].error
    assert results[1].verdict == "fake"


def test_a_result_that_was_never_read_is_valid_too():
    line = Result.unread("a.jpg", "image", "gone").to_dict()
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.validate(line, json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(line | {"score": 1.5}, json_schema())
