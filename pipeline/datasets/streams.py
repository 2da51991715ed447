"""How a data set of tf.data runs wherever this program reads one: on our cores, and without being tuned meanwhile.

tf.data tunes buffers and threads in a thread of its own, which sleeps 10 ms, 20 ms, 40 ms and so on, and whoever is
done with the stream often waits until it wakes (TensorFlow 2.21): 0.31, 0.63, ... 10.2 or 20.5 seconds after the start.
A pass of 11.5 s over 3,600 pictures took 20.7 every other time, and both cores idled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from pipeline.shell.cores import cores

READY = 2  # batches that wait for whoever takes them


def options() -> tf.data.Options:
    """For `with_options`, of every data set that is handed to Keras."""
    found = tf.data.Options()
    found.autotune.enabled = False
    found.threading.private_threadpool_size = cores()
    return found


def arrays(dataset: tf.data.Dataset) -> Iterator[Any]:
    """Its elements in numpy's arrays."""
    return dataset.with_options(options()).as_numpy_iterator()
