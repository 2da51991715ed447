"""Trains K dense heads at once on one feature table.

The heads of a wave share their batches and dropout masks and differ in learning rate, beta_1 and beta_2. Their kernels
lie side by side as (d, K, C), so that one matrix product serves all of them, and an epoch is one XLA-compiled loop.
One head is a wave of one: the same code.

Where the pictures are cut into folds, each configuration has a head for every fold, which ignores the rows of its own
fold by weight and is validated on them: one matrix product still serves all, and every picture is validated once.

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
from pipeline.training.compiled import Rows, score, train_epoch
from pipeline.training.fit import Course, Curves, Fit, Watch, go_on, remaining
from pipeline.training.schedules import Schedule

# How much training, in rows x features x classes, fewer slots must save before they are compiled for. Two cores do
# 1.3e10 of it in a second of processor time, and compile for 1.4 s, but once for all waves of this shape: five of them,
# at 40 trials. It is a count, not a clock, so that the same seed always shrinks after the same epoch: a matrix product
# of another width may round the last digit otherwise.
WORTH_COMPILING = 5e9


@dataclass(frozen=True)
class Head:
    """One dense layer: kernel float32 (d, C), bias float32 (C,)."""

    kernel: np.ndarray
    bias: np.ndarray


Heads = tuple[Head, ...]
"""What is trained of one configuration: a head for each fold, or one alone."""


@dataclass(frozen=True)
class Samples:
    """Rows of a feature table.

    Attributes:
        features: float32 (n, d), numpy's or a tensor on the device.
        labels: int32 (n,), the same.
        folds: int32 (n,), from 0: which head of each configuration is not trained on the row, but validated on it.
    """

    features: np.ndarray | tf.Tensor
    labels: np.ndarray | tf.Tensor
    folds: np.ndarray | None = None

    def on_device(self) -> Samples:
        """As tensors; those that are there already stay where they are, so that every wave may have the same."""
        return Samples(tf.constant(self.features), tf.constant(self.labels, tf.int32), self.folds)

    def by_fold(self) -> list[Samples]:
        """The rows of each fold, or all of them."""
        if self.folds is None:
            return [self]
        rows = [np.flatnonzero(self.folds == fold) for fold in range(int(self.folds.max()) + 1)]
        return [Samples(tf.gather(self.features, part), tf.gather(self.labels, part)) for part in rows]


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
    starts: Heads,
    configs: Sequence[TrainConfig],
    schedule: Schedule,
    watch: Watch = go_on,
    pull: float = 0.0,
) -> list[Fit[Heads]]:
    """Trains one head for each of `configs`, all from the same start, and keeps each as of the epoch that counts.

    What the configs share (epochs, batch size, dropout, seed, aim, class weights) is read from the first.

    Args:
        train: of folds where `val` is; then each of `configs` has a head for every fold.
        val: scored after every epoch; without it the head of the last epoch is kept.
        starts: the head that all start from, or one for each fold.
        schedule: the learning rates of the K heads, epoch by epoch.
        watch: says after every epoch which heads go on; not asked without `val`.
        pull: how strongly weights are drawn back to where they started, see compiled.train_epoch.
    """
    epochs = configs[0].epochs
    wave = _Wave(train, val, starts, configs, schedule, pull)
    anneals = configs[0].schedule == "cosine"
    courses: list[Course[Heads]] = [Course(index, configs[0].aim, anneals) for index in range(len(configs))]
    going = courses
    for epoch in range(1, epochs + 1):
        scores = wave.epoch(epoch)
        for course in going:
            slot = wave.slots[course.index]
            course.add({name: float(values[slot]) for name, values in scores.items()}, partial(wave.heads, slot))
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
    """The state of K heads in training, of which some may have left; with F folds, of K x F.

    Attributes:
        slots: index of a config -> which of the K slots its head, or its F heads side by side, are in.
    """

    def __init__(
        self,
        train: Samples,
        val: Samples | None,
        starts: Heads,
        configs: Sequence[TrainConfig],
        schedule: Schedule,
        pull: float,
    ) -> None:
        self.shared, self.schedule, self.count = configs[0], schedule, len(configs)
        self.slots = {index: index for index in range(self.count)}
        self.train = train.on_device()
        self.val = [] if val is None else _equally_long(val.on_device())
        self.folds = max(1, len(self.val))
        self.rows = Rows.of(train.labels, train.folds, self.folds, configs[0].class_weights)
        kernel = tf.tile(tf.stack([start.kernel for start in starts], axis=1), (1, self.count, 1))
        bias = tf.tile(tf.stack([start.bias for start in starts]), (self.count, 1))
        zeros = (tf.zeros_like(kernel), tf.zeros_like(bias))
        self.state = (tf.constant(0), (kernel, bias), zeros, zeros)
        self.betas = np.array([[config.beta_1, config.beta_2] for config in configs], np.float32)
        self.pull = ((kernel, bias), tf.constant(pull, tf.float32)) if pull else ()

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
        spared = (self.count - count) * self.folds * epochs * rows * width * classes
        if count == self.count or spared < WORTH_COMPILING:
            return
        going = [self.slots[index] for index in indices]
        idle = [slot for slot in range(self.count) if slot not in going]
        kept = np.array((going + idle)[:count])
        step, *pairs = self.state  # weights, first and second moments
        heads = (kept[:, None] * self.folds + np.arange(self.folds)).reshape(-1)
        self.state = (
            step,
            *((tf.gather(kernel, heads, axis=1), tf.gather(bias, heads, axis=0)) for kernel, bias in pairs),
        )
        if self.pull:
            (kernel, bias), strength = self.pull  # all configurations start alike
            self.pull = (kernel[:, : len(heads)], bias[: len(heads)]), strength
        self.betas = self.betas[kept]
        self.schedule.keep(kept)
        self.count, self.slots = count, {index: slot for slot, index in enumerate(indices)}

    def _train(self, epoch: int, rates: np.ndarray) -> Curves:
        """One pass over the pictures in a new order; loss and top-1 are means over it, dropout on, as Keras' are."""
        rng = np.random.default_rng([self.shared.seed, epoch])
        order = rng.permutation(len(self.train.labels)).astype(np.int32)
        adam = np.repeat(np.column_stack([rates, self.betas]), self.folds, axis=0).astype(np.float32)
        self.state, loss, correct = train_epoch(
            self.train.features,
            self.train.labels,
            self.rows,
            tf.constant(order),
            tf.constant(_dropout_masks(rng, self.train.features.shape, self.shared.dropout)),
            self.state,
            self.pull,
            # (K x F, 1), to broadcast over (d, K x F, C) and (K x F, C).
            tuple(tf.constant(column[:, None]) for column in adam.T),
            batch_size=min(self.shared.batch, len(order)),
            dropout=self.shared.dropout,
        )
        ignored = 0 if self.train.folds is None else np.bincount(self.train.folds, minlength=self.folds)
        seen = np.resize(len(order) - ignored, self.count * self.folds)
        means = {"train_loss": loss.numpy() / seen, "train_top1": correct.numpy() / seen}
        return {name: values.reshape(self.count, self.folds).mean(axis=1) for name, values in means.items()}

    def _validate(self) -> Curves:
        """val_loss, val_top1 and val_balanced_top1 of every config, (K,), dropout off; nothing without val."""
        if not self.val:
            return {}
        classes = self.state[1][1].shape[-1]
        loss, hits, pictures = np.zeros(self.count), np.zeros((self.count, classes)), np.zeros(classes)
        for fold, part in enumerate(self.val):
            kernel, bias = (values[..., fold :: self.folds, :] for values in self.state[1])
            losses, right = score(part.features, part.labels, kernel, bias)
            loss, hits = loss + losses.numpy(), hits + right.numpy()
            pictures += np.bincount(part.labels[part.labels >= 0], minlength=classes)
        there = pictures > 0
        return {
            "val_loss": loss / pictures.sum(),
            "val_top1": hits.sum(axis=1) / pictures.sum(),
            "val_balanced_top1": (hits[:, there] / pictures[there]).mean(axis=1),
        }

    def heads(self, slot: int) -> Heads:
        """Copies of the heads in `slot` as they are now."""
        kernel, bias = self.state[1]
        first = slot * self.folds
        return tuple(Head(kernel[:, at].numpy(), bias[at].numpy()) for at in range(first, first + self.folds))


def _equally_long(samples: Samples) -> list[Samples]:
    """The rows of each fold, or all of them: each as long as the longest, so that one compiled pass scores them all.

    What fills a shorter one up are rows of its own, which have label -1 there.
    """
    if samples.folds is None:
        return [samples]
    sizes, labels = np.bincount(samples.folds), np.asarray(samples.labels)
    parts = []
    for fold, size in enumerate(sizes):
        rows = np.resize(np.flatnonzero(samples.folds == fold), sizes.max())
        counted = np.where(np.arange(len(rows)) < size, labels[rows], -1)
        parts.append(Samples(tf.gather(samples.features, rows), tf.constant(counted, tf.int32)))
    return parts


def _dropout_masks(rng: np.random.Generator, shape: tuple[int, int], dropout: float) -> np.ndarray:
    """bool (n, d), or (0, 0) without dropout.

    Drawn is how far it is from one that is dropped to the next, which has a geometric distribution: a draw for each of
    these, of which MobileNet drops a thousandth, and not for each feature, which took a third of an epoch. By numpy,
    since XLA's generator on a CPU took twenty times an epoch.
    """
    if dropout == 0:
        return np.zeros((0, 0), bool)
    kept = np.ones(math.prod(shape), bool)
    at_once = int(dropout * len(kept)) + 100  # a few more than are expected, so that it rarely takes two turns
    last = -1
    while last < len(kept):
        gaps = np.minimum(rng.geometric(dropout, at_once), len(kept) + 1)  # tiny rates have some that do not add up
        dropped = last + np.cumsum(gaps)
        kept[dropped[dropped < len(kept)]] = False
        last = int(dropped[-1])
    return kept.reshape(shape)
