"""What the tests of training share: one run of six iterations, on the CPU."""

import pytest
import torch

from facexray.blending.config import BlendConfig
from facexray.faces.prepare import prepare
from facexray.faces.store import FaceStore
from facexray.faces.store_writer import StoreWriter
from facexray.images import read_image, write_image
from facexray.training.command import train
from facexray.training.config import NetworkConfig, OptimConfig, RunConfig


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """On a busy machine torch's threads wait for one another: one alone is many times faster."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(store, portraits, tmp_path_factory):
    """Settings of `train` for six iterations; for want of more people, validation has other pictures of the two."""
    folder = tmp_path_factory.mktemp("darker")
    for person, path in portraits.items():
        for factor in (2, 3):
            write_image(folder / f"{person}-{factor}.png", read_image(path) // factor)
    validation = tmp_path_factory.mktemp("validation") / "store"
    prepare([folder], validation, identity=r"(.+)-")
    table = FaceStore(validation)
    with StoreWriter(validation, {}) as writer:
        for sha256, person in zip(table.column("sha256"), table.column("identity"), strict=True):
            writer.identify(sha256, f"{person} in the dark")
    return {
        "store": store.path,
        "val_store": validation,
        "blending": BlendConfig(candidates=10),
        "network": NetworkConfig(backbone="test_efficientnet", class_head="features"),  # the smallest pyramid there is
        "optim": OptimConfig(iterations=6, batch_size=4, lr=1e-3, xray_weight=20),
        "run": RunConfig(accelerator="cpu", workers=0, save_every=3, validate_every=3, validation_pairs=4, log_every=1),
        "seed": 5,
    }


@pytest.fixture(scope="session")
def tiny_run(tiny, tmp_path_factory):
    """The folder of that run. Tests read it and never write."""
    return train(out=tmp_path_factory.mktemp("runs") / "tiny", **tiny)
