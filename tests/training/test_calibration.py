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


def test_what_is_told_apart_widely_or_narrowly_is_calibrated_alike():
    logits, labels = drawn(1.5)
    plain = calibrate(logits, labels)
    for scale in (1e-6, 1e5):
        found = calibrate(scale * logits, labels)
        assert found.temperature == pytest.approx(scale * plain.temperature, rel=0.01)
        assert found.reject_below == pytest.approx(plain.reject_below, abs=0.002)


def test_one_wrong_label_far_off_does_not_make_all_probabilities_the_same():
    logits = np.tile([[6.0, 0.0], [0.0, 6.0]], (20, 1))
    labels = np.tile([0, 1], 20)
    logits[0] *= 200
    labels[0] = 1
    found = calibrate(logits, labels)
    assert 1 / (1 + np.exp(-6 / found.temperature)) > 0.75
    assert 0.5 < found.reject_below < 0.95
