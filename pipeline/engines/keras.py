"""Keras' own graph: compiled by XLA on a GPU, plain on a CPU."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pipeline.backbones import Backbone


class Keras:
    """See pipeline.engines.Engine.

    Args:
        batch: pictures that are run together; fewer are filled up, so that nothing is compiled twice.
        compiled: by XLA, which on a CPU runs MobileNet's convolutions several times slower than the plain graph.
    """

    name = "keras"
    lanes = 1  # TensorFlow uses all cores by itself

    def __init__(self, backbone: Backbone, batch: int, compiled: bool) -> None:
        self._batch = batch

        @tf.function(input_signature=[tf.TensorSpec((batch, *backbone.model.input_shape[1:]))], jit_compile=compiled)
        def forward(pictures: tf.Tensor) -> tf.Tensor:
            return backbone.model(pictures, training=False)

        self._forward = forward

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """float32 (n, r, r, 3) -> float32 (n, d), n <= batch."""
        missing = self._batch - len(pictures)
        filled = np.pad(pictures, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else pictures
        return self._forward(filled).numpy()[: len(pictures)]
