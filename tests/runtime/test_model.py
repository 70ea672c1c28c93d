import re

import numpy as np
import pytest

from facexray.errors import ModelError
from facexray.images import read_image
from facexray.runtime import weights
from facexray.runtime.model import CONVENTION, XrayModel
from facexray.runtime.weights import SHA256, shipped_path


@pytest.fixture(scope="module", params=sorted(SHA256))
def shipped(request):
    return XrayModel.load(request.param)


def test_every_shipped_model_has_a_card_with_the_same_figures(shipped):
    card = shipped_path(shipped.name).with_suffix(".md").read_text()
    assert shipped.sha256 in card
    assert f"real below {shipped.thresholds.real_below}" in card
    for measures in shipped.card["validation"].values():
        assert f"{measures['AUC']:.3f}" in card
    assert shipped.card["convention"] == CONVENTION
    assert not re.search(r"(/home|/root|/work|/tmp)/", card)


def test_a_shipped_model_has_learned(shipped):
    assert shipped.card["validation"]["degraded"]["AUC"] >= 0.80
    assert shipped.card["validation"]["clean"]["AUC"] >= 0.80


def test_predictions_are_probabilities_and_do_not_depend_on_the_batch(shipped, store):
    views = np.stack([store.crop(i)[30:286, 30:286] for i in range(len(store))])
    views = np.concatenate([views, views, views, views])  # more than one batch
    together = shipped.predict(views)
    assert together.scores.shape == (len(views),)
    assert together.xrays.shape == (len(views), 256, 256)
    for values in (together.scores, together.xrays):
        assert values.min() >= 0
        assert values.max() <= 1
    alone = [shipped.predict(view[None]).scores[0] for view in views[: len(store)]]
    assert np.allclose(together.scores[-len(store) :], alone, atol=1e-5)


def test_no_views_give_no_scores(shipped):
    prediction = shipped.predict(np.zeros((0, 256, 256, 3), np.uint8))
    assert prediction.scores.shape == (0,)


def test_the_channel_order_is_rgb(shipped, portraits):
    """A model trained on RGB scores swapped channels differently: the order is not lost on the way."""
    view = np.ascontiguousarray(read_image(portraits["hopper"])[100:356, 130:386])
    assert abs(shipped.predict(view[None]).scores[0] - shipped.predict(view[None, ..., ::-1]).scores[0]) > 1e-3


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ModelError, match="default, mobilenetv2_100"):
        XrayModel.load("nobody")


def test_a_shipped_file_that_was_changed_is_refused(tmp_path, monkeypatch):
    name = weights.DEFAULT
    monkeypatch.setitem(SHA256, name, "0" * 64)
    with pytest.raises(ModelError, match="SHA-256 differs"):
        XrayModel.load(name)
