"""Who is who where nobody wrote it down: dlib's face embedding, clustered.

The network is `dlib_face_recognition_resnet_model_v1` (CC0), from the package that the landmarks come from. How
often it errs, on whom, and how the threshold was chosen is told in `docs/identities.md`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dlib
import face_recognition_models
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from facexray.errors import SettingsError, StoreError
from facexray.faces.crop import CROP_SIZE
from facexray.faces.landmarks import Landmarks
from facexray.faces.store import FaceStore
from facexray.faces.store_writer import StoreWriter
from facexray.images import RGB
from facexray.provenance import provenance

AUTO = "auto:"
"""What the identities found here begin with; all others were given, and are never replaced."""
THRESHOLD = 0.5
"""Distance of two embeddings up to which they count as one person's; benchmarks/identity_threshold.py measures it."""
DIMENSIONS = 128
SAVE_EVERY = 500
"""Embeddings between two savings, about 40 seconds' work: what a kill costs at most."""

CACHE_SCHEMA = pa.schema([("id", pa.string()), ("embedding", pa.list_(pa.float32(), DIMENSIONS))])


@dataclass
class IdentifySummary:
    """What `identify` did."""

    store: Path
    faces: int
    """Faces in the store."""
    unknown: int
    """Of these, without an identity that was given."""
    joined: int = 0
    """Of the unknown, those that were joined to a person whose identity was given."""
    people: int = 0
    """New people found among the rest."""
    alone: int = 0
    """Unknown faces that resemble nobody else's: they stay without identity."""
    computed: int = 0
    """Embeddings that had to be computed."""
    seconds: float = 0.0
    """Time that computing them took."""

    def __str__(self) -> str:
        lines = [f"{self.store}: {self.unknown} of {self.faces} faces had no given identity"]
        if self.joined:
            lines.append(f"  {self.joined} joined people whose identity was given")
        if self.people:
            lines.append(f"  {self.unknown - self.joined - self.alone} are {self.people} people, named {AUTO}…")
        if self.alone:
            lines.append(f"  {self.alone} resemble nobody else: each stands for its photograph or video")
        if self.computed:
            pace = 1000 * self.seconds / self.computed
            lines.append(f"  computed {self.computed} embeddings, {pace:.0f} ms per face; the store keeps them")
        if self.joined or self.people:
            lines.append("  It errs at times: two people taken for one cost a few pairs, no more;")
            lines.append("  one person taken for two may be blended with themselves")
        return "\n".join(lines)


def identify(store: Path, threshold: float = THRESHOLD) -> IdentifySummary:
    """Find out who is who in a face store where nobody wrote it down, by dlib's face embedding.

    A face without identity joins the person it resembles: one whose identity was given, or a new one, named
    `auto:` and the id of that person's first face. Given identities stay as they are; `auto:` ones are found
    anew by every run, and `prepare --identity` replaces them. Embeddings are kept in the store, in
    `embeddings.parquet`: after a kill, or when the store has grown, only the missing ones are computed.

    Args:
        store: A face store made by prepare.
        threshold: Distance of two embeddings, in (0, 1], up to which they count as one person's. With thousands
            of people, in whom chance finds many doubles, 0.45 is better.

    Returns:
        Counts of who was found.

    Raises:
        StoreError: No store there, it is damaged or being written, or the disk is full.
        SettingsError: A threshold out of its range.
    """
    if not 0 < threshold <= 1:
        raise SettingsError(f"threshold: {threshold} is out of its range, (0, 1]; {THRESHOLD} is the measured one")
    store = Path(store)
    FaceStore(store)  # an error, not a new folder, where there is no store
    about = provenance("identify", {"store": store, "threshold": threshold})
    try:
        with StoreWriter(store, about) as writer:
            faces = FaceStore(store)  # as it is now that nobody else can write it
            given = [who if _is_given(who) else None for who in faces.column("identity")]
            summary = IdentifySummary(store, len(faces), given.count(None))
            if summary.unknown:
                began = time.perf_counter()
                embeddings, summary.computed = embed_store(faces)
                summary.seconds = time.perf_counter() - began
                names = name_by_likeness(faces.column("id"), given, embeddings, threshold)
                writer.name_faces(names)
                _count(summary, given, names)
    except OSError as error:
        raise StoreError(f"{store}: writing failed ({error}); free space and run the same command again") from error
    return summary


def _is_given(identity: str | None) -> bool:
    return bool(identity) and not str(identity).startswith(AUTO)


def _count(summary: IdentifySummary, given: Sequence[str | None], names: Sequence[str | None]) -> None:
    found = [name for name, before in zip(names, given, strict=True) if before is None]
    summary.alone = found.count(None)
    summary.joined = sum(map(_is_given, found))
    summary.people = len({name for name in found if name and not _is_given(name)})


def name_by_likeness(
    ids: Sequence[str], given: Sequence[str | None], embeddings: NDArray[np.float32], threshold: float
) -> list[str | None]:
    """Name every face: as given, else after the nearest given face of its cluster, else `auto:`.

    Args:
        ids: (N,) ids of the faces; a new person is named after the first of theirs.
        given: (N,) identities, None where unknown.
        embeddings: (N, 128).
        threshold: Distance up to which two faces count as one person's.

    Returns:
        (N,) identities; None for an unknown face that has its cluster to itself.
    """
    clusters: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(cluster(embeddings, threshold)):
        clusters[label].append(index)
    names = list(given)
    for members in clusters.values():
        known = [index for index in members if given[index] is not None]
        unknown = [index for index in members if given[index] is None]
        if known:
            theirs = embeddings[known]
            for index in unknown:
                names[index] = given[known[np.linalg.norm(theirs - embeddings[index], axis=1).argmin()]]
        elif len(unknown) > 1:
            for index in unknown:
                names[index] = AUTO + ids[unknown[0]]
    return names


def cluster(embeddings: NDArray[np.float32], threshold: float) -> list[int]:
    """Cluster embeddings (N, 128) by Chinese whispers over the pairs within `threshold`: (N,) labels.

    The same embeddings in the same order give the same labels. Time grows as N²: about a minute for 20,000.
    """
    labels: list[int] = []
    with Console(stderr=True).status("comparing the faces"):
        labels += dlib.chinese_whispers_clustering([dlib.vector(row) for row in embeddings.tolist()], threshold)
    return labels


def embed_store(faces: FaceStore) -> tuple[NDArray[np.float32], int]:
    """The embeddings (N, 128) of a store's faces, and how many of them its `embeddings.parquet` lacked.

    Raises:
        StoreError: A shard or `embeddings.parquet` is damaged.
    """
    path = faces.path / "embeddings.parquet"
    ids, known = faces.column("id"), _read_cache(path)
    missing = [index for index, face_id in enumerate(ids) if face_id not in known]
    progress = track(missing, "embedding", console=Console(stderr=True), transient=True)
    for done, index in enumerate(progress, 1):
        known[ids[index]] = embed(faces.crop(index), faces.landmarks[index])
        if done % SAVE_EVERY == 0 or done == len(missing):
            _write_cache(path, known)
    return np.stack([known[face_id] for face_id in ids]), len(missing)


def embed(crop: RGB, landmarks: Landmarks) -> NDArray[np.float32]:
    """Dlib's embedding (128,) of a face, from its crop (317, 317, 3) and landmarks (68, 2) in crop pixels."""
    points = [dlib.point(round(float(x)), round(float(y))) for x, y in landmarks]
    shape = dlib.full_object_detection(dlib.rectangle(0, 0, CROP_SIZE - 1, CROP_SIZE - 1), points)
    return np.array(_network().compute_face_descriptor(crop, shape), np.float32)


@cache
def _network() -> Any:
    return dlib.face_recognition_model_v1(face_recognition_models.face_recognition_model_location())


def _read_cache(path: Path) -> dict[str, NDArray[np.float32]]:
    if not path.exists():
        return {}
    try:
        table = pq.read_table(path, schema=CACHE_SCHEMA)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path}: damaged ({error}); delete it and run the same command again") from error
    values = table.column("embedding").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    rows = np.asarray(values, np.float32).reshape(-1, DIMENSIONS)
    return dict(zip(table.column("id").to_pylist(), rows, strict=True))


def _write_cache(path: Path, embeddings: dict[str, NDArray[np.float32]]) -> None:
    values = pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(list(embeddings.values()))), DIMENSIONS)
    table = pa.Table.from_arrays([pa.array(list(embeddings), pa.string()), values], schema=CACHE_SCHEMA)
    temporary = path.with_name(".embeddings.part")
    pq.write_table(table, temporary)
    temporary.replace(path)
