"""The commands `train` and `export`, as functions; torch is imported when they run."""

from __future__ import annotations

import json
from pathlib import Path

from facexray.blending.config import BlendConfig
from facexray.errors import MissingExtraError, SettingsError
from facexray.faces.store import FaceStore
from facexray.images import write_bytes
from facexray.training.config import NetworkConfig, OptimConfig, RunConfig


def train(
    store: Path,
    out: Path,
    val_store: Path | None = None,
    blending: BlendConfig = BlendConfig(),
    network: NetworkConfig = NetworkConfig(),
    optim: OptimConfig = OptimConfig(),
    run: RunConfig = RunConfig(),
    seed: int = 0,
    resume: bool = False,
) -> Path:
    """Train a network to see where faces were blended, from the real faces of a store.

    Writes into OUT: best.safetensors and best.json (the best validation AUC), last.ckpt, log.csv,
    validation.csv and run.json. Needs the extra: pip install 'facexray[train]'.

    Args:
        store: Face store of real photographs, made by prepare.
        out: Folder of the run.
        val_store: Face store of people not trained on; without it a tenth of the store's people is held out.
        blending: How blended images are drawn.
        network: The network.
        optim: Loss, optimiser, schedule.
        run: Device, precision, validation.
        seed: Of weights and samples.
        resume: Go on with the run in OUT from its last checkpoint, which every validation saves.

    Returns:
        The run's folder, for `export`.

    Raises:
        SettingsError: A setting out of range, or OUT holds a run and resume was not said.
        StoreError: A store is missing or too small.
        MissingExtraError: Torch is not installed.
    """
    out = Path(out)
    if (out / "run.json").exists() and not resume:
        raise SettingsError(f"{out}: holds a run already; say --resume to go on with it, or name another folder")
    if resume and not (out / "run.json").exists():
        raise SettingsError(f"{out}: holds no run to go on with; leave --resume out to begin one")
    stores = (FaceStore(store), FaceStore(val_store) if val_store else None)
    if stores[1]:
        _check_disjoint(stores[0], stores[1])
    try:
        from facexray.training.loop import fit, setup
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training needs {error.name}: pip install 'facexray[train]'") from error
    out.mkdir(parents=True, exist_ok=True)
    training = setup(out, stores, blending, network, optim, run, seed)
    write_bytes(out / "run.json", json.dumps(training.about, indent=2, ensure_ascii=False).encode())
    fit(training)
    return out


def _check_disjoint(store: FaceStore, val_store: FaceStore) -> None:
    """Nobody who is learned from may judge what was learned."""
    for column, what in (("sha256", "photographs"), ("identity", "people")):
        shared = (set(store.column(column)) & set(val_store.column(column))) - {None}
        if shared:
            raise SettingsError(
                f"val_store: {len(shared)} of its {what} stand in the store too; name a store of other people, "
                "or leave it out to hold some out"
            )


def export(run: Path, out: Path, photographs: str, val_store: Path | None = None) -> Path:
    """Export a trained run as one ONNX file that detect and evaluate run without PyTorch.

    The file carries the model card, which is also written beside it as Markdown: data, settings, commit,
    validation scores with intervals, and the thresholds of the verdicts, chosen on the run's validation set
    (5 % of its reals above, 10 % of its fakes below). It is checked against torch first. Needs the extra:
    pip install 'facexray[train]'.

    Args:
        run: Folder of a run, made by train.
        out: The ONNX file to write; the card has its name and ends in .md.
        photographs: Whose photographs the model learned from and was validated on, for the card: their
            public source and licence.
        val_store: The run's validation store, where it has moved since.

    Returns:
        The file.

    Raises:
        ModelError: The folder holds no run, or the export differs from the network.
        StoreError: The validation store is missing.
    """
    if Path(out).suffix != ".onnx":
        raise SettingsError(f"{out}: the model's file must end in .onnx; its card gets the same name in .md")
    try:
        from facexray.training.export import export_run
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"export needs {error.name}: pip install 'facexray[train]'") from error
    export_run(Path(run), Path(out), photographs, Path(val_store) if val_store else None)
    return out
