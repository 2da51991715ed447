"""Before weights are rounded to eight bits: offsets that take back by how much that shifts the mean of each channel.

A channel's nine depthwise weights are rounded to 255 steps, and what is lost does not even out: the mean of all that
the channel says moves, and the next layers add to it. How far is known beforehand, from the rounded weights and the
mean of what comes in; batch normalisation's offset takes it back. This is the bias correction of Nagel et al. 2019
(arXiv:1906.04721), section 4.2, with means taken from pictures. docs/device.md says what it is worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np

STEPS = 127  # of a weight, to either side of zero
AT_ONCE = 16 * 224**2  # pixels, of which a network's layers take some 400 bytes each


class Network(NamedTuple):
    """Convolutions, and the head behind them: of features f (d,) its logits are (f - centre) @ kernel + bias.

    Attributes:
        kernel: (d, C); bias: (C,).
        centre: (d,), or 0. Around the features' mean, what rounding does to the kernel shifts no logit.
    """

    backbone: keras.Model
    kernel: np.ndarray
    bias: np.ndarray
    centre: np.ndarray | float = 0.0


def corrected(network: Network, pictures: np.ndarray) -> Network:
    """A copy that, its weights rounded, says on average what `network` says.

    Only convolutions with batch normalisation right behind them are corrected, and the head.

    Args:
        pictures: float32 (n, r, r, 3), preprocessed; of the training part.
    """
    backbone = keras.models.clone_model(network.backbone)
    backbone.set_weights(network.backbone.get_weights())
    pairs = list(_normalised(backbone))
    *entering, features = _means(backbone, [conv.input for conv, _norm in pairs], pictures)
    for (conv, norm), mean in zip(pairs, entering, strict=True):
        gamma = norm.gamma.numpy() if norm.scale else 1.0
        weights = conv.get_weights()[0]  # (h, w, in, out), or depthwise (h, w, channels, 1)
        is_depthwise = isinstance(conv, keras.layers.DepthwiseConv2D)
        folded = (np.swapaxes(weights, 2, 3) if is_depthwise else weights) * (
            gamma / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
        )
        lost = (_rounded(folded) - folded).sum(axis=(0, 1))  # (in, out), or depthwise (1, channels)
        norm.beta.assign(norm.beta - (lost[0] * mean if is_depthwise else mean @ lost))
    return Network(backbone, network.kernel, network.bias + features @ network.kernel, features)


def centred(network: Network, pictures: np.ndarray) -> Network:
    """The same, computed around the mean of the features of `pictures`, float32 (n, r, r, 3), preprocessed."""
    (features,) = _means(network.backbone, [], pictures)
    return network._replace(bias=network.bias + features @ network.kernel, centre=features)


def _rounded(weights: np.ndarray) -> np.ndarray:
    """(..., out) -> the same, of STEPS to either side, as large for each output as its largest weight asks for."""
    step = np.abs(weights).max(axis=tuple(range(weights.ndim - 1))) / STEPS
    step[step == 0] = 1
    return np.round(weights / step) * step


def _normalised(backbone: keras.Model) -> Iterator[tuple[keras.Layer, keras.Layer]]:
    """Convolutions, each with the batch normalisation that alone takes what it gives."""
    takers: dict[int, list[keras.Layer]] = {}
    for layer in backbone.layers:
        for given in layer.input if isinstance(layer.input, list | tuple) else [layer.input]:
            takers.setdefault(id(given), []).append(layer)
    for layer in backbone.layers:
        after = takers.get(id(layer.output), [])
        is_convolution = isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
        if is_convolution and len(after) == 1 and isinstance(after[0], keras.layers.BatchNormalization):
            yield layer, after[0]


def _means(backbone: keras.Model, tensors: Sequence[keras.KerasTensor], pictures: np.ndarray) -> list[np.ndarray]:
    """Of each channel of `tensors`, and of the features, over all pictures and positions."""
    probe = keras.Model(backbone.input, [*tensors, backbone.output])
    sums: list[np.ndarray] = []
    batch = max(1, AT_ONCE // (pictures.shape[1] * pictures.shape[2]))
    for begin in range(0, len(pictures), batch):
        values = [value.numpy() for value in keras.tree.flatten(probe(pictures[begin : begin + batch], training=False))]
        parts = [value.reshape(len(value), -1, value.shape[-1]).mean(axis=1).sum(axis=0) for value in values]
        sums = [total + part for total, part in zip(sums, parts, strict=True)] if sums else parts
    return [total / len(pictures) for total in sums]
