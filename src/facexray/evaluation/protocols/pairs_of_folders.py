"""UADFV and FFIW: a folder of real videos and one of fakes.

```
UADFV:  real/0000.mp4    fake/0000_fake.mp4
FFIW:   source/val/….mp4 (real)    target/val/….mp4 (fake)    target_mask/val/….mp4
```
"""

from __future__ import annotations

from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.protocols.layout import Request, is_folder, videos_below


def read_uadfv(request: Request) -> Manifest:
    """All videos: this data set has no splits. Frames that other tools put beside them are left alone.

    Raises:
        SettingsError: Either folder is not there.
    """
    manifest = Manifest([])
    for label, method in enumerate(("real", "fake")):
        folder = request.folder(method, expected=f"{method} videos")
        manifest.items.extend(
            Item("UADFV", method, path.stem, label, (path,)) for path in videos_below(folder, manifest)
        )
    return manifest


def read_ffiw(request: Request) -> Manifest:
    """The videos of a split.

    Raises:
        SettingsError: Either folder of it is not there.
    """
    release = request.data / "FFIW10K-v1-release"
    root = (release.name,) if is_folder(release) else ()
    manifest = Manifest([])
    masks_folder = request.data.joinpath(*root, "target_mask", request.split)
    masks = {path.stem: path for path in videos_below(masks_folder, manifest)} if is_folder(masks_folder) else {}
    for label, side in enumerate(("source", "target")):
        what = f"{('real', 'fake')[label]} videos"
        splits = sorted(path.name for path in request.folder(*root, side, expected=what).iterdir() if is_folder(path))
        what += f" of the split; those of {', '.join(splits) or 'none'} are there, --split names one"
        folder = request.folder(*root, side, request.split, expected=what)
        for path in videos_below(folder, manifest):
            mask = (masks[path.stem],) if label and path.stem in masks else ()
            item = Item("FFIW", ("real", "fake")[label], path.stem, label, (path,), request.split, masks=mask)
            manifest.items.append(item)
    return manifest
