from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.calibration import KEPT, calibrate


def drawn(temperature: float, count: int = 4000, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels that are drawn by their softmax at `temperature`: that is what calibration is to find."""
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(count, classes))
    exponentials = np.exp(logits / temperature)
    chances = exponentials / exponentials.sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) < rng.random(count)[:, None]).sum(axis=1)
    return logits, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature):
    assert calibrate(*drawn(temperature)).temperature == pytest.approx(temperature, rel=0.08)


def test_of_the_right_answers_as_many_are_kept_as_is_promised():
    logits, labels = drawn(1.5)
    found = calibrate(logits, labels)
    exponentials = np.exp(logits / found.temperature)
    confidence = (exponentials / exponentials.sum(axis=1, keepdims=True)).max(axis=1)
    right = logits.argmax(axis=1) == labels
    kept = confidence[right] >= found.reject_below
    assert KEPT - 0.001 < kept.mean() < KEPT + 0.01
    assert (confidence[~right] >= found.reject_below).mean() < kept.mean()  # more of the wrong ones are withheld


def test_a_head_that_is_always_right_is_not_taken_for_infallible():
    found = calibrate(np.tile(np.eye(4) * 10, (5, 1)), np.tile(np.arange(4), 5))
    confidence = 1 / (1 + 3 * np.exp(-10 / found.temperature))
    assert confidence == pytest.approx(21 / 22, abs=0.002)  # of twenty right ones, one more right and one wrong
    assert 0.9 < found.reject_below < confidence


def test_a_head_that_is_never_right_withholds_nothing():
    assert calibrate(np.eye(4) * 10, np.array([1, 2, 3, 0])).reject_below == 0
