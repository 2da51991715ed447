"""What tf.data does with a stream is set in one place; test_project.py sees that nobody goes around it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pipeline.datasets import Split, streams
from pipeline.shell.cores import cores


def test_nothing_is_tuned_in_a_thread_that_whoever_is_done_would_wait_for():
    options = streams.options()
    assert options.autotune.enabled is False
    assert options.threading.private_threadpool_size == cores()


def test_it_has_all_elements_in_order():
    stream = tf.data.Dataset.range(10).map(lambda number: (number, -number)).batch(4)
    first, second = map(np.concatenate, zip(*streams.arrays(stream), strict=True))
    assert first.tolist() == list(range(10))
    assert second.tolist() == [-number for number in range(10)]


def test_pictures_that_are_handed_to_keras_have_these_options():
    split = Split("train", np.zeros(1, np.int32), ["a"], np.zeros((1, 32), np.uint8), lambda: _ONE, lambda raw: raw)
    assert split.pictures().options().autotune.enabled is False


_ONE = tf.data.Dataset.from_tensors(np.zeros((2, 2, 3), np.uint8))
