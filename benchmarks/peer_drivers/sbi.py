"""Drives the data set of a checkout of mapooon/SelfBlendedImages; see compare_peers.py."""

import json
import os
import random
import shutil
import sys
from pathlib import Path

import numpy as np
from serve import read_landmarks, serve, with_forehead

DATA = Path("data/FaceForensics++")
FRAMES = DATA / "original_sequences/youtube/raw/frames"


def prepare(checkout, faces):
    """An item is a self-blended image with its real twin."""
    lay_out(faces)
    sys.path.insert(0, str(checkout / "src"))
    from utils.sbi import SBI_Dataset

    settings = json.loads((checkout / "src/configs/sbi/base.json").read_text(encoding="utf-8"))
    dataset = SBI_Dataset(phase="train", image_size=settings["image_size"])
    return lambda: bool(dataset[random.randrange(len(dataset))])


def lay_out(faces):
    """Lay the crops out as its frames, with landmarks and boxes beside them, and enter that folder."""
    boxes = json.loads((faces / "boxes.json").read_text(encoding="utf-8"))
    videos = set()
    os.chdir(faces)
    for name, points in read_landmarks(faces).items():
        video, _, frame = Path(name).stem.rpartition("_")
        videos.add(video[:3])
        beside = FRAMES / video / frame
        for folder in ("frames", "landmarks", "retina"):
            Path(str(beside.parent).replace("frames", folder)).mkdir(parents=True, exist_ok=True)
        shutil.copy(name, f"{beside}.png")
        np.save(str(beside).replace("frames", "landmarks"), with_forehead(points).round().astype(np.int32)[None])
        np.save(str(beside).replace("frames", "retina"), np.array(boxes[name], np.float32)[None])
    (DATA / "train.json").write_text(json.dumps([sorted(videos)]), encoding="utf-8")


if __name__ == "__main__":
    serve(prepare, ["numpy", "opencv-python-headless", "albumentations", "torch", "Pillow"])
