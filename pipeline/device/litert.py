"""A Keras model becomes a LiteRT file in single precision: a uint8 picture in, probabilities out.

What a file takes is the picture as a camera's decoder gives it, at the cell's resolution; x / 127.5 - 1, or whatever
the backbone wants, is a part of the file.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from pipeline.device import packing
from pipeline.device.rounding import Network
from pipeline.networks import backbones
from pipeline.shell.errors import UserError
from pipeline.shell.progress import quiet_stderr


def float32(model: keras.Model) -> bytes:
    """Converts a model as backbones.with_head makes it."""
    return converted(whole(model, network_of(model)))


def converter(forward: Callable[[tf.Tensor], tf.Tensor], side: int, kind: tf.DType) -> tf.lite.TFLiteConverter:
    """Of `forward`, (1, side, side, 3) -> probabilities (1, C)."""
    graph = tf.function(forward, input_signature=[tf.TensorSpec((1, side, side, 3), kind)])
    # Without a model as second argument, which would leave the weights out of the flatbuffer.
    with quiet_stderr():
        return tf.lite.TFLiteConverter.from_concrete_functions([graph.get_concrete_function()])


def whole(model: keras.Model, network: Network) -> tf.lite.TFLiteConverter:
    """Of the network of `model` from a uint8 picture on."""
    forward = answering(network)
    return converter(lambda picture: forward(preprocessed(model, picture)), side_of(network), tf.uint8)


def converted(ready: tf.lite.TFLiteConverter) -> bytes:
    """The file. Raises UserError where it has operations that LiteRT alone cannot run; they are named."""
    with quiet_stderr():
        content = ready.convert()
    if found := packing.foreign(content):
        raise UserError(
            f"wanted a network of LiteRT's builtin operations. Received: {', '.join(found)} among them, which a device "
            "does not have. Try: another backbone"
        )
    return content


def network_of(model: keras.Model) -> Network:
    """Convolutions and head, without preprocessing, and without what the logits of all classes share.

    That changes no probability, but eight bits would be spent on it: a discriminant's logits lie at 4,900, 30 apart.
    """
    backbone, kernel, bias = backbones.parts(model)
    return Network(backbone, kernel - kernel.mean(axis=1, keepdims=True), bias - bias.mean())


def side_of(network: Network) -> int:
    """Of the input, px."""
    return int(network.backbone.input_shape[1])


def preprocessed(model: keras.Model, picture: np.ndarray | tf.Tensor) -> tf.Tensor:
    """uint8 (n, r, r, 3) -> float32, as the convolutions of `model` want it."""
    scale = model.get_layer("scale")
    return tf.cast(picture, tf.float32) * scale.scale + scale.offset


def answering(network: Network) -> Callable[[tf.Tensor], tf.Tensor]:
    """float32 (n, r, r, 3), preprocessed -> probabilities (n, C)."""
    kernel, bias = (tf.constant(part, tf.float32) for part in (network.kernel, network.bias))
    centre = tf.constant(network.centre, tf.float32)

    def forward(pictures: tf.Tensor) -> tf.Tensor:
        """What is converted."""
        return tf.nn.softmax((network.backbone(pictures, training=False) - centre) @ kernel + bias)

    return forward
