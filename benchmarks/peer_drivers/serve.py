"""The peer's side of compare_peers.py: makes samples when told to, and says how long each took.

Runs in the peer's own interpreter (Python 3.8 or later) and imports nothing of facexray. A round is a line of JSON on
standard input, {"count": …, "seed": …}, and one on standard output. What the peer prints goes to standard error.
"""

import json
import os
import platform
import random
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np

MOST_FAILURES = 50
"""Exceptions in a row before giving up."""


def serve(prepare, packages):
    """Answer rounds until standard input ends.

    Args:
        prepare: From the checkout and the folder of faces to the function that makes one item, and tells whether
            the item holds a fake.
        packages: Names of the packages whose versions are told.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    cv2.setNumThreads(1)
    make = prepare(Path(sys.argv[1]), Path(sys.argv[2]))
    versions = {name: version(name) for name in packages}
    print(json.dumps({"python": platform.python_version(), **versions}), file=answers)
    for line in sys.stdin:
        order = json.loads(line)
        random.seed(order["seed"])
        np.random.seed(order["seed"])
        print(json.dumps(timed(make, order["count"])), file=answers)


def timed(make, count):
    """The seconds of `count` items with a fake, and the exceptions met on the way, whose time is left out."""
    seconds, failures = [], Counter()
    while len(seconds) < count:
        began = time.perf_counter()
        try:
            fake = make()
        except Exception as error:
            failures[repr(error)[:200]] += 1
            if sum(failures.values()) > MOST_FAILURES + len(seconds):
                raise
            continue
        if fake:
            seconds.append(time.perf_counter() - began)
    return {"seconds": seconds, "failures": failures}


def read_landmarks(faces):
    """The 68 landmarks (68, 2) x, y of each crop by its file's name."""
    content = json.loads((faces / "landmarks.json").read_text(encoding="utf-8"))
    return {name: np.array(points, np.float32) for name, points in content.items()}


def with_forehead(landmarks):
    """81 landmarks out of 68: 13 more stand on an arc over the brows, half a face's width above the temples."""
    left, right = landmarks[0], landmarks[16]
    along = (right - left) / 2
    up = np.array([along[1], -along[0]])
    angles = np.linspace(np.pi, 0, 13)[:, None]
    arc = (left + right) / 2 + np.cos(angles) * along + np.sin(angles) * up
    return np.concatenate([landmarks, arc]).astype(np.float32)
