"""What does each choice of training give, at equal samples? The figures of docs/explanation/experiments.md.

    python benchmarks/experiments.py STORE VAL_STORE --out runs/experiments [--pretrained FILE] [--only NAME ...]

Trains one short run per variant, each the baseline but for one thing, and scores all of them on the same five sets of
forgeries, blended from people whom none has seen. The paper's own ablations are among them: mask deformation, colour
correction, blending type, λ. A variant that is finished is not run again, so a stopped call is simply repeated.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric

from facexray.blending.config import BlendConfig
from facexray.faces.store import FaceStore
from facexray.images import write_bytes
from facexray.metrics.summary import summary
from facexray.provenance import provenance
from facexray.training.checkpoint import load_model
from facexray.training.command import train
from facexray.training.config import DataConfig, NetworkConfig, OptimConfig, RunConfig
from facexray.training.datasets import BlendedPairs, collate
from facexray.training.network import pool_xray
from facexray.training.validation import VALIDATION_SEED, unseen

STILL = {"grid_std_range": (0.0, 0.0), "erode_max_px": 0.0, "dilate_max_px": 0.0}
HALF_FEATHERED = {"gaussian": 1.0, "feather": 1.0}
VARIANTS = {
    "baseline": {},
    "BI alone": {"blending": {"mode": "bi"}},
    "SBI alone": {"blending": {"mode": "sbi"}},
    "no degradations": {"blending": {"degradations": {}}},
    "no mask deformation": {"blending": STILL},
    "no colour correction": {"blending": {"colour": "none"}},
    "Poisson blending": {"blending": {"blend": "poisson"}},
    "unpaired batches": {"data": {"paired": False}},
    "paper's class head": {"network": {"class_head": "paper"}},
    "top-k of the X-ray": {"network": {"class_head": "top_k"}},
    "λ = 0": {"optim": {"xray_weight": 0.0}},
    "λ = 100": {"optim": {"xray_weight": 100.0}},
    "random weights": {"network": {"pretrained": None}},
    "I2G as well": {"blending": {"mode": {"bi": 1.0, "sbi": 1.0, "i2g": 1.0}}},
    "half feathered": {"blending": {"soften": HALF_FEATHERED}},
    "SBI and I2G, half feathered, three kernels": {
        "blending": {
            "mode": {"sbi": 1.0, "i2g": 1.0},
            "soften": HALF_FEATHERED,
            "interpolation": {"linear": 1.0, "cubic": 1.0, "lanczos": 1.0},
        }
    },
}
"""Each variant's differences from the baseline, by group of settings."""
PAIRS = 200
"""In each set of forgeries."""


def settings_of(variant, arguments):
    """The settings of a variant: the baseline's, but for its differences."""
    baseline = {
        "blending": BlendConfig(),
        "data": DataConfig(),
        "network": NetworkConfig("mobilenetv2_100", pretrained=arguments.pretrained, class_head="features"),
        "optim": OptimConfig(iterations=arguments.iterations, batch_size=16, lr=5e-4, xray_weight=20),
        "run": RunConfig(
            precision="bf16-mixed", save_every=50, validate_every=arguments.iterations, validation_pairs=PAIRS // 4
        ),
    }
    return {name: replace(group, **VARIANTS[variant].get(name, {})) for name, group in baseline.items()}


def forgeries(store):
    """The five sets, drawn once: name → pairs."""
    default, clean = BlendConfig(), replace(BlendConfig(), degradations={})
    configs = {
        "BI degraded": replace(default, mode="bi"),
        "BI clean": replace(clean, mode="bi"),
        "SBI degraded": replace(default, mode="sbi"),
        "SBI clean": replace(clean, mode="sbi"),
        "unseen blends": unseen(default),
    }
    drawn = {name: BlendedPairs(config, store, None, VALIDATION_SEED + 1) for name, config in configs.items()}
    return {name: [pairs[index] for index in range(PAIRS)] for name, pairs in drawn.items()}


def scores_of(net, fabric, pairs):
    """Scores (2N,) of the class head and of the X-ray's top-k."""
    classes, pooled = [], []
    for start in range(0, len(pairs), 8):
        with torch.no_grad(), fabric.autocast():
            output = net(collate(pairs[start : start + 8]).batch[0])
        classes.append(output.class_logits.float().softmax(1)[:, 1])
        pooled.append(pool_xray(output.xray_logits.float().sigmoid(), "top_k"))
    return {"class": torch.cat(classes).numpy(), "X-ray": torch.cat(pooled).numpy()}


def measure(run, fabric, sets):
    """AUC and its 95 % interval over people, of both scores on every set."""
    net, labels, figures = load_model(run)[0], np.tile([0, 1], PAIRS), {}
    for name, pairs in sets.items():
        faces = [sample.recipe.background for pair in pairs for sample in pair]
        for score, values in scores_of(net, fabric, pairs).items():
            figures[f"{name}, {score}"] = list(summary(labels, values, faces)["AUC"].values())
    return figures


def table(results):
    """The class score's figures as Markdown; behind each AUC, its half interval."""
    sets = [key.removesuffix(", class") for key in next(iter(results.values()))["figures"] if key.endswith(", class")]
    lines = [f"| variant | {' | '.join(sets)} | top-k of the X-ray, BI clean |", "|---" * (len(sets) + 2) + "|"]
    for variant, result in results.items():
        keys = [*(f"{name}, class" for name in sets), "BI clean, X-ray"]
        cells = [f"{value:.3f} ± {(high - low) / 2:.3f}" for value, low, high in map(result["figures"].get, keys)]
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("val_store", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pretrained", default="hub", help="file of MobileNetV2's ImageNet weights")
    parser.add_argument("--iterations", type=int, default=200, help="of 16 images")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    arguments = parser.parse_args()
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    sets, results = forgeries(FaceStore(arguments.val_store)), {}
    for variant in arguments.only:
        folder = arguments.out / f"{variant.replace(' ', '-')}-{arguments.seed}"
        if not (folder / "figures.json").exists():
            settings = settings_of(variant, arguments)
            train(arguments.store, folder, arguments.val_store, **settings, seed=arguments.seed, resume="auto")
            about = provenance("benchmarks/experiments.py", vars(arguments))
            figures = {**about, "variant": variant, "figures": measure(folder, fabric, sets)}
            write_bytes(folder / "figures.json", json.dumps(figures, indent=1).encode())
        results[variant] = json.loads((folder / "figures.json").read_text())
    print(table(results))


if __name__ == "__main__":
    main()
