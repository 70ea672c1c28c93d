"""Miniature copies of the data sets' layouts on disk, with the traps that the real ones have.

Each builder takes the folder to fill, and `write(path)`, which makes one video, mask or picture; `touch` makes an empty
file, which is enough for manifests, since these open no video.
"""

import json
from pathlib import Path

FF_METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")


def touch(path):
    path.write_bytes(b"")


def put(path, write=touch):
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)
    return path


def put_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def faceforensics(root, write=touch, methods=FF_METHODS, compressions=("c23",), masks=("Deepfakes",)):
    """A pair of videos per split; both directions of it in every method, under the same names."""
    splits = {"train": ["071", "054"], "val": ["720", "672"], "test": ["000", "003"]}
    for split, pair in splits.items():
        put_json(root / f"{split}.json", [pair])
        for compression in compressions:
            for name in pair:
                put(root / "original_sequences" / "youtube" / compression / "videos" / f"{name}.mp4", write)
            for method in methods:
                for name in ("_".join(pair), "_".join(pair[::-1])):
                    put(root / "manipulated_sequences" / method / compression / "videos" / f"{name}.mp4", write)
        for method in masks:
            for name in ("_".join(pair), "_".join(pair[::-1])):
                put(root / "manipulated_sequences" / method / "masks" / "videos" / f"{name}.mp4", write)
    return root


def dfd(root, write=touch, compression="c23"):
    """Two actors, and one put onto the other; in the tree of FaceForensics++."""
    originals = root / "original_sequences" / "actors" / compression / "videos"
    fakes = root / "manipulated_sequences" / "DeepFakeDetection"
    put(originals / "01__walking.mp4", write)
    put(originals / "02__walking.mp4", write)
    put(fakes / compression / "videos" / "01_02__walking__YVGY8LOK.mp4", write)
    put(fakes / "masks" / "videos" / "01_02__walking__YVGY8LOK.mp4", write)
    return root


def celeb_df(root, write=touch):
    """Four test videos, two of the same name in the two folders of real ones, and a training video of each folder."""
    test = ["1 Celeb-real/00000.mp4", "1 YouTube-real/00000.mp4", "0 Celeb-synthesis/id0_id1_0000.mp4",
            "0 Celeb-synthesis/id1_id0_0000.mp4"]  # fmt: skip
    train = ("Celeb-real/id0_0001.mp4", "YouTube-real/00001.mp4", "Celeb-synthesis/id0_id1_0001.mp4")
    for name in (*(line[2:] for line in test), *train):
        put(root / name, write)
    (root / "List_of_testing_videos.txt").write_text("\n".join(test) + "\n", encoding="utf-8")
    return root


def dfdc(root, write=touch):
    """test/ with labels.csv, validation/ with is_fake, and two training parts with labels and splits."""
    for name in ("test/aaa.mp4", "test/bbb.mp4", "validation/ccc.mp4", "validation/ddd.mp4"):
        put(root / name, write)
    (root / "test" / "labels.csv").write_text("filename,label\naaa.mp4,0\nbbb.mp4,1\n", encoding="utf-8")
    put_json(root / "validation" / "metadata.json", {"ccc.mp4": {"is_fake": 1}, "ddd.mp4": {"is_fake": 0}})
    for part in (10, 9):
        folder = root / "train" / f"dfdc_train_part_{part}"
        put(folder / "eee.mp4", write)
        put(folder / "fff.mp4", write)
        put_json(folder / "metadata.json", {
            "eee.mp4": {"label": "FAKE", "split": "train", "original": "fff.mp4"},
            "fff.mp4": {"label": "REAL", "split": "train"},
        })  # fmt: skip
    return root


def dfdc_preview(root, write=touch):
    """Both methods have a video of the same name."""
    content = {}
    for name, label, part in (
        ("original_videos/643049/643049_A_001.mp4", "real", "test"),
        ("original_videos/643049/643049_B_001.mp4", "real", "train"),
        ("method_A/643049/643049_A/1224068_643049_A_001.mp4", "fake", "test"),
        ("method_B/643049/643049_A/1224068_643049_A_001.mp4", "fake", "test"),
        ("method_A/643049/643049_B/1224068_643049_B_001.mp4", "fake", "train"),
    ):
        put(root / name, write)
        content[name] = {"label": label, "set": part, "target_id": 643049, "augmentations": []}
    put_json(root / "dataset.json", content)
    return root


def deeperforensics(root, write=touch, variants=("end_to_end", "end_to_end_level_1")):
    """Two fakes per split; the same names in every variant; the originals are FaceForensics++'s."""
    for split, names in {
        "train": ("071_W010", "054_M004"),
        "val": ("720_W101",),
        "test": ("000_M101", "003_W018"),
    }.items():
        path = root / "lists" / "splits" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}.mp4\n" for name in names), encoding="utf-8")
        for name in names:
            put(root / "original_sequences" / "youtube" / "c23" / "videos" / f"{name[:3]}.mp4", write)
            for variant in variants:
                put(root / "manipulated_videos" / variant / f"{name}.mp4", write)
    put(root / "source_videos" / "M101" / "light_up" / "M101_light_up.mp4", write)
    return root


def uadfv(root, write=touch):
    """Two videos and their fakes; frames of another tool beside them."""
    for number in ("0000", "0001"):
        put(root / "real" / f"{number}.mp4", write)
        put(root / "fake" / f"{number}_fake.mp4", write)
    put(root / "fake" / "frames" / "0000_fake" / "000.png")
    return root


def ffiw(root, write=touch):
    """The same names in source/ and target/."""
    for split in ("train", "val"):
        for side in ("source", "target"):
            put(root / side / split / f"{split}_00000000.mp4", write)
        put(root / "target_mask" / split / f"{split}_00000000.mp4", write)
    return root


def deepfakebench(root, write=touch, frames=3, compression="c23"):
    """The tree of that repository; the frames of its JSON file in the disorder of a folder, with backslashes."""
    videos = {"FF-real": ("000", "003"), "FF-DF": ("000_003", "003_000")}
    folders = {"FF-real": "original_sequences/youtube", "FF-DF": "manipulated_sequences/Deepfakes"}
    content = {}
    for label, names in videos.items():
        listed = {}
        for name in names:
            numbers = [9 + i for i in range(frames)][::-1]
            place = Path("FaceForensics++") / folders[label] / compression
            files = [place / "frames" / name / f"{number}.png" for number in numbers]
            masks = [place / "masks" / name / f"{number}.png" for number in numbers[::-1]] if label == "FF-DF" else []
            for file in (*files, *masks):
                put(root / "datasets" / "rgb" / file, write)
            listed[name] = {"label": label, "frames": [str(file).replace("/", "\\") for file in files],
                            "masks": [str(mask).replace("/", "\\") for mask in masks]}  # fmt: skip
        content[label] = {"train": {compression: {}}, "val": {compression: {}}, "test": {compression: listed}}
    return put_json(root / "preprocessing" / "dataset_json" / "FF-DF.json", {"FF-DF": content})


def folder(root, write=touch, suffix=".mp4"):
    """real/ and fake/, where one fake lies in no folder and the others in a method's, under the same name."""
    for name in ("real/a", "real/people/文/b", "fake/a", "fake/lipsync/a", "fake/swap/deep/a"):
        put(root / f"{name}{suffix}", write)
    return root


def table(root, write=touch):
    """A video, a photograph and a video of frames, real and fake."""
    lines = ["file,label,dataset,method,video,split,compression,mask"]
    for kind, method in (("real", ""), ("fake", "swap")):
        mask = f"masks/{kind}.mp4" if kind == "fake" else ""
        put(root / f"{kind}/clip.mp4", write)
        put(root / f"masks/{kind}.mp4", write)
        lines.append(f"{kind}/clip.mp4,{kind},web,{method},,test,,{mask}")
        for number in (10, 9):
            put(root / f"{kind}/frames/{number}.png")
            lines.append(f"{kind}/frames/{number}.png,{kind},web,{method},b,train,,")
    path = root / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
