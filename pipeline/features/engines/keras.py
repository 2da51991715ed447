"""Keras' own graph: compiled by XLA on a GPU, plain on a CPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from pipeline.config import Precision
from pipeline.features.engines import fixed
from pipeline.networks import backbones, devices
from pipeline.networks.backbones import Backbone

ON_A_GPU = 32  # as many as a pass over the pictures hands over
ON_A_CPU = 8  # on two cores, 32 overflow the second-level cache


class Keras:
    """See pipeline.features.engines.Engine.

    Args:
        compiled: by XLA, which on a CPU runs MobileNet's convolutions several times slower than the plain graph.
        precision: of the convolutions; the features are float32 in any case.
    """

    name = "keras"
    lanes = 1  # TensorFlow uses all cores by itself

    def __init__(self, backbone: Backbone, compiled: bool, precision: Precision = "float32") -> None:
        self._task, self._compiled = f"features of {backbone.cell.name}", compiled
        self._model = backbone.model
        if precision != "float32":
            self._model = backbones.in_precision(backbone.model, precision)
        self._graph = self._of(ON_A_GPU if compiled else ON_A_CPU)

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """float32 (n, r, r, 3) -> float32 (n, d).

        Raises UserError where there is no memory for one picture.
        """
        while True:
            batch, graph = self._graph
            try:
                return fixed.run(graph, pictures, batch)
            except tf.errors.ResourceExhaustedError as error:
                # From `batch`, for another thread may have come here meanwhile. What did not fit will not fit later.
                self._graph = self._of(devices.halved(batch, self._task, error))

    def _of(self, batch: int) -> tuple[int, Callable[[np.ndarray], np.ndarray]]:
        """The graph for so many pictures: XLA compiles for one number of them."""
        model = self._model

        @tf.function(input_signature=[tf.TensorSpec((batch, *model.input_shape[1:]))], jit_compile=self._compiled)
        def forward(pictures: tf.Tensor) -> tf.Tensor:
            """Pictures to features."""
            return tf.cast(model(pictures, training=False), tf.float32)

        return batch, lambda some: forward(some).numpy()
