"""What the tests of blending share: the session's six faces in memory, read-only, the pool they are drawn from, and a
config in which everything is switched on."""

from types import SimpleNamespace

import numpy as np
import pytest

from facexray.blending.align import ALIGNMENTS, INTERPOLATIONS
from facexray.blending.blend import BLENDS
from facexray.blending.colour import COLOURS
from facexray.blending.config import MODES, SOFTENINGS, BlendConfig, Chance
from facexray.blending.deform import SPLINES
from facexray.blending.degrade import DEGRADATIONS, RESAMPLINGS, SUBSAMPLINGS
from facexray.faces.neighbours import FacePool


@pytest.fixture(scope="session")
def pool(store):
    return FacePool.of(store)


@pytest.fixture(scope="session")
def faces(store):
    """The store's faces; whoever writes into a crop or its landmarks is told so by NumPy."""
    crops = [store.crop(index) for index in range(len(store))]
    landmarks = np.array(store.landmarks)
    for array in (*crops, landmarks):
        array.setflags(write=False)
    return SimpleNamespace(index_of=store.index_of, landmarks=landmarks, crop=crops.__getitem__)


@pytest.fixture(scope="session")
def everything():
    """Every mode, hull, spline, softening, colour, blend, degradation, kernel and flip; the authors' leak as well."""
    mild = {
        "shading": (0, 0.3),
        "blur": (0.3, 2),
        "denoise": (2, 15),
        "sharpen": (0, 1),
        "resample": (0.3, 1),
        "gaussian_noise": (1, 8),
        "poisson_noise": (100, 5000),
        "brightness": (-25, 25),
        "contrast": (0.8, 1.2),
        "hue": (-15, 15),
        "saturation": (0.5, 1.5),
        "webp": (30, 100),
        "h264": (15, 40),
        "jpeg": (30, 100),
        "blocks": (0, 20),
    }
    assert list(mild) == list(DEGRADATIONS)
    return BlendConfig(
        mode=dict.fromkeys(MODES, 1.0),
        align=dict.fromkeys(ALIGNMENTS, 1.0),
        jitter_angle_deg=8.0,
        jitter_others=True,
        interpolation=dict.fromkeys(INTERPOLATIONS, 1.0),
        grid_nodes_range=(2, 6),
        grid_spline=dict.fromkeys(SPLINES, 1.0),
        soften=dict.fromkeys(SOFTENINGS, 1.0),
        colour=dict.fromkeys(COLOURS, 1.0),
        blend=dict.fromkeys(BLENDS, 1.0),
        degradations={kind: Chance(0.3, *amounts) for kind, amounts in mild.items()},
        resample_kernels=dict.fromkeys(RESAMPLINGS, 1.0),
        jpeg_subsampling=dict.fromkeys(SUBSAMPLINGS, 1.0),
        window_range_px=(210, 310),
        flip_vertical_prob=0.3,
        reproduce_resampling_leak=True,
    )
