"""What do float32 gradients of depthwise convolutions save of a training step on this CPU? See training/depthwise.py.

    python benchmarks/depthwise.py [BACKBONE ...]

Takes steps of 16 random views in bfloat16, in turns with and without them, and prints the median of the rounds' ratios.
"""

import argparse
import time
from statistics import median
from unittest.mock import patch

import torch

from facexray.training.config import NetworkConfig
from facexray.training.speed import Trainee
from facexray.workers import keep_memory

ROUNDS, STEPS = 5, 3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbones", nargs="*", default=["mobilenetv2_100", "efficientnet_b0", "efficientnet_b4"])
    arguments = parser.parse_args()
    keep_memory()
    torch.manual_seed(0)
    batch = torch.rand(16, 3, 256, 256), torch.rand(16, 256, 256) / 5, torch.arange(16) % 2
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads")
    for backbone in arguments.backbones:
        network = NetworkConfig(backbone, class_head="features")
        ours = Trainee(network, "bf16-mixed", torch.channels_last)
        with patch("facexray.training.backbone.quicken_depthwise"):
            usual = Trainee(network, "bf16-mixed", torch.channels_last)
        pace = {ours: [], usual: []}
        for _ in range(ROUNDS + 1):
            for trainee, seconds in pace.items():
                began = time.perf_counter()
                for _ in range(STEPS):
                    trainee.step(batch)
                seconds.append((time.perf_counter() - began) / STEPS)
        ratio = median(slow / fast for fast, slow in zip(pace[ours][1:], pace[usual][1:], strict=True))
        with_, without = (16 / median(seconds[1:]) for seconds in pace.values())
        print(f"{backbone}: {with_:.1f} images/s, without {without:.1f}, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
