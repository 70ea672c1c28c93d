import numpy as np

from facexray.detection.cases import MOMENTS, PICTURED_TRACKS, Case
from facexray.detection.finding import Found, Look
from facexray.faces.crop import Square
from facexray.faces.detector import DetectedFace
from facexray.images import Frame
from facexray.runtime.model import Prediction, Thresholds

BOX = np.array([0, 0, 100, 100], np.float32)


def look(index, tracks, why_not=None):
    """A look five times a second, at one face of each track."""
    points = np.zeros((5, 2), np.float32)
    view = None if why_not else np.zeros((256, 256, 3), np.uint8)
    faces = [Found(DetectedFace(BOX, 0.9, points), Square.around(BOX), view, why_not, track) for track in tracks]
    return Look(Frame(np.zeros((8, 8, 3), np.uint8), index, index / 5), faces)


def judged(*scores):
    return Prediction(np.array(scores, np.float32), np.zeros((len(scores), 256, 256), np.float32))


def test_pictures_do_not_grow_with_the_number_of_tracks():
    """One face after the other, and then three new ones in every look."""
    rng = np.random.default_rng(0)
    for per_look, looks in ((1, 20), (3, 1)):
        case = Case("crowd.mp4", "video", Thresholds(0.3, 0.7))
        for i in range(300):
            tracks = [i // looks * per_look + k for k in range(per_look)]
            case.add(look(i, tracks), judged(*rng.uniform(0, 1, per_look)))
        result = case.finish()
        assert len(result.tracks) == 300 // looks * per_look
        pictured = [track for track in result.tracks if any(m.face.view is not None for m in track.moments)]
        pictures = [moment for track in pictured for moment in track.moments if moment.face.view is not None]
        assert len(pictures) <= PICTURED_TRACKS * MOMENTS
        worst = sorted(result.tracks, key=lambda track: np.nanmax(track.scores), reverse=True)[:3]
        assert all(track.moments[0].face.view is not None for track in worst)


def test_a_real_video_tells_of_faces_that_could_not_be_judged():
    case = Case("two.mp4", "video", Thresholds(0.3, 0.7))
    for i in range(10):
        case.add(look(i, [1]), judged(0.1))
    assert case.finish().reason == "track 1: score 0.10 is below 0.30"
    for i in range(10, 20):
        case.add(look(i, [1]), judged(0.1))
        case.add(look(i, [2, 3], "turned away"), judged())
    result = case.finish()
    assert result.verdict == "real"
    assert result.reason == "track 1: score 0.10 is below 0.30; and 2 more faces that cannot be judged"
