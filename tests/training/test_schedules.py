"""Learning rates, epoch by epoch and head by head."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from pipeline.config import PLATEAU_FACTOR, PLATEAU_MIN_DELTA, PLATEAU_PATIENCE, TrainConfig
from pipeline.training import schedules

CONFIG = TrainConfig(dataset="digits", epochs=4, lr_schedule="plateau")


def rates(schedule, losses) -> np.ndarray:
    """(epochs, K): the rates that an epoch with each of `losses` was trained with."""
    seen = []
    for loss in losses:
        seen.append(schedule.rates)
        schedule.step(np.array(loss))
    return np.array(seen)


def test_plateau_is_keras_reduce_lr_on_plateau():
    losses = [1.0, 0.9, 0.89995, 0.9, 0.8, 0.81, 0.82, 0.83, 0.7999, 0.85, 0.86, 0.7]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1))
    callback = keras.callbacks.ReduceLROnPlateau(
        factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE, min_delta=PLATEAU_MIN_DELTA
    )
    callback.set_model(model)
    callback.on_train_begin()
    theirs = []
    for epoch, loss in enumerate(losses):
        theirs.append(float(model.optimizer.learning_rate.numpy()))
        callback.on_epoch_end(epoch, {"val_loss": loss})
    ours = rates(schedules.of([dataclasses.replace(CONFIG, learning_rate=0.1)]), [[loss] for loss in losses])
    np.testing.assert_allclose(ours[:, 0], theirs, rtol=1e-6)
    assert ours[-1, 0] < 0.1


def test_each_head_falls_by_its_own_loss():
    schedule = schedules.of([CONFIG, CONFIG])
    seen = rates(schedule, [[1.0, 1.0], [0.5, 1.0], [0.2, 1.0], [0.1, 1.0]])
    assert seen[-1].tolist() == [0.001, 0.0005]


def test_constant_stays_and_cosine_falls_to_nearly_nothing():
    constant, cosine = (
        rates(schedules.of([dataclasses.replace(CONFIG, lr_schedule=kind)]), [[1.0]] * 4)[:, 0]
        for kind in ("constant", "cosine")
    )
    np.testing.assert_allclose(constant, 1e-3)
    np.testing.assert_allclose(cosine, 5e-4 * (1 + np.cos(np.pi * np.arange(4) / 4)))


def test_a_replay_gives_back_the_curve():
    curve = np.array([[0.3], [0.2], [0.1]])
    np.testing.assert_array_equal(rates(schedules.Fixed(curve), [[1.0]] * 3), curve)


@pytest.mark.parametrize("kind", ["plateau", "cosine"])
def test_the_heads_that_are_kept_fall_as_before(kind):
    configs = [dataclasses.replace(CONFIG, learning_rate=rate, lr_schedule=kind, epochs=8) for rate in (0.1, 0.2, 0.3)]
    losses = np.array([[1.0, 1.0, 1.0], [1.0, 0.9, 0.8], [1.0, 0.9, 0.9], [1.0, 0.9, 0.9], [0.9, 0.9, 0.9]])
    whole, cut = schedules.of(configs), schedules.of(configs)
    expected = rates(whole, losses)
    np.testing.assert_array_equal(rates(cut, losses[:2]), expected[:2])
    cut.keep(np.array([2, 0]))
    np.testing.assert_array_equal(rates(cut, losses[2:, [2, 0]]), expected[2:, [2, 0]])


def test_plateau_without_validation_is_a_mistake():
    with pytest.raises(ValueError, match="validation loss"):
        schedules.of([CONFIG]).step(None)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [({}, "cosine"), ({"protocol": "replication"}, "plateau"), ({"freeze_conv": False, "weights": "none"}, "plateau")],
)
def test_auto_anneals_heads_of_ours(settings, kind):
    config = dataclasses.replace(CONFIG, lr_schedule="auto", **settings)
    assert config.schedule == kind
    assert isinstance(schedules.of([config]), schedules.Plateau) is (kind == "plateau")
