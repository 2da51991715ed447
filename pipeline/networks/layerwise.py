"""A network's blocks, one by one: which of them are trained, and how fast each of them learns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from pipeline.config import MOBILENET_BLOCKS, Unfreeze

_BLOCK = re.compile(r"conv_(?:dw|pw|pad)_(\d+)(?:_|$)")  # Keras' names of what belongs to one of the thirteen


def blocks(backbone: keras.Model) -> dict[str, int]:
    """Name of every layer -> the block that it belongs to, 1 to 13; 0 for conv1 and what is around it.

    Any other network than MobileNet v1 is cut by the order of its layers into fourteen parts of the same size.
    """
    names = [layer.name for layer in backbone.layers]
    if "conv_dw_1" in names:
        matches = {name: _BLOCK.match(name) for name in names}
        return {name: int(match.group(1)) if match else 0 for name, match in matches.items()}
    return {name: index * (MOBILENET_BLOCKS + 1) // len(names) for index, name in enumerate(names)}


def unfreeze(backbone: keras.Model, last: Unfreeze) -> None:
    """Lets the last so many blocks be trained, and no others."""
    first = 0 if last == "all" else MOBILENET_BLOCKS + 1 - last
    block = blocks(backbone)
    for layer in backbone.layers:
        layer.trainable = block[layer.name] >= first


def scales(backbone: keras.Model, decay: float) -> dict[str, float]:
    """Path of every weight of the convolutions -> its learning rate, as a part of the head's.

    A block learns at `decay` times the rate of the block after it, and the last at `decay` times the head's. Howard and
    Ruder 2018 (ULMFiT, section 3.2, arXiv:1801.06146) divide by 2.6 from layer to layer of a network of a handful. Over
    the fourteen steps from our head to conv1 that would leave it a millionth; 0.8 leaves it a twenty-third.
    """
    block = blocks(backbone)
    return {
        weight.path: decay ** (MOBILENET_BLOCKS + 1 - block[layer.name])
        for layer in backbone.layers
        for weight in layer.weights
    }


class LayerwiseAdam(keras.optimizers.Adam):
    """Adam, whose steps are shorter for some weights.

    It scales the steps and not the gradients: Adam divides a gradient by its own size, so that its scale is lost.

    Args:
        scales: path of a weight -> factor of its learning rate; 1 where none is given.
        options: of keras.optimizers.Adam.
    """

    def __init__(self, scales: Mapping[str, float], **options: Any) -> None:
        super().__init__(**options)
        self._scales = scales
        self._scale_of: dict[Any, float] = {}

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Keras calls it with the weights to train, before the first step."""
        super().build(variables)
        self._scale_of = {weight.value.ref(): self._scales.get(weight.path, 1.0) for weight in variables}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One weight's step; `variable` is tensorflow's."""
        super().update_step(gradient, variable, learning_rate * self._scale_of[variable.ref()])
