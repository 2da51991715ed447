"""A shortage of memory that can be had anywhere."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from pipeline.networks.backbones import Backbone


@dataclass
class Room:
    """How many pictures memory suffices for at once; it may change while a network is trained."""

    pictures: int


class Glutton(keras.layers.Layer):
    """Hands its input on, but has no memory for more rows than `room` says: tensorflow's ResourceExhaustedError.

    Not by allocating too much, for which tensorflow's allocator would wait ten seconds each time.
    """

    def __init__(self, room: Room) -> None:
        super().__init__()
        self._room = room

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        nothing = tf.numpy_function(self._allocate, [tf.shape(inputs)[0]], tf.float32, stateful=True)
        return inputs + tf.cast(tf.ensure_shape(nothing, ()), inputs.dtype)

    def _allocate(self, rows: np.ndarray) -> np.ndarray:
        if rows > self._room.pictures:
            raise MemoryError(f"no memory for {rows} rows")
        return np.float32(0)


def with_room_for(room: Room, backbone: Backbone) -> Backbone:
    """The same backbone on a device that has memory for so many pictures at once."""
    model = keras.Model(backbone.model.input, Glutton(room)(backbone.model.output), name=backbone.model.name)
    return dataclasses.replace(backbone, model=model)


def shallow(backbone: Backbone, last: str = "conv_pw_2_relu") -> Backbone:
    """MobileNet up to its layer `last`, which tensorflow compiles in a fraction of the time."""
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.model.get_layer(last).output)
    return dataclasses.replace(backbone, model=keras.Model(backbone.model.input, pooled, name=backbone.model.name))
