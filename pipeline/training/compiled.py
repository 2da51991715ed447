"""What XLA compiles: one epoch of training of many heads side by side, and their scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipeline.config import ClassWeights

ADAM_EPSILON = 1e-7  # Keras' default
SCORED_AT_ONCE = 1024  # rows; bounds the (rows, K, C) probabilities of a validation pass


class Rows(NamedTuple):
    """What each row counts for.

    Attributes:
        weights: float32 (n,), of its class; (0,) where all count alike.
        folds: int32 (n,), its fold; (0,) without folds.
        heads_beside: how many heads stand side by side for each configuration, one for every fold.
    """

    weights: tf.Tensor
    folds: tf.Tensor
    heads_beside: int

    @classmethod
    def of(cls, labels: np.ndarray | tf.Tensor, folds: np.ndarray | None, count: int, weights: ClassWeights) -> Rows:
        """Of rows with `labels` (n,), in `folds` (n,) of `count`, if any."""
        numbers = np.asarray(labels)
        of_row = class_weights(numbers)[numbers] if weights == "balanced" else np.zeros(0, np.float32)
        fold_of = np.zeros(0, np.int32) if folds is None else folds.astype(np.int32)
        return cls(tf.constant(of_row), tf.constant(fold_of), count)


def class_weights(labels: np.ndarray) -> np.ndarray:
    """float32 (C,), as scikit-learn balances them: the rows of each class weigh the same, and all n rows weigh n."""
    sizes = np.bincount(labels)
    return (len(labels) / (np.count_nonzero(sizes) * np.maximum(sizes, 1))).astype(np.float32)


@tf.function(jit_compile=True)
def train_epoch(features, labels, rows, order, kept, state, pull, adam, batch_size, dropout):  # type: ignore[no-untyped-def]
    """One epoch of every head.

    Args:
        features: (n, d); labels: (n,); rows: what each counts for; order: (n,) permutation.
        kept: bool (n, d), which features dropout leaves to the i-th row in that order; unused without dropout.
        state: step number, (kernel (d, K, C), bias (K, C)), and Adam's first and second moments of both.
        pull: what weights are drawn towards, (kernel (d, K, C), bias (K, C)), and how strongly, (): a penalty of half
            of that for each squared distance; or empty.
        adam: learning rate, beta_1, beta_2, each (K, 1).
        batch_size: up to n; dropout: a part, of what `kept` has left out.

    Returns:
        the new state, and for each head (K,) the sum of losses and the number of right answers, over the rows that it
        is trained on.
    """
    loss = correct = tf.zeros_like(adam[0][:, 0])
    for number in tf.range(-(-order.shape[0] // batch_size)):
        begin, new = _slice_of(order.shape[0], number, batch_size)
        # A Python-style slice with a dynamic start does not compile under XLA; tf.slice does.
        numbers = tf.slice(order, [begin], [batch_size])
        batch = tf.gather(features, numbers)
        if dropout > 0:
            batch = tf.where(tf.slice(kept, [begin, 0], [batch_size, -1]), batch / (1 - dropout), 0.0)
        shares = _shares(rows, numbers, new, state[1][1].shape[0])
        gradients, losses, hits = _gradients(batch, tf.gather(labels, numbers), shares, *state[1])
        if pull:
            towards, strength = pull
            gradients = tuple(g + strength * (w - t) for g, w, t in zip(gradients, state[1], towards, strict=True))
        state, loss, correct = _adam(gradients, state, *adam), loss + losses, correct + hits
    return state, loss, correct


@tf.function(jit_compile=True)
def score(features, labels, kernel, bias):  # type: ignore[no-untyped-def]
    """For each head (K,) the summed crossentropy, and (K, C) the right answers in each class.

    Rows with label -1 are not counted.
    """
    (count, _width), (heads, classes) = features.shape, bias.shape
    size = min(SCORED_AT_ONCE, count)
    loss, hits = tf.zeros(heads), tf.zeros((heads, classes))
    for number in tf.range(-(-count // size)):
        begin, new = _slice_of(count, number, size)
        own = tf.where(new, tf.slice(labels, [begin], [size]), -1)
        _, losses, right = _forward(tf.slice(features, [begin, 0], [size, -1]), own, kernel, bias)
        loss += tf.reduce_sum(losses, axis=0)
        hits += tf.matmul(right, tf.one_hot(own, classes), transpose_a=True)
    return loss, hits


def _slice_of(count, number, size):  # type: ignore[no-untyped-def]
    """(where slice `number` of `count` rows begins, bool (size,): which of its rows no earlier slice had).

    Of no more than `count` rows. The last slice reaches back, so that it is as large as all others: what is done to a
    slice is compiled once.
    """
    begin = tf.minimum(number * size, count - size)
    return begin, begin + tf.range(size) >= number * size


def _shares(rows, numbers, new, heads):  # type: ignore[no-untyped-def]
    """(weight of each row's class (B, 1), whether each head is trained on the row (B, K), how many rows that are (K,)).

    A gradient is a mean over the rows that a head is trained on, or it would shrink in batches that hold many of its
    fold; rows that are not `new`, bool (B,), are none of them.
    """
    weights = tf.gather(rows.weights, numbers)[:, None] if rows.weights.shape[0] else tf.ones((len(numbers), 1))
    used = tf.cast(new, tf.float32)[:, None]
    if not rows.folds.shape[0]:
        return weights, used, tf.fill([heads], tf.reduce_sum(used))
    ignored = tf.range(heads) % rows.heads_beside
    used *= tf.cast(tf.gather(rows.folds, numbers)[:, None] != ignored, tf.float32)
    return weights, used, tf.maximum(tf.reduce_sum(used, axis=0), 1.0)


def _gradients(batch, labels, shares, kernel, bias):  # type: ignore[no-untyped-def]
    """Closed form of softmax and crossentropy: (softmax - one-hot) / B, through the dense layer."""
    width, heads, classes = kernel.shape
    weights, used, counts = shares
    log_probabilities, losses, right = _forward(batch, labels, kernel, bias)
    errors = tf.exp(log_probabilities) - tf.one_hot(labels, classes)[:, None]
    errors *= (weights * used / counts)[..., None]
    flat = tf.matmul(batch, tf.reshape(errors, (-1, heads * classes)), transpose_a=True)
    gradients = (tf.reshape(flat, (width, heads, classes)), tf.reduce_sum(errors, axis=0))
    return gradients, tf.reduce_sum(weights * used * losses, axis=0), tf.reduce_sum(used * right, axis=0)


def _forward(batch, labels, kernel, bias):  # type: ignore[no-untyped-def]
    """Log probabilities (B, K, C), and for each row and head (B, K) the crossentropy and whether it is right."""
    width, heads, classes = kernel.shape
    logits = tf.matmul(batch, tf.reshape(kernel, (width, heads * classes)))
    log_probabilities = tf.nn.log_softmax(tf.reshape(logits, (-1, heads, classes)) + bias)
    losses = -tf.reduce_sum(log_probabilities * tf.one_hot(labels, classes)[:, None], axis=2)
    right = tf.argmax(log_probabilities, axis=2, output_type=tf.int32) == labels[:, None]
    return log_probabilities, losses, tf.cast(right, tf.float32)


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
