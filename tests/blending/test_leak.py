"""Design rule 1: nothing but the blend may tell real from fake.

Fakes whose mask is zero went the fakes' whole way, and nothing was blended in. A trivial classifier on
statistics that resampling, blur, rounding and JPEG disturb must then find nothing; that the same classifier
does find one more resampling is the control.
"""

import cv2
import numpy as np
import pytest
import scipy.fft
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from facexray.blending import generate
from facexray.blending.degrade import Degradation, degrade
from facexray.blending.generate import draw_sample, render
from facexray.blending.recipe import BlendConfig
from facexray.faces.crop import CROP_SIZE, VIEW_SIZE
from facexray.faces.neighbours import FacePool

EACH = 500
"""Samples of each class: the AUC of a classifier that knows nothing then has a standard error of 0.024."""
BANDS = 8
"""Rings of the spectrum."""

_WINDOW = np.outer(np.hanning(VIEW_SIZE), np.hanning(VIEW_SIZE)).astype(np.float32)
_RADIUS = np.hypot(np.fft.fftfreq(VIEW_SIZE)[:, None], np.fft.rfftfreq(VIEW_SIZE)[None])
_RING = np.digitize(_RADIUS.ravel(), np.linspace(0.03, 0.5, BANDS + 1))


def statistics(image):
    """Residuals, energies of the spectrum's rings and blockiness of a view, each on a logarithmic scale."""
    grey = image.astype(np.float32).mean(axis=2)
    power = np.abs(scipy.fft.rfft2(grey * _WINDOW)) ** 2
    rings = np.bincount(_RING, power.ravel())[1 : BANDS + 1]
    steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    phases = [steps[phase::8].mean() for phase in range(8)]
    residual = grey - cv2.medianBlur(np.rint(grey).astype(np.uint8), 3)
    values = [
        cv2.Laplacian(grey, cv2.CV_32F).std(),
        residual.std(),
        max(phases) / min(phases),
        (np.diff(grey, axis=0) == 0).mean() + 1e-3,
        grey.std(),
        *rings,
    ]
    return np.log(np.array(values) + 1e-6)


def separability(real, fake):
    """AUC of a logistic regression on the half that it was not trained on, both ways round."""
    features = np.stack([statistics(image) for image in (*real, *fake)])
    labels = np.repeat([0, 1], [len(real), len(fake)])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=1000))
    halves = StratifiedKFold(2, shuffle=True, random_state=0)
    return cross_val_score(model, features, labels, scoring="roc_auc", cv=halves).mean()


@pytest.fixture(scope="module")
def pool(store):
    return FacePool.of(store)


@pytest.fixture(scope="module")
def unblended(store, pool):
    """Samples drawn half real, half fake, the fakes' masks all zero: (reals, fakes), each (N, 256, 256, 3)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "_mask", lambda recipe, landmarks: np.zeros((CROP_SIZE, CROP_SIZE), np.float32))
        found = ([], [])
        index = 0
        while min(map(len, found)) < EACH:
            sample = draw_sample(BlendConfig(), pool, store, 5, 0, index)
            assert not sample.xray.any()
            found[sample.label].append(sample.image)
            index += 1
    return found[0][:EACH], found[1][:EACH]


def test_fakes_without_a_blend_cannot_be_told_from_reals(unblended):
    assert separability(*unblended) == pytest.approx(0.5, abs=0.1)


def test_the_same_classifier_finds_a_resampling_that_only_fakes_have(unblended):
    real, fake = unblended
    resampled = [degrade(image, (Degradation("resample", 170),)) for image in fake]
    assert separability(real, resampled) > 0.8


@pytest.mark.parametrize("mode", ["bi", "sbi"])
def test_a_fake_without_a_blend_is_its_real_twin_byte_for_byte(mode, store, pool, monkeypatch):
    monkeypatch.setattr(generate, "_mask", lambda recipe, landmarks: np.zeros((CROP_SIZE, CROP_SIZE), np.float32))
    for index in range(12):
        sample = draw_sample(BlendConfig(mode=mode, real_prob=0), pool, store, 6, 0, index)
        assert sample.label == 1
        np.testing.assert_array_equal(sample.image, render(sample.recipe.as_real(), store).image)
