"""What DATA is: a blended set, a face store, a folder, a CSV file, or a data set of the field."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facexray.blending.writers import is_blended_set
from facexray.blending.writers.manifest import identity
from facexray.blending.writers.reader import about_set
from facexray.errors import SettingsError
from facexray.evaluation.cache import Cache
from facexray.evaluation.clock import Clock
from facexray.evaluation.config import EvaluateConfig
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.protocols.registry import PROTOCOLS, read_manifest
from facexray.evaluation.sources import Source, blended_sources
from facexray.evaluation.store_sources import StoreReader, labelled_store
from facexray.evaluation.video_sources import Reader
from facexray.faces.store import FaceStore

Sources = Iterator[Source | tuple[Item, str]]
"""What can be scored, and what cannot, with the reason."""


@dataclass(frozen=True)
class Data:
    """A data set, opened."""

    facts: dict[str, Any]
    """What results.json says of it."""
    count: int
    """Of its sources."""
    missing: list[tuple[str, str]]
    """(what, why): named by its own lists, and not there."""
    sources: Callable[[list[str]], Sources]
    """Of the degradations' names → all of it, in its order."""


def open_data(data: Path, store: Path | None, config: EvaluateConfig, cache: Cache, clock: Clock) -> Data:
    """Find out what DATA is.

    Args:
        data: A folder or file.
        store: A face store to take the faces from.
        config: Of the evaluation.
        cache: Knows what was scored already.
        clock: Of the evaluation.

    Raises:
        SettingsError: Nothing that can be evaluated, or `store` with what needs none.
        StoreError: A blended set or face store that is damaged.
    """
    blended = config.protocol == "auto" and is_blended_set(data)
    own_store = config.protocol == "auto" and not blended and (data / "faces.parquet").is_file()
    if store and (blended or own_store):
        kind = "a blended set" if blended else "a face store"
        raise SettingsError(f"{data}: is {kind} itself; leave out --store {store}")
    if blended:
        about = about_set(data)[1]
        count = about["settings"]["count"]
        drawn = hashlib.sha256(json.dumps(identity(about), sort_keys=True).encode()).hexdigest()
        facts = _facts("blended", "blended set", count) | {"set_sha256": drawn}
        return Data(facts, count, [], lambda steps: blended_sources(data, cache, clock, steps))
    if own_store:
        crops = FaceStore(data)
        manifest = labelled_store(crops)
        facts = _facts("store", "face store", len(manifest.items))
        return _of(manifest, facts, StoreReader(crops, cache, clock, config.min_face, own=True).sources)
    manifest = read_manifest(data, config.protocol, config.split, config.compression)
    name = config.protocol if config.protocol != "auto" else "csv" if data.is_file() else "folder"
    protocol = PROTOCOLS[name]
    facts = _facts(name, protocol.title, sum(len(item.files) for item in manifest.items))
    for part in ("split", "compression"):
        facts[part] = next((getattr(item, part) for item in manifest.items if getattr(item, part)), None)
    facts["items"] = len(manifest.items)
    if store:
        return _of(manifest, facts, StoreReader(FaceStore(store), cache, clock, config.min_face).sources)
    return _of(manifest, facts, Reader(cache, clock, config.frames, config.stride, config.min_face).sources)


def _facts(protocol: str, title: str, files: int) -> dict[str, Any]:
    about = {"protocol": protocol, "title": title, "split": None, "compression": None}
    return {**about, "items": files, "files": files}


def _of(manifest: Manifest, facts: dict[str, Any], sources: Callable[[Manifest, list[str]], Sources]) -> Data:
    return Data(facts, len(manifest.items), manifest.missing, lambda steps: sources(manifest, steps))
