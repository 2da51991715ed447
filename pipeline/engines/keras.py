"""Keras' own graph: compiled by XLA on a GPU, plain on a CPU."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pipeline.backbones import Backbone
from pipeline.engines import fixed


class Keras:
    """See pipeline.engines.Engine.

    Args:
        compiled: by XLA, which on a CPU runs MobileNet's convolutions several times slower than the plain graph.
    """

    name = "keras"
    lanes = 1  # TensorFlow uses all cores by itself

    def __init__(self, backbone: Backbone, compiled: bool) -> None:
        self._batch = batch = 64 if compiled else 8  # plain on two cores, 32 overflow the second-level cache

        @tf.function(input_signature=[tf.TensorSpec((batch, *backbone.model.input_shape[1:]))], jit_compile=compiled)
        def forward(pictures: tf.Tensor) -> tf.Tensor:
            return backbone.model(pictures, training=False)

        self._forward = forward

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """float32 (n, r, r, 3) -> float32 (n, d)."""
        return fixed.run(lambda some: self._forward(some).numpy(), pictures, self._batch)
