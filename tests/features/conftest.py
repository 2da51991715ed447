"""Backbones that tests of features share."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.config import Cell
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone
from tests.features_of_noise import CELL


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    """Weights as varied as trained ones: freshly drawn MobileNet features vanish."""
    drawn = backbones.load(CELL, "none")
    rng = np.random.default_rng(1)
    weights = [
        rng.normal(0, 0.3, w.shape) if w.ndim > 1 else np.abs(rng.normal(1, 0.1, w.shape))
        for w in drawn.model.get_weights()
    ]
    drawn.model.set_weights(weights)
    return drawn


@pytest.fixture(scope="session")
def broken(backbone) -> Backbone:
    """With weights that are no numbers."""
    other = backbones.load(CELL, "none")
    other.model.set_weights([weight * np.nan for weight in backbone.model.get_weights()])
    return other


@pytest.fixture(scope="session")
def larger(backbone) -> Backbone:
    """The same weights at another resolution."""
    other = backbones.load(Cell(0.25, 48), "none")
    other.model.set_weights(backbone.model.get_weights())
    return other
