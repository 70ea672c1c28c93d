"""DeeperForensics-1.0: faces of actors put onto the originals of FaceForensics++, which are its real part.

```
manipulated_videos/end_to_end/000_M101.mp4    manipulated_videos/end_to_end_level_1/…    lists/splits/test.txt
original_sequences/youtube/c23/videos/000.mp4     from FaceForensics++, at c23: copy or link the folder
```
`source_videos/` holds the actors themselves. Its authors say that it is not the real part for detection.
"""

from __future__ import annotations

from facexray.errors import SettingsError
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.protocols.layout import Request, is_folder, natural, place, take

ORIGINALS = ("original_sequences", "youtube", "c23", "videos")


def read_deeperforensics(request: Request) -> Manifest:
    """The originals of a split, and each variant on disk of what was made of them, as a method.

    Raises:
        SettingsError: No list of the split, no originals, or no variant there.
    """
    path = request.data / "lists" / "splits" / f"{request.split}.txt"
    expected = "a line per manipulated video, such as 000_M101.mp4"
    names = [line.strip() for line in request.text(path, expected).splitlines() if line.strip()]
    wrong = next((name for name in names if "_" not in name), None)
    if not names or wrong:
        got = f"has the line {wrong!r}" if wrong else "is empty"
        raise SettingsError(f"{path}: {got}; expected {expected}. To be had from {request.where}")
    originals = request.folder(
        *ORIGINALS, expected="FaceForensics++'s originals at c23, this data set's real part: link them here"
    )
    manipulated = request.folder("manipulated_videos", expected="a folder per variant, such as end_to_end")
    variants = sorted((folder for folder in manipulated.iterdir() if is_folder(folder)), key=natural)
    if not variants:
        raise request.lacks(manipulated / "end_to_end", "folder", "the manipulated videos")
    manifest = Manifest([])

    def item(method: str, name: str) -> Item:
        label = int(method != "real")
        folder = manipulated / method if label else originals
        files = (place(folder, name),)
        return Item("DeeperForensics-1.0", method, name.removesuffix(".mp4"), label, files, request.split)

    for target in sorted({name.partition("_")[0] for name in names}):
        take(manifest, item("real", f"{target}.mp4"))
    for variant in variants:
        for name in sorted(names):
            take(manifest, item(variant.name, name))
    return manifest
