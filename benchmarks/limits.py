"""How small, blurred or turned away may a face be for a verdict? The figures behind facexray.detection.verdict.

    python benchmarks/limits.py STORE [--model default] [--pairs 300] [--json]

Blends forgeries, without degradations, from the real faces of a store that the model was not trained on, then shrinks
and enlarges, or blurs, them and their originals. Printed are the AUC, the shares of real and fake ones that the model's
threshold calls fake, and how many `detect` judges at all. Of turned heads it only tells how far the store's are turned.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from facexray.blending.config import BlendConfig
from facexray.detection.verdict import MIN_FACE_PX, MIN_SHARPNESS, sharpness, yaw_deg
from facexray.faces.crop import CROP_SIZE, FACE_MARGIN, VIEW_SIZE
from facexray.faces.detector import FaceDetector
from facexray.faces.store import FaceStore
from facexray.metrics.classification import auc
from facexray.provenance import provenance
from facexray.runtime.model import XrayModel
from facexray.training.datasets import BlendedPairs

FACE_PX = CROP_SIZE / FACE_MARGIN
"""Longer side of the face's box in a crop that was neither shrunk nor enlarged."""
SIZES_PX = (FACE_PX, 96, 64, 56, 48, 40, 32, 24)
SIGMAS_PX = (0.5, 1, 1.5, 2, 3, 4)


def shrunk(view, face_px):
    """The view of the same face in a photograph in which its box is `face_px` long."""
    side = round(VIEW_SIZE * face_px / FACE_PX)
    if side == VIEW_SIZE:
        return view
    return cv2.resize(
        cv2.resize(view, (side, side), interpolation=cv2.INTER_AREA),
        (VIEW_SIZE, VIEW_SIZE),
        interpolation=cv2.INTER_CUBIC,
    )


def row(model, views, judged):
    """What the model makes of real (0, 2, …) and blended (1, 3, …) views."""
    scores = model.predict(np.stack(views)).scores
    fake = scores > model.thresholds.fake_above
    return {
        "auc": round(auc(np.arange(len(scores)) % 2, scores), 3),
        "real_called_fake": round(float(fake[::2].mean()), 3),
        "fake_called_fake": round(float(fake[1::2].mean()), 3),
        "sharpness": round(float(np.median([sharpness(view) for view in views])), 3),
        "judged": round(float(np.mean(judged)), 3),
    }


def turns_of(store):
    """How far each face is turned, in degrees, where the detector finds it in its crop again."""
    detector = FaceDetector()
    for index in range(len(store)):
        faces = detector.detect(store.crop(index))
        if faces:
            yield yaw_deg(faces[0].points)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    store, model = FaceStore(args.store), XrayModel.load(args.model)
    pairs = BlendedPairs(replace(BlendConfig(), degradations={}), store, None, seed=1)
    views = [sample.image for index in range(args.pairs) for sample in pairs[index]]
    rows = {}
    for size in SIZES_PX:
        small = [shrunk(view, size) for view in views]
        seen = [size >= MIN_FACE_PX and sharpness(view) >= MIN_SHARPNESS for view in small]
        rows[f"{size:.0f} px"] = row(model, small, seen)
    for sigma in SIGMAS_PX:
        blurred = [cv2.GaussianBlur(view, (0, 0), sigma) for view in views]
        rows[f"blur {sigma} px"] = row(model, blurred, [sharpness(view) >= MIN_SHARPNESS for view in blurred])
    turns = np.quantile(list(turns_of(store)), (0.5, 0.95, 1)).round().tolist()
    if args.json:
        about = provenance("benchmarks/limits.py", vars(args))
        print(json.dumps({**about, "model_sha256": model.sha256, "rows": rows, "yaw_deg": turns}))
        return
    columns = list(next(iter(rows.values())))
    print(f"{'face':12}", *(f"{name:>17}" for name in columns))
    for name, figures in rows.items():
        print(f"{name:12}", *(f"{figures[column]:17}" for column in columns))
    print(f"\nturned by {turns[0]:.0f}° (median), {turns[1]:.0f}° (95 %), {turns[2]:.0f}° (most)")


if __name__ == "__main__":
    main()
