"""Quantisation after training, by NNCF: an exported network in int8, refused where it judges worse."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import onnx
from numpy.typing import NDArray

from facexray.blending.config import BlendConfig
from facexray.errors import ModelError
from facexray.training.checkpoint import load_model
from facexray.training.datasets import BlendedPairs, hold_out, store_of
from facexray.training.validation import Sets, validation_sets_of

LARGEST_DROP = 0.005
"""Of the AUC on any validation set, above which the copy is refused."""
CALIBRATION_PAIRS = 150
"""Of blended and real views; their activations set the ranges of the integers."""
CALIBRATION_SEED = 20_200_615


def calibration_views(card: dict[str, Any], store: Path | None) -> list[NDArray[np.float32]]:
    """Views (1, 3, 256, 256) float32 in [0, 1] to calibrate on, real and blended as in the run's training.

    Args:
        card: Of the run.
        store: The run's store, where it has moved since.

    Raises:
        StoreError: The store is missing.
    """
    data = card["data"]
    faces = store_of(data["store"], store, "calibration")
    trained_on = hold_out(faces)[0] if data["validation_store"] == data["store"] else None
    pairs = BlendedPairs(BlendConfig.from_dict(card["settings"]["blending"]), faces, trained_on, CALIBRATION_SEED)
    images = [sample.image for number in range(CALIBRATION_PAIRS) for sample in pairs[number]]
    return [image.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255) for image in images]


@dataclass(frozen=True)
class Quantisation:
    """What an int8 copy is made with, beside the network."""

    views: list[NDArray[np.float32]]
    """Views (1, 3, 256, 256) whose activations set the ranges of the integers."""
    sets: Sets
    people: dict[str, str]
    """Who is on the faces of these validation sets, by their ids."""

    @classmethod
    def of(cls, run: Path, val_store: Path | None, store: Path | None) -> Quantisation:
        """That of a run, whose stores may have moved; see `facexray.training.command.export`."""
        card = load_model(run)[1]
        return cls(calibration_views(card, store), *validation_sets_of(card, val_store))


def quantize(model: bytes, views: list[NDArray[np.float32]]) -> bytes:
    """The network of an ONNX file with int8 weights and activations, as ONNX that every engine runs.

    Args:
        model: The file's bytes.
        views: To calibrate on.
    """
    nncf.set_log_level(logging.ERROR)
    quantised = nncf.quantize(
        onnx.load_model_from_string(model),
        nncf.Dataset(views, lambda view: {"views": view}),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(views),
    )
    return bytes(quantised.SerializeToString())


def check_drop(before: dict[str, Any], after: dict[str, Any], exported: Path) -> str:
    """Compare the measures of the validation sets, and say both AUC of each.

    Args:
        before: Of the network as it was trained: per set, its `AUC` and more.
        after: Of its int8 copy.
        exported: The file of the former, for the error.

    Raises:
        ModelError: The AUC of a set drops by more than `LARGEST_DROP`.
    """
    said = ", ".join(f"AUC {name} {before[name]['AUC']:.4f} → {after[name]['AUC']:.4f}" for name in before)
    if any(before[name]["AUC"] - after[name]["AUC"] > LARGEST_DROP for name in before):
        raise ModelError(
            f"{exported}: its int8 copy is refused, it judges worse by more than {LARGEST_DROP} of AUC ({said}); "
            "the file itself is whole: use it as it is"
        )
    return said
