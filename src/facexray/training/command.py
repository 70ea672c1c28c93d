"""The commands `validate`, `train`, `export` and `push`, as functions; torch is imported when they run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from facexray.blending.config import BlendConfig
from facexray.errors import MissingExtraError, SettingsError
from facexray.faces.store import FaceStore
from facexray.training.config import DataConfig, NetworkConfig, OptimConfig, RunConfig


def validate(
    store: Path,
    out: Path = Path(),
    val_store: Path | None = None,
    blending: BlendConfig = BlendConfig(),
    data: DataConfig = DataConfig(),
    network: NetworkConfig = NetworkConfig(),
    optim: OptimConfig = OptimConfig(),
    run: RunConfig = RunConfig(),
    seed: int = 0,
    resume: Literal["no", "auto"] = "no",
) -> bool:
    """Try out in about a minute what `train` would do with the same settings, before it takes days.

    Reads the stores, draws samples, builds the network, trains five iterations and validates on few images, writes a
    checkpoint on the disk of OUT and reads it back, exports to ONNX; prints a line for each, and how long the whole
    run would take and how much space. Of several devices it tries one. Leaves nothing behind. Needs the extra:
    pip install 'facexray[train]'.

    Args:
        store: Face store of real photographs, made by prepare.
        out: Folder where the run would be.
        val_store: Face store of people not trained on; without it a tenth of the store's people is held out.
        blending: How blended images are drawn.
        data: What stands beside the blended images.
        network: The network.
        optim: Loss, optimiser, schedule.
        run: Devices, precision, validation.
        seed: Of weights and samples.
        resume: As it would be given to train.

    Returns:
        Whether every step passed.

    Raises:
        MissingExtraError: Torch is not installed.
    """
    try:
        from facexray.training.check import check_training
        from facexray.training.state import Settings
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"validate needs {error.name}: pip install 'facexray[train]'") from error
    out = Path(out)
    settings = Settings(blending, data, network, optim, run, seed)
    return check_training(lambda: _open(store, out, val_store, resume), out, settings)


def train(
    store: Path,
    out: Path,
    val_store: Path | None = None,
    blending: BlendConfig = BlendConfig(),
    data: DataConfig = DataConfig(),
    network: NetworkConfig = NetworkConfig(),
    optim: OptimConfig = OptimConfig(),
    run: RunConfig = RunConfig(),
    seed: int = 0,
    resume: Literal["no", "auto"] = "no",
) -> Path:
    """Train a network to see where faces were blended, from the real faces of a store.

    Writes into OUT: best.safetensors (the weights with the best validation AUC, and their card), last.safetensors
    (those of the last validation), last.ckpt to go on from, log.csv, validation.csv, validation/ with pictures of the
    predicted X-rays, tensorboard/ and run.json. SIGTERM and Ctrl-C save and stop. Needs the extra: pip install
    'facexray[train]'.

    Args:
        store: Face store of real photographs, made by prepare.
        out: Folder of the run.
        val_store: Face store of people not trained on; without it a tenth of the store's people is held out.
        blending: How blended images are drawn.
        data: What stands beside the blended images.
        network: The network.
        optim: Loss, optimiser, schedule.
        run: Devices, precision, validation.
        seed: Of weights and samples.
        resume: With auto, go on from the last checkpoint of the run in OUT, if there is one.

    Returns:
        The run's folder, for `export`.

    Raises:
        SettingsError: A setting out of range, or OUT holds a run and resume was not said.
        StoreError: A store is missing or too small.
        ModelError: The loss is not a number any more, or a file of weights does not fit.
        MissingExtraError: Torch is not installed.
    """
    out = Path(out)
    faces, val_faces = _open(store, out, val_store, resume)
    try:
        from facexray.training.loop import fit, setup
        from facexray.training.state import Settings
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training needs {error.name}: pip install 'facexray[train]'") from error
    out.mkdir(parents=True, exist_ok=True)
    fit(setup(out, faces, val_faces, Settings(blending, data, network, optim, run, seed)))
    return out


def _open(store: Path, out: Path, val_store: Path | None, resume: str) -> tuple[FaceStore, FaceStore | None]:
    """The stores of a run that may begin in OUT."""
    if resume == "no" and any((out / name).exists() for name in ("run.json", "last.ckpt")):
        raise SettingsError(f"{out}: holds a run already; say --resume auto to go on with it, or name another folder")
    faces, val_faces = FaceStore(store), FaceStore(val_store) if val_store else None
    if val_faces:
        _check_disjoint(faces, val_faces)
    return faces, val_faces


def _check_disjoint(store: FaceStore, val_store: FaceStore) -> None:
    """Nobody who is learned from may judge what was learned."""
    for column, what in (("sha256", "photographs"), ("identity", "people")):
        shared = (set(store.column(column)) & set(val_store.column(column))) - {None}
        if shared:
            raise SettingsError(
                f"val_store: {len(shared)} of its {what} stand in the store too; name a store of other people, "
                "or leave it out to hold some out"
            )


def export(
    runs: list[Path],
    out: Path,
    photographs: str | None = None,
    licence: str | None = None,
    val_store: Path | None = None,
    int8: bool = False,
    calibration: Path | None = None,
    reals: Path | None = None,
) -> Path:
    """Export a trained run, or the mean of several, as one ONNX file that detect and evaluate run without PyTorch.

    The file carries the model card: data, settings, commit, scores on the run's validation sets with intervals, and
    the thresholds of the verdicts, chosen on these sets (5 % of their reals above, 10 % of their fakes below). It is
    checked against torch first. Of several runs, it has the means of their weights: runs that went on from one model
    can judge better together than each alone; measure it. Beside it stand the card as Markdown and, as .safetensors,
    the weights with the same card. An export alone, or a shipped model, keeps its network and scores: what may become
    another is the threshold for fake, by --reals. Needs the extra: pip install 'facexray[train]'.

    Args:
        runs: Folders of runs, made by train, or one's last.safetensors, the .onnx of an export, or a shipped model's
            name: of one network, and validated on the same faces. The card has the first one's validation sets,
            settings and seed, and names the others.
        out: The ONNX file to write; weights and card have its name and end in .safetensors and .md.
        photographs: Whose photographs the model learned from and was validated on, for the card: their
            public source and licence. An export has them already.
        licence: The weights' licence, for the card, as the Hugging Face hub writes it: what the photographs, and the
            weights that the run began from, allow. Where not given, that of an export, or of those that the weights
            came from, or else apache-2.0.
        val_store: The run's validation store, where it has moved since. Of an export alone it is read for --int8 only.
        int8: Also write an int8 copy, ending in .int8.onnx, with scores and thresholds of its own in its card. It is
            refused where its AUC on a validation set is lower by more than 0.005; both are printed. Measure it before
            you use it: OpenVINO runs it faster than fp32, ONNX Runtime not every network. Needs the extra:
            pip install 'facexray[int8]'.
        calibration: For int8, the face store whose faces, blended as in training, set the ranges of the integers; the
            run's own where not given.
        reals: Face store of more real photographs, such as those that will be judged, of people not trained on: the
            threshold for fake rises until no more than 5 % of these, too, lie above it.

    Returns:
        The file.

    Raises:
        ModelError: A folder holds no run, the runs' networks or validation faces differ, their mean judges worse than
            the first alone, the export differs from the network, or the int8 copy is refused.
        StoreError: The validation store or that of reals is missing, or the latter has fewer than 20 faces or given
            fakes.
        SettingsError: OUT does not end in .onnx, or one of the files is there already, or a run's photographs are not
            named.
    """
    out = Path(out)
    if out.suffix != ".onnx":
        raise SettingsError(f"{out}: the model's file must end in .onnx; its card gets the same name in .md")
    for path in (out.with_suffix(suffix) for suffix in (".onnx", ".safetensors", ".md", ".int8.onnx")):
        if path.exists():
            raise SettingsError(f"{path}: is there already, of this export or another; delete it or name another file")
    if int8 and not find_spec("nncf"):
        raise MissingExtraError("export --int8 needs nncf: pip install 'facexray[int8]'")
    try:
        from facexray.training.export import export_runs, int8_copy
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"export needs {error.name}: pip install 'facexray[train]'") from error
    held_out = Path(val_store) if val_store else None
    folders = [Path(runs)] if isinstance(runs, str | Path) else [Path(run) for run in runs]
    others = Path(reals) if reals else None
    made_with = None
    if int8:  # before a file is written, for a store may be missing
        from facexray.training.quantize import Quantisation

        made_with = Quantisation.of(folders[0], held_out, Path(calibration) if calibration else None)
    export_runs(folders, out, photographs, licence, held_out, others)
    if made_with:
        int8_copy(out, made_with, others)
    return out


def push(model: Path, repo: str) -> str:
    """Push an exported model to the Hugging Face hub: the ONNX file, its weights, and its card as the README.

    All three go in one commit; the repository is made where there is none. The token is that of `hf auth login`, or
    of HF_TOKEN. Needs the extra: pip install 'facexray[train]'.

    Args:
        model: The ONNX file that export wrote, its .safetensors and .md beside it.
        repo: The repository, OWNER/NAME.

    Returns:
        Its address.

    Raises:
        ModelError: Not a model that export wrote, or the files beside it are missing or of another export.
        SettingsError: There is no token, or the hub could not be reached or did not take the model.
        MissingExtraError: The hub's client is not installed.
    """
    try:
        from facexray.training.hub import push_model
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"push needs {error.name}: pip install 'facexray[train]'") from error
    return push_model(Path(model), repo)
