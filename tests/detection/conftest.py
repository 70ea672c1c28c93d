import numpy as np
import pytest

from facexray.runtime.model import Prediction, Thresholds, XrayModel


class FixedModel(XrayModel):
    """Gives scores in turn, and an X-ray with one bright row."""

    def __init__(self, *scores):
        self.scores = list(scores)
        self.thresholds = Thresholds(real_below=0.3, fake_above=0.7)
        self.name, self.sha256, self.engine, self.card = "fixed", "0" * 64, "none, fp32", {}
        self.seen = []

    def predict(self, views):
        self.seen += list(views)
        scores = [self.scores[(len(self.seen) - len(views) + i) % len(self.scores)] for i in range(len(views))]
        xrays = np.zeros((len(views), 256, 256), np.float32)
        xrays[:, 100] = 1
        return Prediction(np.array(scores, np.float32), xrays)


@pytest.fixture
def fixed():
    """A function that makes a model which gives these scores in turn."""
    return FixedModel
