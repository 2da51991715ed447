"""Scaled training leaves no trace in the head."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.heads import Head
from pipeline.training.scaling import Scaling


@pytest.fixture
def features() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (3 + rng.normal(size=(50, 6)) * [0.1, 0.2, 0.3, 0.1, 0.2, 0.3]).astype(np.float32)


@pytest.fixture
def head() -> Head:
    rng = np.random.default_rng(1)
    return Head(rng.normal(size=(6, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32))


def test_scaled_features_are_centred_and_vary_by_one_on_average(features):
    scaled = Scaling.of(features).apply(features)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    assert scaled.std(axis=0).mean() == pytest.approx(1, rel=1e-4)
    assert scaled.std(axis=0).max() / scaled.std(axis=0).min() > 2  # variances relative to each other stay


def test_a_head_answers_alike_on_both_sides(features, head):
    scaling = Scaling.of(features)
    there = scaling.onto_scaled(head)
    plain = features @ head.kernel + head.bias
    np.testing.assert_allclose(scaling.apply(features) @ there.kernel + there.bias, plain, atol=1e-4)
    back = scaling.onto_plain(there)
    np.testing.assert_allclose(back.kernel, head.kernel, rtol=1e-5)
    np.testing.assert_allclose(back.bias, head.bias, atol=1e-4)
