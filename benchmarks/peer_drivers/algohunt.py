"""Drives the generator of a checkout of AlgoHunt/Face-Xray; see compare_peers.py."""

import os
import shutil
import sys

from serve import serve


def prepare(checkout, faces):
    """An item is one image with its X-ray; every other is real."""
    sys.path.insert(0, str(checkout))
    os.chdir(faces)
    shutil.copy("landmarks.json", "precomuted_landmarks.json")  # the name it reads, as it spells it
    from bi_online_generation import BIOnlineGeneration

    generator = BIOnlineGeneration()
    names = list(generator.landmarks_record)
    # It draws 5,000 candidates from a list of 20,000 entries, its two faces many times over; ours as well.
    generator.data_list = names * -(-len(generator.data_list) // len(names))
    return lambda: generator.gen_one_datapoint()[2] == "fake"


if __name__ == "__main__":
    serve(prepare, ["numpy", "opencv-python", "scikit-image", "imgaug", "Pillow"])
