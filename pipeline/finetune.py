"""Trains the whole network on pictures, with Keras' own `fit` (freeze_conv = false)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from pipeline import backbones, datasets, schedules
from pipeline.backbones import Backbone, preprocess
from pipeline.config import Augment, TrainConfig
from pipeline.datasets import Dataset
from pipeline.fits import Course, Fit, Watch, go_on, remaining
from pipeline.schedules import Schedule
from pipeline.transfer import start_head

# Keras' 0.99 keeps validation at chance for the first hundred steps of a small data set: its moving averages still
# hold their initial values then.
BATCHNORM_MOMENTUM = 0.9
CACHE_BYTES = 2 * 2**30  # decoded pictures are kept in memory up to this size, and decoded in every epoch beyond it
SCORED_AT_ONCE = 32  # pictures of a validation batch
CROP_MARGIN = 8  # pictures are padded by 1/8 of their side (4 of 32 px, as is usual for CIFAR-10) and cropped again


@dataclass(frozen=True)
class Network:
    """Weights of a backbone and its head, in Keras' order."""

    weights: list[np.ndarray]


class NetworkTrainer:
    """One cell of one data set, ready to train whole networks; the counterpart of transfer.HeadTrainer."""

    def __init__(self, config: TrainConfig, dataset: Dataset) -> None:
        self._dataset = dataset
        self._cut = datasets.cut(dataset.train, config.val_fraction, config.seed)
        keras.utils.set_random_seed(config.seed)
        with _mixed_precision_on_a_gpu():
            self.backbone = backbones.load(config.cell, config.weights)
        self._start = self._network(self.backbone, config).get_weights()

    def fit(self, configs: Sequence[TrainConfig], watch: Watch = go_on) -> list[Fit[Network]]:
        """Trains one network for each of `configs` on `train`, scored on `val`; one after another."""
        return [
            self._fit(config, *self._cut, _Recorder(schedules.of([config]), watch, index))
            for index, config in enumerate(configs)
        ]

    def refit(self, config: TrainConfig, rates: np.ndarray) -> Fit[Network]:
        """Trains on train + val, replaying `rates` (epochs,), the learning rates of an earlier fit.

        Raises UserError where the loss stops being a number.
        """
        config = dataclasses.replace(config, epochs=len(rates))
        rows = np.arange(len(self._dataset.train))
        fit = self._fit(config, rows, None, _Recorder(schedules.Fixed(rates[:, None])))
        fit.require_finite()
        return fit

    def model(self, trained: Network) -> keras.Model:
        """uint8 pictures of any size -> probabilities, in single precision however it was trained."""
        *convolutions, kernel, bias = trained.weights
        backbone = backbones.load(self.backbone.cell, "none")
        backbone.model.set_weights(convolutions)
        return backbones.with_head(backbone, kernel, bias)

    def _fit(
        self,
        config: TrainConfig,
        train_rows: np.ndarray,
        val_rows: np.ndarray | None,
        recorder: _Recorder,
    ) -> Fit[Network]:
        keras.utils.set_random_seed(config.seed)
        network = self._network(self.backbone, config)
        network.set_weights(self._start)
        network.compile(
            optimizer=keras.optimizers.Adam(config.learning_rate, config.beta_1, config.beta_2),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=bool(tf.config.list_physical_devices("GPU")),
        )
        network.fit(
            self._batches(config, train_rows, training=True),
            validation_data=None if val_rows is None else self._batches(config, val_rows, training=False),
            epochs=config.epochs,
            callbacks=[recorder, keras.callbacks.TerminateOnNaN()],
            shuffle=False,  # `_batches` has done it
            verbose=0,
        )
        return recorder.course.result()

    def _network(self, backbone: Backbone, config: TrainConfig) -> keras.Model:
        """Preprocessed pictures -> probabilities, trainable throughout."""
        for layer in backbone.model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = BATCHNORM_MOMENTUM
        start = start_head(config, backbone, self._dataset.class_names)
        head = keras.layers.Dense(len(start.bias), activation="softmax", dtype="float32")
        dropped = keras.layers.Dropout(config.dropout, seed=config.seed)(backbone.model.output)
        network = keras.Model(backbone.model.input, head(dropped))
        head.set_weights([start.kernel, start.bias])
        return network

    def _batches(self, config: TrainConfig, rows: np.ndarray, training: bool) -> tf.data.Dataset:
        resolution = config.resolution
        cached = len(rows) * resolution**2 * 3 * 4 <= CACHE_BYTES
        pictures = self._dataset.train.pictures(rows, config.seed if training and not cached else None).map(
            lambda image, label: (preprocess(image, config.cell), label), num_parallel_calls=tf.data.AUTOTUNE
        )
        if cached:
            pictures = pictures.cache()
        if not training:
            return pictures.batch(SCORED_AT_ONCE).prefetch(tf.data.AUTOTUNE)
        if cached:
            pictures = pictures.shuffle(len(rows), seed=config.seed)
        seeds = tf.data.Dataset.random(seed=config.seed, rerandomize_each_iteration=True).batch(2)
        augmented = tf.data.Dataset.zip(pictures, seeds).map(
            lambda picture, seed: (_augment(picture[0], seed, config.augment), picture[1]),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        return augmented.batch(config.batch_size).prefetch(tf.data.AUTOTUNE)


@contextmanager
def _mixed_precision_on_a_gpu() -> Iterator[None]:
    """Layers made inside compute in float16 on a GPU; the policy is global, so it is put back."""
    before = keras.config.dtype_policy()
    if tf.config.list_physical_devices("GPU"):
        keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _augment(image: tf.Tensor, seed: tf.Tensor, kind: Augment) -> tf.Tensor:
    """Shifts, and mirrors, one picture (r, r, 3) at random."""
    if kind == "none":
        return image
    margin = image.shape[0] // CROP_MARGIN
    padded = tf.pad(image, [[margin, margin], [margin, margin], [0, 0]], mode="REFLECT")
    cropped = tf.image.stateless_random_crop(padded, image.shape, seed)
    return tf.image.stateless_random_flip_left_right(cropped, seed) if kind == "flip_crop" else cropped


class _Recorder(keras.callbacks.Callback):
    """Files every epoch in `course`, moves the learning rate, and stops where the watch or a broken loss says so.

    Args:
        index: which of the configs this is, for the watch.
    """

    def __init__(self, schedule: Schedule, watch: Watch = go_on, index: int = 0) -> None:
        super().__init__()
        self._schedule, self._watch = schedule, watch
        self.course: Course[Network] = Course(index)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.model.optimizer.learning_rate = float(self._schedule.rates[0])

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keras' logs become scores under our names."""
        logs = logs or {}
        names = {"train_loss": "loss", "train_top1": "accuracy", "val_loss": "val_loss", "val_top1": "val_accuracy"}
        row = {name: float(logs[key]) for name, key in names.items() if key in logs}
        row["learning_rate"] = float(self._schedule.rates[0])
        self.course.add(row, lambda: Network(self.model.get_weights()))
        self._schedule.step(np.array([row["val_loss"]]) if "val_loss" in row else None)
        if not remaining([self.course], self._watch, self.params["epochs"]):
            self.model.stop_training = True
