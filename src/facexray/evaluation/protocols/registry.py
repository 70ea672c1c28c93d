"""The protocols by name: which data sets can be evaluated as their authors distribute them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from facexray.errors import SettingsError
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.protocols.celeb_df import read_celeb_df
from facexray.evaluation.protocols.deeperforensics import read_deeperforensics
from facexray.evaluation.protocols.deepfakebench import read_deepfakebench
from facexray.evaluation.protocols.dfdc import read_dfdc, read_dfdc_preview
from facexray.evaluation.protocols.faceforensics import read_dfd, read_faceforensics
from facexray.evaluation.protocols.folder import read_folder
from facexray.evaluation.protocols.layout import COMPRESSION_NAMES, COMPRESSIONS, SPLITS, Request, is_folder
from facexray.evaluation.protocols.pairs_of_folders import read_ffiw, read_uadfv
from facexray.evaluation.protocols.table import read_csv
from facexray.images import printable
from facexray.metrics.summary import OVERALL

FORENSICS = "https://github.com/ondyari/FaceForensics (its form gives the download script)"
CELEB = "https://github.com/yuezunli/celeb-deepfakeforensics (its form)"
DFDC = "https://ai.meta.com/datasets/dfdc"
OWN = "docs/protocols.md, which says how to lay out your own files"


@dataclass(frozen=True)
class Protocol:
    """How one data set is laid out on disk."""

    name: str
    """As `--protocol` takes it."""
    title: str
    """The data set's own name."""
    read: Callable[[Request], Manifest]
    where: str
    """Where the data set is had."""
    splits: tuple[str, ...] = ()
    """What `--split` may name; nothing where the data set has none, and all of it is the test set."""
    compressions: tuple[str, ...] = ()
    """What `--compression` may name."""


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("folder", "folder with real/ and fake/", read_folder, OWN),
        Protocol("csv", "CSV file", read_csv, OWN, SPLITS, COMPRESSIONS),
        Protocol("ff++", "FaceForensics++", read_faceforensics, FORENSICS, SPLITS, COMPRESSIONS),
        Protocol("dfd", "DeepFakeDetection", read_dfd, FORENSICS, (), COMPRESSIONS),
        Protocol("celeb-df-v1", "Celeb-DF v1", partial(read_celeb_df, version=1), CELEB, ("train", "test")),
        Protocol("celeb-df-v2", "Celeb-DF v2", partial(read_celeb_df, version=2), CELEB, ("train", "test")),
        Protocol("dfdc", "DFDC", read_dfdc, DFDC, SPLITS),
        Protocol("dfdc-preview", "DFDC preview", read_dfdc_preview, DFDC, ("train", "test")),
        Protocol(
            "deeperforensics",
            "DeeperForensics-1.0",
            read_deeperforensics,
            "https://github.com/EndlessSora/DeeperForensics-1.0 (its form); the originals from FaceForensics++",
            SPLITS,
        ),
        Protocol(
            "uadfv", "UADFV", read_uadfv, "its authors' form, which https://github.com/SCLBD/DeepfakeBench links to"
        ),
        Protocol("ffiw", "FFIW10K", read_ffiw, "https://github.com/tfzhou/FFIW (its form)", SPLITS),
        Protocol(
            "deepfakebench",
            "DeepfakeBench's JSON",
            read_deepfakebench,
            "https://github.com/SCLBD/DeepfakeBench; of DF40 from https://github.com/YZY-stack/DF40",
            SPLITS,
            COMPRESSIONS,
        ),
    )
}
"""By name, as `--protocol` takes it."""

TELLTALES = {
    "List_of_testing_videos.txt": "celeb-df-v2 (or celeb-df-v1)",
    "manipulated_videos": "deeperforensics",
    "original_sequences/youtube": "ff++",
    "original_sequences/actors": "dfd",
    "dataset.json": "dfdc-preview",
    "labels.csv": "dfdc",
    "metadata.json": "dfdc",
    "test/labels.csv": "dfdc",
    "test/metadata.json": "dfdc",
    "train/dfdc_train_part_0": "dfdc",
    "dfdc_train_part_0": "dfdc",
    "source/val": "ffiw",
    "FFIW10K-v1-release": "ffiw",
    "preprocessing/dataset_json": "deepfakebench, with one of the JSON files there as DATA",
}
"""What tells a data set's folder, and its protocol; DeeperForensics has FaceForensics++'s originals, too."""


def read_manifest(data: Path, protocol: str = "auto", split: str = "test", compression: str | None = None) -> Manifest:
    """The labelled items of a data set, without opening any of its videos and photographs.

    Args:
        data: The data set's folder; of `csv` and `deepfakebench`, the file.
        protocol: A name of `PROTOCOLS`; `auto` knows a CSV file, and a folder with real/ and fake/.
        split: Which part of a data set that has parts.
        compression: Which of several; None takes the only one there is. `c0` is another name of `raw`.

    Returns:
        Real and fake items, at least one of each; no two share their key.

    Raises:
        SettingsError: The protocol cannot be told, the layout is not as it must be (the message names what is missing,
            and where the data set is had), the split or compression is not one of it, or a class is empty.
        StoreError: A blended set whose manifest is gone.
    """
    chosen = _choose(data, protocol)
    compression = COMPRESSION_NAMES.get(compression or "", compression)
    _check_part(chosen, "split", split, chosen.splits or ("test",))
    if compression is not None:
        _check_part(chosen, "compression", compression, chosen.compressions)
    try:
        manifest = chosen.read(Request(data, split, compression, chosen.where))
    except OSError as error:
        raise SettingsError(f"{printable(error.filename or data)}: cannot be read ({error.strerror})") from error
    manifest = _printable(manifest)
    _check_items(data, chosen, manifest)
    return manifest


def _check_part(protocol: Protocol, option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        has = f"has {', '.join(known)}" if len(known) > 1 else f"has no {option}s: leave out --{option}"
        raise SettingsError(f"{protocol.title} (--protocol {protocol.name}) {has}; got --{option} {value}")


def _printable(manifest: Manifest) -> Manifest:
    """A manifest with names that every file can hold; those on disk need not be text."""
    items = [
        replace(item, dataset=printable(item.dataset), method=printable(item.method), video=printable(item.video))
        for item in manifest.items
    ]
    return Manifest(items, [(printable(what), printable(why)) for what, why in manifest.missing])


def _check_items(data: Path, protocol: Protocol, manifest: Manifest) -> None:
    items, missing = manifest.items, manifest.missing
    real = sum(item.label == 0 for item in items)
    if not 0 < real < len(items):
        first = f"; of {len(missing)} missing, the first is {missing[0][0]} ({missing[0][1]})" if missing else ""
        raise SettingsError(f"{printable(data)}: needs real and fake items; got {real} real and {len(items) - real} "
                            f"fake as {protocol.title}{first}")  # fmt: skip
    known: dict[tuple[str, str, str], Item] = {}
    for item in items:
        if item.method == OVERALL:
            raise SettingsError(f"{printable(item.files[0])}: its method is called {OVERALL}, as all of them together "
                                "are; give it another name")  # fmt: skip
        other = known.setdefault(item.key, item)
        if other is not item:
            raise SettingsError(f"{printable(item.files[0])}: is the same video, {' / '.join(item.key)}, as "
                                f"{printable(other.files[0])}; remove or rename one")  # fmt: skip


def _choose(data: Path, protocol: str) -> Protocol:
    names = ", ".join(PROTOCOLS)
    if protocol != "auto" and protocol not in PROTOCOLS:
        raise SettingsError(f"--protocol {protocol}: no such protocol; known are auto, {names}")
    try:
        folder, file = data.is_dir(), data.is_file()
    except OSError as error:
        raise SettingsError(f"{printable(data)}: cannot be reached ({error.strerror})") from error
    if not folder and not file:
        raise SettingsError(f"{printable(data)}: no such file or folder; DATA is a data set's folder, a CSV file, "
                            "a blended set or a face store")  # fmt: skip
    files = ("csv", "deepfakebench")
    if protocol != "auto":
        if file and protocol not in files:
            raise SettingsError(f"{printable(data)}: is a file; --protocol {protocol} needs the data set's folder")
        if folder and protocol == "csv":
            raise SettingsError(f"{printable(data)}: is a folder; --protocol csv needs the CSV file")
        return PROTOCOLS[protocol]
    if file and data.suffix.lower() == ".csv":
        return PROTOCOLS["csv"]
    if is_folder(data / "real") or is_folder(data / "fake"):
        return PROTOCOLS["folder"]
    told = next((name for sign, name in TELLTALES.items() if folder and (data / sign).exists()), "")
    if data.suffix.lower() == ".json" and file:
        told = "deepfakebench"
    hint = f"it looks like {told}" if told else f"name one: {names}"
    lacks = "is no CSV file" if file else "no folder real/ and no folder fake/ in it"
    raise SettingsError(f"{printable(data)}: which data set is it? It has no protocol of its own ({lacks}); "
                        f"say --protocol NAME: {hint}. docs/protocols.md shows each layout")  # fmt: skip
