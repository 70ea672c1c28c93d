"""Calibration: what is fitted, on whom it is measured, and that the network's own scores are the calibrated ones."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from facexray.training.calibration import calibrate, fit_calibration
from facexray.training.config import NetworkConfig
from facexray.training.network import FaceXrayNet


@pytest.fixture
def overconfident():
    """Scores whose logits are three times too large and shifted by one; 400 people of five images each."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1.5, 2000)
    labels = (rng.random(2000) < expit(true)).astype(int)
    return labels, expit(3 * true + 1), [str(i // 5) for i in range(2000)]


def test_takes_back_what_was_overdone(overconfident):
    calibration = fit_calibration(*overconfident)
    assert calibration.scale == pytest.approx(1 / 3, abs=0.03)
    assert calibration.shift == pytest.approx(-1 / 3, abs=0.12)
    assert calibration.ece_before > 0.1
    assert calibration.ece_after < 0.04


def test_is_the_likeliest(overconfident):
    labels, scores, people = overconfident
    signs = np.where(labels, 1, -1)
    found = minimize(lambda ab: -log_expit(signs * (ab[0] * logit(scores) + ab[1])).sum(), (1.0, 0.0)).x
    calibration = fit_calibration(labels, scores, people)
    np.testing.assert_allclose((calibration.scale, calibration.shift), found, atol=1e-3)


def test_nobody_is_measured_by_a_fit_on_them():
    """Each person's images agree, and people differ at random: a fit on them would know, one on others cannot."""
    rng = np.random.default_rng(1)
    labels = np.repeat(rng.permutation([0, 1] * 4), 50)
    scores = np.repeat(rng.uniform(0.3, 0.7, 8), 50)
    people = np.repeat(np.arange(8), 50).astype(str).tolist()
    assert fit_calibration(labels, scores, people).ece_after > 0.2


def test_one_person_calibrates_nothing(overconfident):
    labels, scores, people = overconfident
    calibration = fit_calibration(labels, scores, ["all of them"] * len(people))
    assert (calibration.scale, calibration.shift) == (1, 0)
    assert calibration.ece_after == calibration.ece_before


def test_scores_of_exactly_0_and_1_are_taken(overconfident):
    labels, scores, people = overconfident
    calibration = fit_calibration(labels, scores.round(2), people)
    assert np.isfinite(calibration.apply([0.0, 1.0])).all()


@pytest.mark.parametrize("class_head", ["paper", "features"])
def test_the_network_gives_calibrated_scores(class_head, overconfident):
    calibration = fit_calibration(*overconfident)
    torch.manual_seed(0)
    net = FaceXrayNet(NetworkConfig(backbone="hrnet_w18_small", class_head=class_head)).eval()
    views = torch.rand(3, 3, 256, 256)
    with torch.no_grad():
        net.class_head.weight.mul_(20 if class_head == "paper" else 0.05)
        before = net(views).class_logits.softmax(1)[:, 1].numpy()
        calibrate(net, calibration)
        after = net(views).class_logits.softmax(1)[:, 1].numpy()
    assert np.abs(after - before).max() > 0.05
    np.testing.assert_allclose(after, calibration.apply(before), atol=1e-5)


def test_a_model_no_better_than_chance_is_left_as_it_is(overconfident):
    labels, scores, people = overconfident
    calibration = fit_calibration(labels, 1 - scores, people)
    assert (calibration.scale, calibration.shift) == (1, 0)
    assert calibration.ece_after == calibration.ece_before
