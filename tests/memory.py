"""A shortage of memory that can be had anywhere."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from pipeline.networks.backbones import Backbone


class Glutton(keras.layers.Layer):
    """Hands its input on, but has no memory for more than `most` rows: tensorflow raises its ResourceExhaustedError.

    Not by allocating too much, for which tensorflow's allocator would wait ten seconds each time.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        nothing = tf.numpy_function(self._allocate, [tf.shape(inputs)[0]], tf.float32, stateful=True)
        return inputs + tf.cast(tf.ensure_shape(nothing, ()), inputs.dtype)

    def _allocate(self, rows: np.ndarray) -> np.ndarray:
        if rows > self._most:
            raise MemoryError(f"no memory for {rows} rows")
        return np.float32(0)


def with_room_for(most: int, backbone: Backbone) -> Backbone:
    """The same backbone on a device that has memory for so many pictures at once."""
    model = keras.Model(backbone.model.input, Glutton(most)(backbone.model.output), name=backbone.model.name)
    return dataclasses.replace(backbone, model=model)
