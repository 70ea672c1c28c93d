"""FaceForensics++ and DeepFakeDetection: two data sets in one tree of folders.

```
original_sequences/youtube/c23/videos/000.mp4                 actors/c23/videos/01__walking.mp4
manipulated_sequences/Deepfakes/c23/videos/000_003.mp4        DeepFakeDetection/c23/videos/01_02__walking__….mp4
manipulated_sequences/Deepfakes/masks/videos/000_003.mp4      DeepFakeDetection/masks/videos/….mp4
train.json, val.json, test.json
```
"""

from __future__ import annotations

from pathlib import Path

from facexray.errors import SettingsError
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.protocols.layout import Request, absent, is_folder, take, videos_below

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
FOLDERS = {"raw": ("raw", "c0"), "c23": ("c23",), "c40": ("c40",)}
"""The folder of each compression; the data set's own scripts call the lossless one by two names."""


def read_faceforensics(request: Request) -> Manifest:
    """The originals of a split, and what each method on disk made of them.

    Raises:
        SettingsError: No originals, no method, or no list of the split there; or several compressions, none chosen.
    """
    pairs = _pairs(request)
    compression = _compression(request, "original_sequences/youtube")
    manifest = Manifest([])

    def add(method: str, folder: Path, name: str) -> None:
        label = int(method != "real")
        mask = request.data / "manipulated_sequences" / method / "masks" / "videos" / f"{name}.mp4"
        masks = (mask,) if label and not absent(mask) else ()
        files = (folder / f"{name}.mp4",)
        take(manifest, Item("FaceForensics++", method, name, label, files, request.split, compression, masks))

    originals = _videos(request, "original_sequences/youtube", compression)
    for name in sorted({name for pair in pairs for name in pair}):
        add("real", originals, name)
    there = [m for m in METHODS if is_folder(_videos(request, f"manipulated_sequences/{m}", compression))]
    if not there:
        path = _videos(request, f"manipulated_sequences/{METHODS[0]}", compression)
        raise request.lacks(path, "folder", f"the videos of this method, or of another of {', '.join(METHODS)}")
    for method in METHODS:
        folder = _videos(request, f"manipulated_sequences/{method}", compression)
        if method not in there:
            manifest.missing.append((str(folder.relative_to(request.data)), "no such folder: all of this method"))
            continue
        for name in sorted({f"{a}_{b}" for pair in pairs for a, b in (pair, pair[::-1])}):
            add(method, folder, name)
    return manifest


def read_dfd(request: Request) -> Manifest:
    """All actors' videos, and all that were made of them: this data set has no splits.

    Raises:
        SettingsError: Either folder is not there, or several compressions, none chosen.
    """
    compression = _compression(request, "original_sequences/actors")
    manifest = Manifest([])
    for label, sequences in enumerate(("original_sequences/actors", "manipulated_sequences/DeepFakeDetection")):
        folder = _videos(request, sequences, compression)
        if not is_folder(folder):
            raise request.lacks(folder, "folder", "the videos of DeepFakeDetection")
        method = folder.parents[1].name if label else "real"
        for path in videos_below(folder, manifest):
            mask = folder.parents[1] / "masks" / "videos" / path.name
            masks = (mask,) if label and not absent(mask) else ()
            manifest.items.append(Item("DeepFakeDetection", method, path.stem, label, (path,), "", compression, masks))
    return manifest


def _pairs(request: Request) -> list[list[str]]:
    name = f"{request.split}.json"
    beside, below = request.data / name, request.data / "splits" / name
    path = below if absent(beside) and not absent(below) else beside
    expected = 'the pairs of videos of this split, [["000", "003"], …]; it lies in dataset/splits of the repository'
    pairs = request.json(path, list, expected)
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(name, str) and name for name in pair)):
            raise SettingsError(f"{path}: {pair!r} is no pair of names; expected {expected}")
    return list(pairs)


def _videos(request: Request, sequences: str, compression: str) -> Path:
    """The folder of the videos, under the name on disk; under the first name where there is none."""
    places = [request.data / sequences / name / "videos" for name in FOLDERS[compression]]
    return next((path for path in places if is_folder(path)), places[0])


def _compression(request: Request, sequences: str) -> str:
    there = [name for name in FOLDERS if is_folder(_videos(request, sequences, name))]
    if request.compression:
        there = [request.compression] if request.compression in there else []
    if not there:
        name = request.compression or "c23"
        raise request.lacks(_videos(request, sequences, name), "folder", f"the original videos at {name}")
    if len(there) > 1:
        raise SettingsError(f"{request.data}: holds {', '.join(there)}; name one: --compression {there[0]}")
    return there[0]
