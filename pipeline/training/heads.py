"""Trains K dense heads at once on one feature table.

The heads of a wave share their batches and dropout masks and differ in learning rate, beta_1 and beta_2. Their kernels
lie side by side as (d, K, C), so that one matrix product serves all of them, and an epoch is one XLA-compiled loop.
One head is a wave of one: the same code.

A head that is pruned or diverges leaves the wave. Its slot computes on, unseen, until the heads that are left fit into
half of the slots; then the arrays are cut to that half, where this saves more than XLA takes to compile an epoch anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf

from pipeline.config import TrainConfig
from pipeline.networks.backbones import Classifier
from pipeline.training.fit import Course, Curves, Fit, Watch, go_on, remaining
from pipeline.training.schedules import Schedule

ADAM_EPSILON = 1e-7  # Keras' default
# How much training, in rows x features x classes, fewer slots must save before they are compiled for. Two cores do
# 1.3e10 of it in a second of processor time, and compile for 1.7 s, but once for all waves of this shape: five of them,
# at 40 trials. It is a count, not a clock, so that the same seed always shrinks after the same epoch: a matrix product
# of another width may round the last digit otherwise.
WORTH_COMPILING = 5e9
SCORED_AT_ONCE = 1024  # rows; bounds the (rows, K, C) probabilities of a validation pass


@dataclass(frozen=True)
class Head:
    """One dense layer: kernel float32 (d, C), bias float32 (C,)."""

    kernel: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Samples:
    """Rows of a feature table: features float32 (n, d), labels int32 (n,); numpy's, or tensors on the device."""

    features: np.ndarray | tf.Tensor
    labels: np.ndarray | tf.Tensor

    def on_device(self) -> Samples:
        """As tensors; those that are there already stay where they are, so that every wave may have the same."""
        return Samples(tf.constant(self.features), tf.constant(self.labels, tf.int32))


def random_head(num_features: int, num_classes: int, seed: int) -> Head:
    """Glorot uniform kernel (Glorot and Bengio 2010, eq. 16) and zero bias, as Keras' Dense begins."""
    limit = math.sqrt(6 / (num_features + num_classes))
    kernel = np.random.default_rng(seed).uniform(-limit, limit, (num_features, num_classes))
    return Head(kernel.astype(np.float32), np.zeros(num_classes, np.float32))


def imagenet_head(classifier: Classifier, columns: np.ndarray, seed: int) -> Head:
    """The ImageNet classifier's own columns; Glorot noise for a class that ImageNet lacks.

    Args:
        columns: int (C,), the column for each class or -1.
    """
    head = random_head(len(classifier.kernel), len(columns), seed)
    known = columns >= 0
    head.kernel[:, known] = classifier.kernel[:, columns[known]]
    head.bias[known] = classifier.bias[columns[known]]
    return head


def fit(
    train: Samples,
    val: Samples | None,
    start: Head,
    configs: Sequence[TrainConfig],
    schedule: Schedule,
    watch: Watch = go_on,
) -> list[Fit[Head]]:
    """Trains one head for each of `configs`, all from `start`, and keeps each at its best epoch.

    What the configs share (epochs, batch size, dropout, seed) is read from the first.

    Args:
        val: scored after every epoch; without it the head of the last epoch is kept.
        schedule: the learning rates of the K heads, epoch by epoch.
        watch: says after every epoch which heads go on; not asked without `val`.
    """
    epochs = configs[0].epochs
    wave = _Wave(train, val, start, configs, schedule)
    courses: list[Course[Head]] = [Course(index) for index in range(len(configs))]
    going = courses
    for epoch in range(1, epochs + 1):
        scores = wave.epoch(epoch)
        for course in going:
            slot = wave.slots[course.index]
            course.add({name: float(values[slot]) for name, values in scores.items()}, partial(wave.head, slot))
        going = remaining(going, watch, epochs)
        if not going:
            break
        wave.shrink([course.index for course in going], epochs - epoch)
    return [course.result() for course in courses]


def fewer_slots(slots: int, heads: int) -> int:
    """The last of the series slots, slots / 2, slots / 4, ..., rounded up, that has room for `heads` >= 1."""
    while slots > 1 and -(-slots // 2) >= heads:
        slots = -(-slots // 2)
    return slots


class _Wave:
    """The state of K heads in training, of which some may have left.

    Attributes:
        slots: index of a config -> which of the K slots its head is in.
    """

    def __init__(
        self, train: Samples, val: Samples | None, start: Head, configs: Sequence[TrainConfig], schedule: Schedule
    ) -> None:
        self.shared, self.schedule, self.count = configs[0], schedule, len(configs)
        self.slots = {index: index for index in range(self.count)}
        self.train, self.val = train.on_device(), None if val is None else val.on_device()
        kernel = tf.repeat(tf.constant(start.kernel)[:, None], self.count, axis=1)
        bias = tf.repeat(tf.constant(start.bias)[None], self.count, axis=0)
        zeros = (tf.zeros_like(kernel), tf.zeros_like(bias))
        self.state = (tf.constant(0), (kernel, bias), zeros, zeros)
        # (K, 1), to broadcast over (d, K, C) and (K, C).
        self.beta_1 = tf.constant([[config.beta_1] for config in configs], tf.float32)
        self.beta_2 = tf.constant([[config.beta_2] for config in configs], tf.float32)

    def epoch(self, epoch: int) -> Curves:
        """The scores, each (K,), of one epoch of training and validation at the schedule's rates."""
        rates = self.schedule.rates
        scores = {**self._train(epoch, rates), **self._validate(), "learning_rate": rates}
        self.schedule.step(scores.get("val_loss"))
        return scores

    def shrink(self, indices: Sequence[int], epochs: int) -> None:
        """Goes on with the heads of `indices` in fewer slots, where `epochs` more make that worth compiling."""
        count = fewer_slots(self.count, len(indices))
        (rows, width), classes = self.train.features.shape, self.state[1][1].shape[-1]
        if count == self.count or (self.count - count) * epochs * rows * width * classes < WORTH_COMPILING:
            return
        going = [self.slots[index] for index in indices]
        idle = [slot for slot in range(self.count) if slot not in going]
        kept = np.array((going + idle)[:count])
        step, *pairs = self.state  # weights, first and second moments
        self.state = (
            step,
            *((tf.gather(kernel, kept, axis=1), tf.gather(bias, kept, axis=0)) for kernel, bias in pairs),
        )
        self.beta_1, self.beta_2 = tf.gather(self.beta_1, kept), tf.gather(self.beta_2, kept)
        self.schedule.keep(kept)
        self.count, self.slots = count, {index: slot for slot, index in enumerate(indices)}

    def _train(self, epoch: int, rates: np.ndarray) -> Curves:
        """One pass over the pictures in a new order; loss and top-1 are means over it, dropout on, as Keras' are."""
        rng = np.random.default_rng([self.shared.seed, epoch])
        order = rng.permutation(len(self.train.labels)).astype(np.int32)
        self.state, loss, correct = train_epoch(
            self.train.features,
            self.train.labels,
            tf.constant(order),
            tf.constant(_dropout_masks(rng, self.train.features.shape, self.shared.dropout)),
            self.state,
            (tf.constant(rates[:, None], tf.float32), self.beta_1, self.beta_2),
            batch_size=min(self.shared.batch_size, len(order)),
            dropout=self.shared.dropout,
        )
        return {"train_loss": loss.numpy() / len(order), "train_top1": correct.numpy() / len(order)}

    def _validate(self) -> Curves:
        """val_loss and val_top1 of every head, (K,), with dropout off; nothing where there is no val."""
        if self.val is None:
            return {}
        features, labels = self.val.features, self.val.labels
        loss, correct = np.zeros(self.count), np.zeros(self.count)
        for begin in range(0, len(labels), SCORED_AT_ONCE):
            rows = slice(begin, begin + SCORED_AT_ONCE)
            losses, hits = _score(features[rows], labels[rows], *self.state[1])
            loss, correct = loss + losses.numpy(), correct + hits.numpy()
        return {"val_loss": loss / len(labels), "val_top1": correct / len(labels)}

    def head(self, slot: int) -> Head:
        """A copy of the head in `slot` as it is now."""
        kernel, bias = self.state[1]
        return Head(kernel[:, slot].numpy(), bias[slot].numpy())


def _dropout_masks(rng: np.random.Generator, shape: tuple[int, int], dropout: float) -> np.ndarray:
    """bool (n, d), or (0, 0) without dropout. Drawn by numpy: XLA's generator on a CPU took twenty times an epoch."""
    if dropout == 0:
        return np.zeros((0, 0), bool)
    kept = np.empty(shape, bool)
    for begin in range(0, len(kept), 4096):  # bounds the memory of the float32 draws
        rows = kept[begin : begin + 4096]
        np.greater_equal(rng.random(rows.shape, np.float32), dropout, out=rows)
    return kept


@tf.function(jit_compile=True)
def train_epoch(features, labels, order, kept, state, adam, batch_size, dropout):  # type: ignore[no-untyped-def]
    """One epoch of every head.

    Args:
        features: (n, d); labels: (n,); order: (n,) permutation.
        kept: bool (n, d), which features dropout leaves to the i-th row in that order; unused without dropout.
        state: step number, (kernel (d, K, C), bias (K, C)), and Adam's first and second moments of both.
        adam: learning rate, beta_1, beta_2, each (K, 1).

    Returns:
        the new state, and for each head (K,) the sum of losses and the number of right answers.
    """
    size = order.shape[0]
    batches = size // batch_size
    sums = tf.zeros_like(adam[0][:, 0])

    def train_on(begin, count, state, loss, correct):  # type: ignore[no-untyped-def]
        """One step on `count` rows of the order from `begin` on."""
        # A Python-style slice with a dynamic start does not compile under XLA; tf.slice does.
        rows = tf.slice(order, [begin], [count])
        batch = tf.gather(features, rows)
        if dropout > 0:
            batch = tf.where(tf.slice(kept, [begin, 0], [count, -1]), batch / (1 - dropout), 0.0)
        gradients, losses, hits = _gradients(batch, tf.gather(labels, rows), *state[1])
        return _adam(gradients, state, *adam), loss + losses, correct + hits

    loss, correct = sums, sums
    for number in tf.range(batches):
        state, loss, correct = train_on(number * batch_size, batch_size, state, loss, correct)
    if size % batch_size:
        state, loss, correct = train_on(batches * batch_size, size % batch_size, state, loss, correct)
    return state, loss, correct


def _gradients(batch, labels, kernel, bias):  # type: ignore[no-untyped-def]
    """Closed form of softmax and crossentropy: (softmax - one-hot) / B, through the dense layer."""
    size, (width, heads, classes) = tf.shape(batch)[0], kernel.shape
    log_probabilities, losses, hits = _forward(batch, labels, kernel, bias)
    errors = (tf.exp(log_probabilities) - tf.one_hot(labels, classes)[:, None]) / tf.cast(size, tf.float32)
    flat = tf.matmul(batch, tf.reshape(errors, (-1, heads * classes)), transpose_a=True)
    gradients = (tf.reshape(flat, (width, heads, classes)), tf.reduce_sum(errors, axis=0))
    return gradients, losses, hits


def _forward(batch, labels, kernel, bias):  # type: ignore[no-untyped-def]
    """Log probabilities (B, K, C), and for each head (K,) the summed crossentropy and the right answers."""
    width, heads, classes = kernel.shape
    logits = tf.matmul(batch, tf.reshape(kernel, (width, heads * classes)))
    log_probabilities = tf.nn.log_softmax(tf.reshape(logits, (-1, heads, classes)) + bias)
    losses = -tf.reduce_sum(log_probabilities * tf.one_hot(labels, classes)[:, None], axis=(0, 2))
    right = tf.argmax(log_probabilities, axis=2, output_type=tf.int32) == labels[:, None]
    return log_probabilities, losses, tf.reduce_sum(tf.cast(right, tf.float32), axis=0)


def _adam(gradients, state, rate, beta_1, beta_2):  # type: ignore[no-untyped-def]
    """Adam (Kingma and Ba 2015, end of section 2) in the order of operations that Keras uses."""
    step, weights, firsts, seconds = state
    step = step + 1
    time = tf.cast(step, tf.float32)
    scaled = rate * tf.sqrt(1 - beta_2**time) / (1 - beta_1**time)
    firsts = tuple(m + (g - m) * (1 - beta_1) for m, g in zip(firsts, gradients, strict=True))
    seconds = tuple(v + (g * g - v) * (1 - beta_2) for v, g in zip(seconds, gradients, strict=True))
    weights = tuple(
        w - m * scaled / (tf.sqrt(v) + ADAM_EPSILON) for w, m, v in zip(weights, firsts, seconds, strict=True)
    )
    return step, weights, firsts, seconds


@tf.function(jit_compile=True)
def _score(features, labels, kernel, bias):  # type: ignore[no-untyped-def]
    return _forward(features, labels, kernel, bias)[1:]
