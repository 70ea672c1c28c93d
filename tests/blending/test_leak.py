"""Design rule 1: nothing but the blend may tell real from fake.

Fakes whose mask is zero went the fakes' whole way, foreground, colours, blend and all, and nothing was blended in. They
must be their real twins to the byte, and a trivial classifier on statistics that resampling, blur, noise, rounding and
codecs disturb must not tell a set of them from a set of reals. That the same classifier does find the fault of the
authors' generator, which resamples its fakes alone, is the control.
"""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import scipy.fft
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from facexray.blending import generate
from facexray.blending.blend import BLENDS
from facexray.blending.colour import COLOURS
from facexray.blending.config import MODES, BlendConfig
from facexray.blending.generate import MIN_MASK, draw_sample, render, sample_rng
from facexray.blending.mask import make_mask
from facexray.blending.recipe import draw_recipe
from facexray.errors import BlendError
from facexray.faces.crop import VIEW_SIZE

PRESETS = ["default", "generator", "paper", "sbi"]
EACH = 250
"""Samples of each class: the AUC of a classifier that knows nothing then has a standard error of 0.026."""
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
        grey.mean(),
        *rings,
    ]
    return np.log(np.array(values) + 1e-6)


def separability(real, fake):
    """AUC of a logistic regression on the half that it was not trained on, both ways round."""
    features = np.concatenate([real, fake])
    labels = np.repeat([0, 1], [len(real), len(fake)])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=1000))
    halves = StratifiedKFold(2, shuffle=True, random_state=0)
    return cross_val_score(model, features, labels, scoring="roc_auc", cv=halves).mean()


@pytest.fixture
def zero_masks(monkeypatch):
    """Every mask is zero, in the box of the mask that was drawn; what is drawn again for its mask still is."""

    def zero(recipe, landmarks, region):
        mask, box = make_mask(recipe, landmarks, region)
        covered = (mask > 127).sum() / (region[2] - region[0]) ** 2
        if not MIN_MASK <= covered < 1:
            raise BlendError("drawn again")
        return np.zeros_like(mask), box

    monkeypatch.setattr(generate, "make_mask", zero)
    monkeypatch.setattr(generate, "MIN_MASK", 0.0)


def unblended(config, pool, faces):
    """Statistics of samples drawn half real, half fake by a config: reals and fakes, each (EACH, features)."""
    found = ([], [])
    index = 0
    while min(map(len, found)) < EACH:
        sample = draw_sample(config, pool, faces, 5, 0, index)
        assert not sample.mask_levels.any()
        found[sample.label].append(statistics(sample.image))
        index += 1
    return found[0][:EACH], found[1][:EACH]


@pytest.mark.parametrize("preset", PRESETS)
def test_fakes_without_a_blend_cannot_be_told_from_reals(preset, zero_masks, pool, faces):
    assert separability(*unblended(BlendConfig.preset(preset), pool, faces)) == pytest.approx(0.5, abs=0.1)


def test_the_same_classifier_finds_a_resampling_that_only_fakes_have(zero_masks, pool, faces):
    config = replace(BlendConfig.preset("generator"), reproduce_resampling_leak=True)
    assert separability(*unblended(config, pool, faces)) > 0.7


@pytest.mark.parametrize("preset", [*PRESETS, "everything"])
def test_a_fake_of_zero_mask_is_its_real_twin_byte_for_byte(preset, zero_masks, pool, faces, everything):
    config = everything if preset == "everything" else BlendConfig.preset(preset)
    for index in range(12):
        recipe = draw_recipe(replace(config, real_prob=0), pool, sample_rng(6, 0, index))
        fake = render(replace(recipe, leak_px=0), faces)
        assert fake.label == 1
        np.testing.assert_array_equal(fake.image, render(recipe.as_real(), faces).image)


@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("mode", MODES)
def test_a_fake_of_zero_ratio_is_its_real_twin_byte_for_byte(mode, blend, pool, faces, everything):
    """With the mask as it is: what the foreground, its colours or its blend leave in the fake would be seen."""
    for index, colour in enumerate(COLOURS):
        config = replace(
            everything, mode=mode, blend=blend, colour=colour, real_prob=0, reproduce_resampling_leak=False
        )
        fake = render(replace(draw_recipe(config, pool, sample_rng(8, 0, index)), ratio=0.0), faces)
        assert fake.mask_levels.max() > 200
        np.testing.assert_array_equal(fake.image, render(fake.recipe.as_real(), faces).image)
