"""What the tests of an evaluation's output share: a made-up results.json and the rows that it could be from."""

import numpy as np
import pytest

from facexray.evaluation.scored import SCORES, ScoredFace

NAMES = ("AUC", "AP", "EER", "TPR@FPR=1%", "TPR@FPR=0.1%", "pAUC@10%")


def estimate(value, width=0.01):
    return {"value": value, "low_95": value - width, "high_95": value + width}


def entry(auc, probabilities=False):
    names = [*NAMES, "accuracy", "ECE", "Brier"] if probabilities else NAMES
    return {"real": 40, "fake": 40} | {name: estimate(auc - 0.01 * place) for place, name in enumerate(names)}


@pytest.fixture
def make_results():
    """A function that makes what results.json holds, for methods of forging by their AUC."""

    def make(aucs, **changes):
        levels = {
            score: {
                level: {
                    name: entry(auc - lower - drop, score == "class") for name, auc in [*aucs.items(), ("overall", 0.9)]
                }
                for level, drop in (("frame_level", 0.0), ("video_level", 0.005))
            }
            for lower, score in zip(np.arange(5) / 50, SCORES, strict=True)
        }
        counts = {"videos": 11, "videos_with_faces": 10, "frames": 40, "faces": 44}
        results = {
            "made_by": "facexray evaluate",
            "facexray_version": "0.1.0",
            "commit": None,
            "settings": {"model": "default", "frames": 4, "robustness": False, "stride": None},
            "model": {"name": "net", "sha256": "5f" * 32, "thresholds": {"real_below": 0.3, "fake_above": 0.7}},
            "data": {
                "protocol": "ff++",
                "title": "FaceForensics++",
                "split": "test",
                "compression": "c23",
                "items": 22,
                "files": 22,
                "methods": {"real": {"label": 0, **counts}} | {name: {"label": 1, **counts} for name in aucs},
            },
            "skipped": {
                "count": 2,
                "reasons": {"no face": 2},
                "files": [{"file": f"{n}.mp4", "reason": "no face"} for n in "ab"],
            },
            "metrics": levels,
            "localisation": None,
            "robustness": None,
        }
        return results | changes

    return make


@pytest.fixture
def make_rows():
    """A function that makes scored faces: 10 videos of reals and of each method, 4 frames each, two faces in some."""

    def make(methods):
        rng = np.random.default_rng(0)
        rows = []
        for number, method in enumerate(["real", *methods]):
            label = int(number > 0)
            for video, frame, face in [(v, f, n) for v in range(10) for f in range(4) for n in range(1 + (v == 3))]:
                scores = dict.fromkeys(SCORES, float(1 / (1 + np.exp(-rng.normal(2.0 * label - 1)))))
                file = f"{method}/{video}.mp4"
                rows.append(ScoredFace("set", method, str(video), label, "", "", file, frame, face, None, scores))
        return rows

    return make
