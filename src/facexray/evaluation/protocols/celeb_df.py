"""Celeb-DF, versions 1 and 2: one layout, two data sets that are not to be compared.

```
Celeb-real/id0_0000.mp4    YouTube-real/00000.mp4    Celeb-synthesis/id0_id1_0000.mp4    List_of_testing_videos.txt
```
"""

from __future__ import annotations

from pathlib import Path

from facexray.errors import SettingsError
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.protocols.layout import Request, place, take, videos_below

LIST = "List_of_testing_videos.txt"
FOLDERS = {"Celeb-real": 0, "YouTube-real": 0, "Celeb-synthesis": 1}
V2_TEST = 518
"""Videos in version 2's list, by its README."""
FAKES = {795: 1, 5639: 2}
"""The version of a whole data set, by the number of its fakes, as its README has it."""


def read_celeb_df(request: Request, version: int) -> Manifest:
    """The videos of the official list, or all others (`train`).

    A video's key has its folder's name: those of the two folders of real videos may share theirs. A list may be cut
    short, and videos left out; which version such a part is of, nothing but the protocol's name says.

    Raises:
        SettingsError: No list or folder there, a list that contradicts itself, version 2's list under version 1, or as
            many fakes as the whole of the other version has.
    """
    listed = _listed(request)
    if version == 1 and len(listed) == V2_TEST:
        raise _other(request, 2, f"its {LIST} has {V2_TEST} videos")
    folders = {name: _folder(request, name) for name in FOLDERS}
    manifest = Manifest([])
    fakes = len(videos_below(folders["Celeb-synthesis"], Manifest([])))
    if FAKES.get(fakes, version) != version:
        raise _other(request, FAKES[fakes], f"it has {fakes:,} fakes")

    def item(folder: str, path: Path) -> Item:
        label = FOLDERS[folder]
        method = folder if label else "real"
        return Item(f"Celeb-DF-v{version}", method, f"{folder}/{path.stem}", label, (path,), request.split)

    if request.split == "test":
        for folder, name in listed:
            take(manifest, item(folder, place(folders[folder], name)))
        return manifest
    tested = set(listed)
    for folder, path in folders.items():
        videos = videos_below(path, manifest)
        manifest.items.extend(item(folder, video) for video in videos if (folder, video.name) not in tested)
    return manifest


def _other(request: Request, version: int, sign: str) -> SettingsError:
    name = f"--protocol celeb-df-v{version}"
    return SettingsError(f"{request.data}: {sign}: this is version {version}; name it: {name}")


def _folder(request: Request, name: str) -> Path:
    """A folder of videos; copies of the data set write `Youtube-real` too."""
    there = (path for path in sorted(request.data.iterdir()) if path.name.lower() == name.lower())
    return next(there, None) or request.folder(name, expected=f"the videos of {name}")


def _listed(request: Request) -> list[tuple[str, str]]:
    """(folder, name) of each video of the list, in its order; each label is checked against the folder."""
    path = request.data / LIST
    expected = "a line per test video, such as `1 YouTube-real/00170.mp4`, where 1 is real"
    listed: dict[tuple[str, str], None] = {}
    for number, line in enumerate(request.text(path, expected).splitlines(), 1):
        if not line.strip():
            continue
        flag, _, name = line.strip().partition(" ")
        folder, _, file = name.strip().partition("/")
        if flag not in ("0", "1") or folder not in FOLDERS or not file:
            raise SettingsError(f"{path}: line {number} is {line.strip()!r}; expected {expected}")
        if int(flag) == FOLDERS[folder]:
            raise SettingsError(
                f"{path}: line {number} says {flag} of a video in {folder}; in Celeb-DF's list 1 is real"
            )
        listed[folder, file] = None
    if not listed:
        raise SettingsError(f"{path}: is empty; expected {expected}. To be had from {request.where}")
    return list(listed)
