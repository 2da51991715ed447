"""Pictures of a split as a device is given them, in a file that a process without TensorFlow can read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.datasets import Split, streams, unreadable_named
from pipeline.shell.cores import cores


def written(
    split: Split,
    side: int,
    path: Path,
    indices: np.ndarray | None = None,
    progress: Callable[[int], None] = lambda _count: None,
) -> np.ndarray:
    """Writes pictures to `path`, NAME.npy; returns them, uint8 (n, side, side, 3), mapped from there.

    Args:
        indices: int (m,), of those that are wanted; all where it is None.
        progress: called with the number of pictures written since the last call.

    Raises UserError where a picture cannot be decoded; it is named.
    """
    count = len(split) if indices is None else len(indices)
    kept = np.lib.format.open_memmap(path, "w+", np.uint8, (count, side, side, 3))
    shown = split.pictures(indices).map(lambda picture, _label: resized(picture, side), cores())
    begin = 0
    with unreadable_named(split):
        for some in streams.arrays(shown.batch(32).prefetch(streams.READY)):
            kept[begin : begin + len(some)] = some
            begin += len(some)
            progress(len(some))
    kept.flush()
    return np.load(path, mmap_mode="r")


def resized(picture: tf.Tensor, side: int) -> tf.Tensor:
    """uint8 (h, w, 3) -> uint8 (side, side, 3), as resizing.to_bytes gives it, inside a graph."""
    resized = tf.image.resize(picture, (side, side))
    return tf.cast(tf.floor(resized + 0.5), tf.uint8)


def some_of(count: int, wanted: int, seed: int) -> np.ndarray:
    """Indices, ascending, of so many of `count` pictures, drawn at random; all where there are no more."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:wanted])
