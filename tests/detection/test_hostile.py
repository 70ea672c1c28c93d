"""Files that were damaged in hundreds of ways: each costs itself alone."""

from collections import Counter

import cv2
import numpy as np
import pytest

from facexray.detection.detector import Detector
from facexray.images import read_image, write_image


def mutate(data, rng):
    """Flip bytes, cut off, swap two pieces, or overwrite the header."""
    data = bytearray(data)
    kind = rng.choice(["flips", "cut", "swap", "header"])
    if kind == "flips":
        for place in rng.integers(0, len(data), rng.integers(1, 40)):
            data[place] = rng.integers(256)
    elif kind == "cut":
        del data[rng.integers(len(data)) :]
    elif kind == "swap":
        a, b = sorted(rng.integers(0, len(data) - 64, 2))
        data[a : a + 64], data[b : b + 64] = data[b : b + 64], data[a : a + 64]
    else:
        data[: rng.integers(1, 64)] = rng.bytes(int(rng.integers(1, 64)))
    return kind, bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize(("suffixes", "count"), [([".jpg", ".png", ".webp", ".tif", ".gif"], 500), ([".mp4"], 100)])
def test_damaged_files_lose_no_neighbour(suffixes, count, portraits, make_video, fixed, tmp_path, capsys):
    rng = np.random.default_rng(0)
    image = cv2.resize(read_image(portraits["hopper"])[30:430, 70:470], (160, 160))
    write_image(tmp_path / "sound.png", image)
    originals = {}
    for suffix in suffixes:
        path = tmp_path / f"original{suffix}"
        if suffix == ".mp4":
            make_video(path, image, frames=30, size=(160, 160))
        elif suffix == ".gif":
            from PIL import Image

            Image.fromarray(image).save(path)
        else:
            write_image(path, image)
        originals[suffix] = path.read_bytes()
    files, kinds = [], []
    for i in range(count):
        suffix = suffixes[i % len(suffixes)]
        kind, data = mutate(originals[suffix], rng)
        path = tmp_path / f"{i:03d}{suffix}"
        path.write_bytes(data)
        files += [path, tmp_path / "sound.png"]
        kinds.append(f"{suffix} {kind}")
    results = list(Detector(fixed(0.9), time_limit=30).images(files))
    assert [result.source for result in results] == [str(path) for path in files]
    assert {(result.verdict, result.error) for result in results[1::2]} == {("fake", None)}
    outcomes = Counter(
        (kind, "not read" if result.frame is None else "in part" if result.error else result.verdict)
        for kind, result in zip(kinds, results[::2], strict=True)
    )
    with capsys.disabled():
        for (kind, outcome), number in sorted(outcomes.items()):
            print(f"{kind:<14} {outcome:<12} {number}")
