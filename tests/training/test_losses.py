"""The loss, computed by hand in NumPy."""

import math

import numpy as np
import pytest
import torch

from facexray.training.losses import face_xray_loss
from facexray.training.network import FaceXrayOutput

SIZE = 16


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    logits, classes = rng.normal(0, 2, (3, SIZE, SIZE)), rng.normal(0, 2, (3, 2))
    xray = rng.random((3, SIZE, SIZE)) * (rng.random((3, SIZE, SIZE)) < 0.4)
    return logits, classes, xray, np.array([0, 1, 1])


def loss_of(logits, classes, xray, labels, weight=100.0, dtype=torch.float32):
    output = FaceXrayOutput(*(torch.tensor(np.asarray(part), dtype=dtype) for part in (logits, classes)), [])
    return face_xray_loss(output, torch.tensor(xray, dtype=torch.float32), torch.tensor(labels), weight)


@pytest.mark.parametrize("weight", [0.0, 1.0, 100.0])
def test_equals_the_hand_computation(drawn, weight):
    logits, classes, xray, labels = drawn
    p = 1 / (1 + np.exp(-logits))
    l_b = -(xray * np.log(p) + (1 - xray) * np.log(1 - p)).mean()
    soft = xray[(xray > 0) & (xray < 1)]
    entropy = -(soft * np.log(soft) + (1 - soft) * np.log(1 - soft)).sum() / xray.size
    l_c = np.mean([-math.log(math.exp(c[y]) / sum(map(math.exp, c))) for c, y in zip(classes, labels, strict=True)])
    losses = loss_of(*drawn, weight)
    assert losses.total.item() == pytest.approx(weight * l_b + l_c, rel=1e-5)
    assert losses.xray_excess.item() == pytest.approx(l_b - entropy, rel=1e-5)
    assert losses.classes.item() == pytest.approx(l_c, rel=1e-5)


def test_a_perfect_xray_has_no_excess(drawn):
    _, _, xray, labels = drawn
    clipped = np.clip(xray, 1e-9, 1 - 1e-9)
    perfect = np.log(clipped / (1 - clipped))
    right = np.where(labels[:, None] == [0, 1], 30.0, -30.0)
    losses = loss_of(perfect, right, xray, labels)
    assert losses.xray_excess.item() == pytest.approx(0, abs=1e-5)
    assert losses.classes.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_excess_is_never_negative(seed):
    rng = np.random.default_rng(seed)
    logits, xray = rng.normal(0, 5, (2, SIZE, SIZE)), rng.random((2, SIZE, SIZE))
    assert loss_of(logits, np.zeros((2, 2)), xray, [0, 1]).xray_excess.item() > 0


def test_a_real_view_without_xray_costs_ln_2_where_nothing_is_known():
    losses = loss_of(np.zeros((1, SIZE, SIZE)), np.zeros((1, 2)), np.zeros((1, SIZE, SIZE)), [0])
    assert losses.xray_excess.item() == pytest.approx(math.log(2))
    assert losses.classes.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_huge_logits_stay_finite_also_in_half_precision(drawn, size, dtype):
    _, _, xray, labels = drawn
    logits = np.where(xray > 0, size, -size)
    for sign in (1, -1):
        losses = loss_of(sign * logits, sign * size * np.array([[1, -1]] * 3), xray, labels, dtype=dtype)
        assert all(math.isfinite(value.item()) for value in losses)
        assert losses.total.dtype == torch.float32


def test_bfloat16_is_summed_in_float32(drawn):
    exact, rough = loss_of(*drawn), loss_of(*drawn, dtype=torch.bfloat16)
    assert rough.xray_excess.item() == pytest.approx(exact.xray_excess.item(), rel=5e-3)


def test_only_the_total_carries_a_gradient(drawn):
    logits, classes, xray, labels = drawn
    output = FaceXrayOutput(*(torch.tensor(part, requires_grad=True) for part in (logits, classes)), [])
    losses = face_xray_loss(output, torch.tensor(xray, dtype=torch.float32), torch.tensor(labels), 100.0)
    assert not losses.xray_excess.requires_grad
    assert not losses.classes.requires_grad
    losses.total.backward()
    expected = 100 * (1 / (1 + np.exp(-logits)) - xray) / xray.size  # d BCE / d logit = p − target
    np.testing.assert_allclose(output.xray_logits.grad, expected, rtol=1e-3, atol=1e-6)
