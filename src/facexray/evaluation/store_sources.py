"""Faces of a face store: of a data set's items, or of the store's own sources."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from facexray.blending.writers import LABELS
from facexray.errors import MediaError, StoreError
from facexray.evaluation.cache import Cache
from facexray.evaluation.clock import Clock
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.robustness import Patch
from facexray.evaluation.sources import Look, Source, View, usable
from facexray.faces.store import FaceStore
from facexray.images import printable

HELD = 1000
"""Crops after which the shards that they came from are let go: about 300 MB."""


@dataclass
class StoreReader:
    """Takes the faces of items from a face store."""

    store: FaceStore
    cache: Cache
    clock: Clock
    min_face: int
    _read: int = field(default=0, init=False)

    @cached_property
    def _faces(self) -> dict[str, list[int]]:
        """The faces of each file, by its resolved path and by its SHA-256."""
        faces: dict[str, list[int]] = defaultdict(list)
        for column, name_of in (("source", lambda path: str(Path(path).resolve())), ("sha256", str)):
            for index, value in enumerate(self.store.column(column)):
                faces[name_of(value)].append(index)
        return faces

    def sources(self, manifest: Manifest, steps: list[str]) -> Iterator[Source | tuple[Item, str]]:
        """Every item's source; or the item and the reason why it is not scored."""
        for item in manifest.items:
            rows: list[tuple[int, int]] = []
            for position, path in enumerate(item.files):
                rows += [(position, index) for index in self._of(path)]
            if not rows:
                yield item, "not in the store"
                continue
            faces = [self.store[index] for _, index in rows]
            squares = [[face.square.left, face.square.top, face.square.side] for face in faces]
            identity = {"ids": [face.id for face in faces], "squares": squares, "min_face": self.min_face}
            identity |= {"masks": self.cache.sha256(self.store.path / "faces.parquet")} if self.store.has_masks else {}
            read = lambda rows=rows, item=item: self._looks(rows, item)  # noqa: E731
            yield Source(item, identity, read, self.cache.get(identity, steps))

    def _of(self, path: Path) -> list[int]:
        try:
            by_path = self._faces.get(str(path.resolve()))
            return by_path or self._faces.get(self.cache.sha256(path), [])
        except (MediaError, OSError):  # the file itself need not be there any more
            return []

    def _looks(self, rows: list[tuple[int, int]], item: Item) -> Iterator[Look]:
        self._read += len(rows)
        if self._read > HELD:
            self._read = 0
            self.store.release()
        frames: dict[int, list[int]] = defaultdict(list)
        for position, index in rows:
            frames[position if len(item.files) > 1 else self.store[index].frame].append(index)
        for number, indices in sorted(frames.items()):
            with self.clock.measure("decode"):
                views = [view for view in map(self._view, indices) if view is not None]
                views.sort(key=lambda view: -view[0])
            empty = None if views else f"every face smaller than {self.min_face} px"
            yield Look(number, [replace(view, face=face) for face, (_, view) in enumerate(views)], empty)

    def _view(self, index: int) -> tuple[float, View] | None:
        box = self.store[index].box
        side = float((box[2:] - box[:2]).max())
        if side < self.min_face:
            return None
        patch = Patch(np.array(self.store.crop(index)))
        if not self.store.has_masks:
            return side, View(0, patch)
        mask, face = self.store.mask(index), self.store[index]
        x0, y0, x1, y1 = face.square.to_crop(box.reshape(2, 2)).ravel().round().astype(int).clip(0).tolist()
        return side, View(0, patch, usable(mask), float((mask[y0 : y1 + 1, x0 : x1 + 1] > 127).mean()))


def labelled_store(store: FaceStore) -> Manifest:
    """The manifest of a store whose sources lie in folders real/ and fake/.

    Raises:
        StoreError: A source lies in neither.
    """
    sources = dict(zip(store.column("sha256"), store.column("source"), strict=True))
    places = [_place(store, Path(source)) for source in sources.values()]
    met = Counter(places)
    return Manifest(
        [
            Item(
                dataset=printable(store.path.resolve().name),
                method="real" if label == 0 else rest[0] if len(rest) > 1 else "fake",
                video="/".join(rest) if met[label, rest] == 1 else source,
                label=label,
                files=(Path(source),),
            )
            for (label, rest), source in zip(places, sources.values(), strict=True)
        ]
    )


def _place(store: FaceStore, source: Path) -> tuple[int, tuple[str, ...]]:
    """The label of a source, and its path below the folder that says so: the innermost one."""
    depth = max((depth for depth, part in enumerate(source.parts[:-1]) if part in LABELS), default=None)
    if depth is None:
        raise StoreError(
            f"{store.path}: {source} lies in no folder real/ or fake/, so nothing says what it is; prepare a store "
            "of a folder that holds the two, or name its data set as DATA and this store with --store"
        )
    return LABELS.index(source.parts[depth]), source.parts[depth + 1 :]
