"""The compiled passes against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from pipeline.training.compiled import SCORED_AT_ONCE, score

HEADS, CLASSES, WIDTH = 2, 3, 4


def drawn(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features, kernel = rng.normal(size=(rows, WIDTH)), rng.normal(size=(WIDTH, HEADS, CLASSES))
    bias, labels = rng.normal(size=(HEADS, CLASSES)), rng.integers(CLASSES, size=rows)
    return features.astype(np.float32), labels.astype(np.int32), kernel.astype(np.float32), bias.astype(np.float32)


@pytest.mark.parametrize("rows", [1, SCORED_AT_ONCE, 2 * SCORED_AT_ONCE + 1])
def test_every_row_is_scored_once_however_many_slices_they_make(rows):
    features, labels, kernel, bias = drawn(rows)
    losses, hits = score(features, labels, kernel, bias)
    for head in range(HEADS):
        log_probabilities = log_softmax(features @ kernel[:, head] + bias[head], axis=1)
        right = labels[log_probabilities.argmax(axis=1) == labels]
        np.testing.assert_allclose(losses[head], -log_probabilities[np.arange(rows), labels].sum(), rtol=1e-4)
        np.testing.assert_array_equal(hits[head], np.bincount(right, minlength=CLASSES))


def test_a_row_without_a_label_counts_for_nothing():
    features, labels, kernel, bias = drawn(40)
    labels[30:] = -1
    for found, wanted in zip(
        score(features, labels, kernel, bias), score(features[:30], labels[:30], kernel, bias), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
