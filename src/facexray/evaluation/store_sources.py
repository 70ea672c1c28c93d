"""Faces of a face store: of a data set's items, or of the store's own sources."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from facexray.blending.writers import LABELS
from facexray.errors import MediaError, StoreError
from facexray.evaluation.cache import Cache, Found
from facexray.evaluation.clock import Clock
from facexray.evaluation.faceless import Faceless, read_faceless
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.robustness import Patch
from facexray.evaluation.sources import Look, Source, View, usable
from facexray.faces.store import FaceStore
from facexray.images import printable
from facexray.metrics.summary import OVERALL


@dataclass
class StoreReader:
    """Takes the faces of items from a face store."""

    store: FaceStore
    cache: Cache
    clock: Clock
    min_face: int
    own: bool = False
    """Whether the items are the store's own sources, so that their paths say which faces are theirs."""

    @cached_property
    def _faces(self) -> dict[str, list[int]]:
        """The faces of each file, by its SHA-256."""
        faces: dict[str, list[int]] = defaultdict(list)
        for index, sha256 in enumerate(self.store.column("sha256")):
            faces[sha256].append(index)
        return faces

    @cached_property
    def _last_at(self) -> dict[str, str]:
        """Of the last file with faces at each path, resolved, the SHA-256: another may have been there before."""
        sources = map(_resolved, self.store.column("source"))
        return dict(zip(sources, self.store.column("sha256"), strict=True))

    @cached_property
    def _faceless(self) -> dict[str, Faceless]:
        """What is known of each file that gave no face, by its resolved path and by its SHA-256."""
        known = [of for of in read_faceless(self.store.path) if of.sha256 not in self._faces]
        return {_resolved(of.source): of for of in known} | {of.sha256: of for of in known if of.sha256}

    def sources(self, manifest: Manifest, steps: list[str]) -> Iterator[Source | tuple[Item, str]]:
        """Every item's source; or the item and the reason why it is not scored."""
        for item in manifest.items:
            rows: list[tuple[int, int]] = []
            without: list[Faceless] = []
            for position, path in enumerate(item.files):
                found = self._of(path)
                if isinstance(found, Faceless):
                    without.append(found)
                else:
                    rows += [(position, index) for index in found]
            if rows:
                yield self._source(item, rows, steps)
            elif looked_at := [of for of in without if of.looked_at]:
                yield _faceless_source(item, len(looked_at), looked_at[0].reason)
            else:
                yield item, without[0].reason if without else "not in the store"

    def _source(self, item: Item, rows: list[tuple[int, int]], steps: list[str]) -> Source:
        faces = [self.store[index] for _, index in rows]
        squares = [[face.square.left, face.square.top, face.square.side] for face in faces]
        identity = {"ids": [face.id for face in faces], "squares": squares, "min_face": self.min_face}
        if len(item.files) > 1:  # a face's frame is its picture's place in the list, which may be edited
            identity["positions"] = [position for position, _ in rows]
        identity |= {"masks": self.cache.sha256(self.store.path / "faces.parquet")} if self.store.has_masks else {}
        return Source(item, identity, lambda: self._looks(rows, item), self.cache.get(identity, steps))

    def _of(self, path: Path) -> list[int] | Faceless:
        """The faces of a file, or why it gave none; an empty list where the store does not know it.

        A file is known by its bytes: at its path another may have been. By its path where it is not there any more.
        """
        with suppress(MediaError, OSError):
            if not self.own:
                sha256 = self.cache.sha256(path)
                return self._faces.get(sha256) or self._faceless.get(sha256) or []
        place = _resolved(path)
        return self._faces.get(self._last_at.get(place, "")) or self._faceless.get(place) or []

    def _looks(self, rows: list[tuple[int, int]], item: Item) -> Iterator[Look]:
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


def _resolved(path: str | Path) -> str:
    return str(Path(path).resolve())


def _faceless_source(item: Item, frames: int, reason: str) -> Source:
    """An item that prepare looked at in vain, at how many frames of a video the store does not say: one at least."""
    return Source(item, None, lambda: iter(()), Found(frames, reason=reason))


def labelled_store(store: FaceStore) -> Manifest:
    """The manifest of a store whose sources lie in folders real/ and fake/, those without a face among them.

    Raises:
        StoreError: A face's source lies in neither, or is a fake of a method called real or overall.
    """
    by_sha256 = dict(zip(store.column("sha256"), store.column("source"), strict=True))
    sources, missing = list(by_sha256.values()), []
    for of in read_faceless(store.path):
        if of.sha256 in by_sha256 or of.source in by_sha256.values():
            continue
        if of.sha256 and _depths(Path(of.source)):
            sources.append(of.source)
        else:
            missing.append((of.source, of.reason))
    roots = _roots(map(Path, sources))
    found = {source: _place(Path(source), roots) for source in sources}
    met = Counter(found.values())
    items = []
    for source, place in found.items():
        if place is None:
            raise StoreError(
                f"{store.path}: {source} lies in no folder real/ or fake/, so nothing says what it is; prepare a store "
                "of a folder that holds the two, or name its data set as DATA and this store with --store"
            )
        label, rest = place
        method = "real" if label == 0 else rest[0] if len(rest) > 1 else "fake"
        if label and method in ("real", OVERALL):
            raise StoreError(f"{store.path}: {source} is a fake of a method called {method}; rename its folder")
        video = "/".join(rest) if met[place] == 1 else source
        items.append(Item(printable(store.path.resolve().name), method, video, label, (Path(source),)))
    return Manifest(items, missing)


def _depths(source: Path) -> list[int]:
    """Where in a path the folders are that a label names."""
    return [depth for depth, part in enumerate(source.parts[:-1]) if part in LABELS]


def _roots(sources: Iterable[Path]) -> set[tuple[str, ...]]:
    """The folders in which sources lie in real/ and in fake/."""
    below: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for source in sources:
        for depth in _depths(source):
            below[source.parts[:depth]].add(source.parts[depth])
    return {root for root, names in below.items() if len(names) == len(LABELS)}


def _place(source: Path, roots: set[tuple[str, ...]]) -> tuple[int, tuple[str, ...]] | None:
    """The label of a source, and its path below the folder that says so; None where none does.

    As of a folder that is evaluated itself, that is the outermost one that has its counterpart beside it. Where none
    has, the store was made of folders at several places, and it is the innermost.
    """
    depths = _depths(source)
    if not depths:
        return None
    depth = next((depth for depth in depths if source.parts[:depth] in roots), depths[-1])
    return LABELS.index(source.parts[depth]), source.parts[depth + 1 :]
