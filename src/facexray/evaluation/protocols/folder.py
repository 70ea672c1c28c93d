"""A plain folder of your own: real/ and fake/, photographs and videos of any depth in them."""

from __future__ import annotations

from pathlib import PurePath

from facexray.blending.writers import LABELS
from facexray.errors import SettingsError, StoreError
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.protocols.layout import Request, is_folder, media_below


def read_folder(request: Request) -> Manifest:
    """Each file is an item of its own; below fake/, the first folder names the method.

    A folder of pictures is no video: nothing says whether they are one video's frames or many people's portraits. A
    CSV file says so.

    Raises:
        SettingsError: real/ or fake/ is not there, or fake/ has a method called real.
        StoreError: It is a blended set whose manifest is gone.
    """
    data, manifest = request.data, Manifest([])
    if next(data.glob("fake/*/recipe.json"), None):
        raise StoreError(f"{data}: a blended set whose manifest.json is gone; put it back, or make the set again")
    for label, name in enumerate(LABELS):
        if not is_folder(data / name):
            raise SettingsError(f"{data}: no folder {name}/ in it; put real images in real/ and fake ones in fake/")
        for path in media_below(data / name, manifest):
            method = _method(path.relative_to(data / name)) if label else "real"
            if label and method == "real":
                raise SettingsError(f"{data / name / method}: fakes of a method called real; rename the folder")
            video = path.relative_to(data).as_posix()
            manifest.items.append(Item(data.resolve().name, method, video, label, (path,)))
    return manifest


def _method(within_fake: PurePath) -> str:
    folders = within_fake.parts[:-1]
    return folders[0] if folders else "fake"
