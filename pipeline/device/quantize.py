"""Smaller files of a Keras model: weights of sixteen bits, or everything in eight.

TensorFlow's converter makes both. litert-quantizer 0.11 was measured beside it, on the same pictures: it has no uint8
input, and of the dogs its int8 file answered four times as many otherwise (docs/device.md).
"""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from pipeline.device import litert
from pipeline.device.rounding import centred, corrected


def float16(model: keras.Model, pictures: np.ndarray) -> bytes:
    """Weights in half precision, half as large; where a processor has no such arithmetic it computes in single.

    Args:
        pictures: as of int8; around the mean of their features the head is computed.
    """
    network = centred(litert.network_of(model), litert.preprocessed(model, pictures).numpy())
    ready = litert.whole(model, network)
    ready.optimizations = [tf.lite.Optimize.DEFAULT]
    ready.target_spec.supported_types = [tf.float16]
    return litert.converted(ready)


def int8(model: keras.Model, pictures: np.ndarray) -> bytes:
    """Whole numbers alone: a uint8 picture in, uint8 probabilities in 256ths out; weights have a scale per channel.

    The picture's scaling is the scale and the zero of the input, and no operation.

    Args:
        pictures: uint8 (n, r, r, 3), of the training part, by which the range of each layer is told.
    """
    full = _of_full_range(pictures)
    network = litert.network_of(model)
    better = corrected(network, litert.preprocessed(model, pictures).numpy())
    ready = litert.converter(litert.answering(better), litert.side_of(network), tf.float32)

    def shown() -> Iterator[list[tf.Tensor]]:
        """One picture after the other."""
        for picture in full:
            yield [litert.preprocessed(model, picture[None])]

    ready.optimizations = [tf.lite.Optimize.DEFAULT]
    ready.representative_dataset = shown
    ready.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    ready.inference_input_type = ready.inference_output_type = tf.uint8
    return litert.converted(ready)


def _of_full_range(pictures: np.ndarray) -> np.ndarray:
    """With one black and one white value, so that a step of the input is a step of a byte, whatever they show."""
    full = pictures.copy()
    full[0, 0, 0] = (0, 128, 255)
    return full
