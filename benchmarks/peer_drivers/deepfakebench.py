"""Drives the Face X-ray data set of a checkout of SCLBD/DeepfakeBench; see compare_peers.py."""

import os
import pickle
import random
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
from serve import read_landmarks, serve, with_forehead

CONFIG = {"lmdb": False, "resolution": 256, "rgb_dir": "."}
FOLDER = "./rgb/FaceForensics++/original_sequences/youtube/c23"
NEIGHBOURS = 100
"""As many as its own preparation finds."""


def prepare(checkout, faces):
    """An item is a blended image with its real twin."""
    os.chdir(faces)
    lay_out()
    sys.path.insert(0, str(checkout / "training"))
    # Its package imports all of its data sets and what they need; the one that is asked for stands without them.
    package = ModuleType("dataset")
    package.__path__ = [str(checkout / "training/dataset")]
    sys.modules["dataset"] = package
    from dataset.ff_blend import FFBlendDataset

    dataset = FFBlendDataset(CONFIG)
    return lambda: bool(dataset[random.randrange(len(dataset))])


def lay_out():
    """Write the crops at its size, and the two files that it reads: the landmarks and the nearest faces."""
    size, landmarks = CONFIG["resolution"], {}
    for name, points in read_landmarks(Path()).items():
        video, _, frame = Path(name).stem.rpartition("_")
        crop = cv2.imread(name)
        path = Path(FOLDER, "frames", video, f"{frame}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA))
        scaled = (with_forehead(points) + 0.5) * (size / len(crop)) - 0.5
        landmarks[f"{FOLDER}/landmarks/{video}/{frame}.npy"] = scaled.clip(0, size - 1)
    keys, flat = list(landmarks), np.stack([points.ravel() for points in landmarks.values()])
    nearest = {}
    for key, points in landmarks.items():
        order = np.linalg.norm(flat - points.ravel(), axis=1).argsort()
        nearest[key] = [keys[i] for i in order if keys[i] != key][:NEIGHBOURS]
    library = Path("training/lib")
    library.mkdir(parents=True)
    (library / "landmark_dict_ffall.pkl").write_bytes(pickle.dumps(landmarks))
    (library / "nearest_face_info.pkl").write_bytes(pickle.dumps(nearest))


if __name__ == "__main__":
    serve(prepare, ["numpy", "opencv-python-headless", "scikit-image", "albumentations", "torch"])
