"""One fit of Keras' own `fit` on its way: its logs become our curves."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from pipeline.config import Aim
from pipeline.training.fit import Course, Watch, go_on, remaining
from pipeline.training.schedules import Schedule


class BalancedAccuracy(keras.metrics.Metric):
    """The mean of the accuracies of the classes that occur."""

    def __init__(self, classes: int) -> None:
        super().__init__(name="balanced")
        self._pictures, self._right = (self.add_variable((classes,), "zeros") for _ in range(2))

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: object = None) -> None:
        """Of labels one-hot (n, C) and probabilities (n, C); every picture counts for one."""
        hits = tf.cast(tf.argmax(y_true, axis=1) == tf.argmax(y_pred, axis=1), tf.float32)
        of_class = tf.cast(y_true, tf.float32)
        self._pictures.assign_add(tf.reduce_sum(of_class, axis=0))
        self._right.assign_add(tf.reduce_sum(of_class * hits[:, None], axis=0))

    def result(self) -> tf.Tensor:
        """A fraction."""
        there = tf.cast(self._pictures.value > 0, tf.float32)
        return tf.reduce_sum(self._right / tf.maximum(self._pictures, 1.0)) / tf.reduce_sum(there)


class Recorder(keras.callbacks.Callback):
    """Files every epoch in `course`, moves the learning rate, and stops where the watch or a broken loss says so.

    Args:
        index: which of the configs this is, for the watch.
        aim, anneals: see Course.
    """

    def __init__(
        self, schedule: Schedule, watch: Watch = go_on, index: int = 0, aim: Aim = "top1", anneals: bool = False
    ) -> None:
        super().__init__()
        self._schedule, self._watch = schedule, watch
        self.course: Course[list[np.ndarray]] = Course(index, aim, anneals)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Sets the learning rate."""
        self.model.optimizer.learning_rate = float(self._schedule.rates[0])

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keras' logs become scores under our names."""
        logs = logs or {}
        names = {
            "train_loss": "loss",
            "train_top1": "accuracy",
            "val_loss": "val_loss",
            "val_top1": "val_accuracy",
            "val_balanced_top1": "val_balanced",
        }
        row = {name: float(logs[key]) for name, key in names.items() if key in logs}
        row["learning_rate"] = float(self._schedule.rates[0])
        self.course.add(row, self.model.get_weights)
        self._schedule.step(np.array([row["val_loss"]]) if "val_loss" in row else None)
        if not remaining([self.course], self._watch, self.params["epochs"]):
            self.model.stop_training = True
