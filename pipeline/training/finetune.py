"""Trains the whole network on pictures, with Keras' own `fit` (freeze_conv = false).

From scratch (weights none) everything is trained at one rate. From trained weights it is fine-tuning: the head is first
trained on the frozen features; then the last blocks are trained with it, each at a smaller rate than the one after it,
on pictures that change from epoch to epoch. Batch normalisation keeps the averages that came with the weights: those of
a batch of 32 of a few breeds are worse ones.
"""

from __future__ import annotations

import dataclasses
import gc
import sys
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline import datasets
from pipeline.config import HEAD_FIRST_EPOCHS, HEAD_FIRST_RATES, Augment, Cell, TrainConfig
from pipeline.datasets import Dataset, Split, streams
from pipeline.features.table import Run, here
from pipeline.networks import backbones, devices, layerwise
from pipeline.networks.backbones import Backbone, preprocess
from pipeline.networks.layerwise import LayerwiseAdam
from pipeline.shell.cores import cores
from pipeline.training import schedules
from pipeline.training.compiled import class_weights
from pipeline.training.fit import Curves, Fit, Watch, go_on
from pipeline.training.frozen import HeadTrainer
from pipeline.training.heads import Head, random_head
from pipeline.training.recorder import BalancedAccuracy, Recorder
from pipeline.training.schedules import Schedule

# Keras' 0.99 keeps validation at chance for the first hundred steps of a small data set: its moving averages still
# hold their initial values then.
BATCHNORM_MOMENTUM = 0.9
CACHE_BYTES = 2 * 2**30  # decoded pictures are kept in memory up to this size, and decoded in every epoch beyond it
SCORED_AT_ONCE = 32  # pictures of a validation batch at most; never more than of one to train on
SMALLEST = 1e-30  # probability of which a logarithm is taken
CROP_MARGIN = 8  # pictures are padded by 1/8 of their side (4 of 32 px, as is usual for CIFAR-10) and cropped again


Network = list[np.ndarray]
"""Weights of a backbone and its head, in Keras' order."""


class NetworkTrainer:
    """One cell of one data set, ready to train whole networks; the counterpart of frozen.HeadTrainer.

    Where the weights are trained ones, making it makes the feature table where there is none, as HeadTrainer does, and
    those of the cells `beside`.
    """

    untrained = None  # fits start from a head that is trained itself

    def __init__(self, config: TrainConfig, dataset: Dataset, beside: Sequence[Cell] = (), run: Run = here) -> None:
        self._config, self._dataset = config, dataset
        self._cut = datasets.cut(dataset.train, config.val_fraction, config.seed)
        self.head_first = HeadFirst(config, HeadTrainer(config, dataset, beside, run)) if config.finetunes else None
        keras.utils.set_random_seed(config.seed)
        self.backbone = backbones.load(config.cell, config.weights)
        if config.precision != "float32":
            model = backbones.in_precision(self.backbone.model, config.precision)
            self.backbone = dataclasses.replace(self.backbone, model=model)
        self._convolutions = self.backbone.model.get_weights()
        width, outputs = self.backbone.model.output_shape[-1], config.outputs(dataset.num_classes)
        self._drawn = random_head(width, outputs, config.seed)
        self._most_at_once = sys.maxsize  # pictures; less when memory did not suffice

    def __getstate__(self) -> dict[str, Any]:
        """What a task needs, which fits and validates: no test pictures, and no thumbnails of the others."""
        train = dataclasses.replace(self._dataset.train, thumbnails=None, sizes=None)
        return {**self.__dict__, "_dataset": dataclasses.replace(self._dataset, train=train, read_test=_not_here)}

    def fit(self, configs: Sequence[TrainConfig], watch: Watch = go_on) -> list[Fit[Network]]:
        """Trains one network for each of `configs` on `train`, scored on `val`; one after another."""
        head = self.head_first.on_train if self.head_first else self._drawn
        return [
            self._fit(config, head, *self._cut, partial(schedules.of, [config]), watch, index)
            for index, config in enumerate(configs)
        ]

    def refit(self, config: TrainConfig, rates: np.ndarray) -> Fit[Network]:
        """Trains on train + val, replaying `rates` (epochs,), the learning rates of an earlier fit.

        Raises UserError where the loss stops being a number.
        """
        config = dataclasses.replace(config, epochs=len(rates))
        rows = np.arange(len(self._dataset.train))
        head = self.head_first.on_everything if self.head_first else self._drawn
        fit = self._fit(config, head, rows, None, partial(schedules.Fixed, rates[:, None]))
        fit.require_finite()
        return fit

    @property
    def start(self) -> tuple[Backbone, Head] | None:
        """The network as it was, and what its head starts from before it is trained first."""
        return self.head_first.start if self.head_first else None

    def validated(self, trained: Network) -> tuple[np.ndarray, np.ndarray]:
        """Log probabilities (n, C) of the validation pictures by a fit's `best`, and their labels (n,)."""
        _train, val = self._cut
        at_once = min(self._config.batch, self._most_at_once)
        config = dataclasses.replace(self._config, batch_size=at_once)
        network = self._network(config, self._drawn)
        network.set_weights(trained)
        with datasets.unreadable_named(self._dataset.train):
            probabilities = network.predict(self._batches(config, val, training=False), verbose=0)
        return np.log(np.maximum(probabilities, SMALLEST)), self._dataset.train.labels[val]

    def spread(self, trained: Network) -> float:
        """Not told: it would take another pass over the pictures."""
        return 1.0

    def model(self, trained: Network, temperature: float = 1.0) -> keras.Model:
        """uint8 pictures of any size -> probabilities, in single precision however it was trained."""
        *convolutions, kernel, bias = trained
        backbone = backbones.load(self.backbone.cell, "none")
        backbone.model.set_weights(convolutions)
        return backbones.with_head(backbone, kernel / temperature, bias / temperature)

    def _fit(
        self,
        config: TrainConfig,
        head: Head,
        train_rows: np.ndarray,
        val_rows: np.ndarray | None,
        schedule: Callable[[], Schedule],
        watch: Watch = go_on,
        index: int = 0,
    ) -> Fit[Network]:
        """One fit. Where memory does not suffice it is begun again with half as many pictures at once.

        So are those after it: what did not fit once would not fit again, and trials that are compared are alike.

        Args:
            index: which of the configs this is, for the watch.

        Raises UserError where there is no memory for one picture.
        """
        told = 0  # of how many epochs the watch knows
        while True:
            at_once = min(config.batch, self._most_at_once)
            anneals = config.schedule == "cosine"
            recorder = Recorder(schedule(), _later_than(told, watch), index, config.aim, anneals)
            try:
                self._train(dataclasses.replace(config, batch_size=at_once), head, train_rows, val_rows, recorder)
                return recorder.course.result()
            except tf.errors.ResourceExhaustedError as error:
                beside = ", from the start of this fit and at the same learning rate"
                self._most_at_once = devices.halved(at_once, f"training {config.cell.name}", error, beside)
                told = max(told, recorder.course.epoch)
            gc.collect()  # models hold themselves in circles, and this one its memory

    def _train(
        self,
        config: TrainConfig,
        head: Head,
        train_rows: np.ndarray,
        val_rows: np.ndarray | None,
        recorder: Recorder,
    ) -> None:
        keras.utils.set_random_seed(config.seed)
        network = self._network(config, head)
        decay = config.layer_decay if config.finetunes else 1.0
        adam = {"learning_rate": config.learning_rate, "beta_1": config.beta_1, "beta_2": config.beta_2}
        smoothing = config.label_smoothing if config.finetunes else 0.0
        network.compile(
            optimizer=LayerwiseAdam(layerwise.scales(self.backbone.model, decay), **adam),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=smoothing),
            metrics=[keras.metrics.CategoricalAccuracy("accuracy"), BalancedAccuracy(len(head.bias))],
            jit_compile=devices.on_a_gpu(),
        )
        # Built now, like the metric above: tensorflow traces twice a step that makes variables, 5 s on a processor.
        network.optimizer.build(network.trainable_variables)
        with datasets.unreadable_named(self._dataset.train):
            network.fit(
                self._batches(config, train_rows, training=True),
                validation_data=None if val_rows is None else self._batches(config, val_rows, training=False),
                epochs=config.epochs,
                class_weight=self._class_weights(config, train_rows),
                callbacks=[recorder, keras.callbacks.TerminateOnNaN()],
                shuffle=False,  # `_batches` has done it
                verbose=0,
            )

    def _class_weights(self, config: TrainConfig, rows: np.ndarray) -> dict[int, float] | None:
        """As heads have them."""
        if config.class_weights == "none":
            return None
        weights = class_weights(self._dataset.train.labels[rows])
        return dict(enumerate(np.pad(weights, (0, len(self._drawn.bias) - len(weights))).tolist()))

    def _network(self, config: TrainConfig, head: Head) -> _Joined:
        """Preprocessed pictures -> probabilities, with the weights that every fit starts from."""
        convolutions = self.backbone.model
        convolutions.set_weights(self._convolutions)
        layerwise.unfreeze(convolutions, config.unfreeze)
        for layer in convolutions.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = BATCHNORM_MOMENTUM
        return _Joined(convolutions, head, config)

    def _batches(self, config: TrainConfig, rows: np.ndarray, training: bool) -> tf.data.Dataset:
        resolution = config.resolution
        cached = len(rows) * resolution**2 * 3 * 4 <= CACHE_BYTES
        pictures = self._dataset.train.pictures(rows, config.seed if training and not cached else None).map(
            lambda image, label: (preprocess(image, config.cell), tf.one_hot(label, len(self._drawn.bias))),
            num_parallel_calls=cores(),
        )
        if cached:
            pictures = pictures.cache()
        if not training:
            scored = pictures.batch(min(SCORED_AT_ONCE, config.batch))
            return scored.prefetch(streams.READY).with_options(streams.options())
        if cached:
            pictures = pictures.shuffle(len(rows), seed=config.seed)
        seeds = tf.data.Dataset.random(seed=config.seed, rerandomize_each_iteration=True).batch(2)
        augmented = tf.data.Dataset.zip(pictures, seeds).map(
            lambda picture, seed: (augment(picture[0], seed, config.augment), picture[1]),
            num_parallel_calls=cores(),
        )
        return augmented.batch(config.batch).prefetch(streams.READY).with_options(streams.options())


class _Joined(keras.Model):
    """Convolutions, dropout and a head. Weights in this order.

    Not a functional model: these hand `training` to every layer, so that batch normalisation would train although its
    call says training=False (Keras 3.15).
    """

    def __init__(self, convolutions: keras.Model, head: Head, config: TrainConfig) -> None:
        # Of mixed precision, so that Keras scales the loss: small gradients would be 0 in half precision.
        super().__init__(name="network", dtype=config.precision)
        self._convolutions, self._normalises_anew = convolutions, not config.finetunes
        self._dropout = keras.layers.Dropout(config.dropout, seed=config.seed)
        self._head = keras.layers.Dense(len(head.bias), activation="softmax", dtype="float32")
        self._head.build(convolutions.output_shape)
        self._head.set_weights([head.kernel, head.bias])
        self.built = True

    def call(self, pictures: tf.Tensor, training: bool = False) -> tf.Tensor:
        """float32 (n, r, r, 3) in [-1, 1] -> probabilities (n, C)."""
        features = self._convolutions(pictures, training=training and self._normalises_anew)
        return self._head(self._dropout(features, training=training))


class HeadFirst:
    """The heads that fine-tuning starts from."""

    def __init__(self, config: TrainConfig, trainer: HeadTrainer) -> None:
        self._trainer = trainer
        self.config = dataclasses.replace(
            config, epochs=HEAD_FIRST_EPOCHS, beta_1=TrainConfig.beta_1, beta_2=TrainConfig.beta_2
        )
        wave = trainer.fit([dataclasses.replace(self.config, learning_rate=rate) for rate in HEAD_FIRST_RATES])
        self._best = max(wave, key=lambda fit: fit.rank(config.aim))

    def __getstate__(self) -> dict[str, Any]:
        """Without the feature table, which a task has no other use for than the last of the heads."""
        return {"config": self.config, "_best": self._best, "on_everything": self.on_everything}

    @property
    def on_train(self) -> Head:
        """Trained on train alone."""
        return self._best.best[0]

    @property
    def start(self) -> tuple[Backbone, Head] | None:
        """What these start from; see HeadTrainer."""
        return self._trainer.start

    @cached_property
    def on_everything(self) -> Head:
        """Trained on train + val, by the rates of the one on train."""
        return self._trainer.refit(self.config, self._best.rates).best[0]


def _not_here() -> Split:
    raise RuntimeError("a task trains, and has no test pictures")


def _later_than(told: int, watch: Watch) -> Watch:
    """`watch`, which is not told again of the first `told` epochs; then it said go on."""

    def later(epoch: int, indices: np.ndarray, scores: Curves) -> np.ndarray:
        """Passes on what is news."""
        return (watch if epoch > told else go_on)(epoch, indices, scores)

    return later


def augment(image: tf.Tensor, seed: tf.Tensor, kind: Augment) -> tf.Tensor:
    """Shifts, and mirrors, one picture (r, r, 3) at random."""
    if kind == "none":
        return image
    margin = image.shape[0] // CROP_MARGIN
    padded = tf.pad(image, [[margin, margin], [margin, margin], [0, 0]], mode="REFLECT")
    cropped = tf.image.stateless_random_crop(padded, image.shape, seed)
    return tf.image.stateless_random_flip_left_right(cropped, seed) if kind == "flip_crop" else cropped
