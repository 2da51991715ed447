"""Parameters and mult-adds: in closed form, as in Howard et al. 2017 (arXiv:1704.04861), and counted from a model.

A mult-add is one multiplication with its addition, for one picture. As in the paper, convolutions and dense layers
count; biases, batch normalisation, activations and pooling do not. The paper's D_F is taken as the side of the *output*
map, which is what makes its formulas hold at stride 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline.config import Cell, Unfreeze

if TYPE_CHECKING:
    import keras

Kind = Literal["standard", "depthwise", "pointwise", "dense"]

KERNEL = 3  # D_K of MobileNet's standard and depthwise convolutions (section 3.2)
FIRST_FILTERS = 32  # channels out of the first convolution at alpha = 1 (table 1)
BATCH_NORM_PARAMS = 4  # per channel: scale, offset, moving mean, moving variance
BATCH_NORM_TRAINABLE = 2  # scale and offset

# Table 1's thirteen depthwise-separable blocks: (stride of the depthwise part, channels out at alpha = 1). The table's
# "s2" in its last depthwise row is a slip, since its input and output are both 7 x 7; Keras has 1 there, too.
BLOCKS = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5, (2, 1024), (1, 1024))

LAYERS_OF_A_BLOCK = 2  # depthwise and pointwise

# Functions that multiply arrays outside of any layer, by Keras' names for them: never to be skipped as free.
_PRODUCTS = frozenset(
    {"Conv", "ConvTranspose", "DepthwiseConv", "SeparableConv", "Matmul", "Einsum", "Dot", "Tensordot"}
)


def standard_mult_adds(kernel: int, in_channels: int, out_channels: int, side: int) -> int:
    """D_K^2 · M · N · D_F^2 (section 3.1, equation 2)."""
    return kernel**2 * in_channels * out_channels * side**2


def depthwise_mult_adds(kernel: int, channels: int, side: int) -> int:
    """D_K^2 · M · D_F^2 (section 3.1, equation 4)."""
    return kernel**2 * channels * side**2


def pointwise_mult_adds(in_channels: int, out_channels: int, side: int) -> int:
    """M · N · D_F^2 (section 3.1, second term of equation 5)."""
    return in_channels * out_channels * side**2


def separable_ratio(kernel: int, out_channels: int) -> float:
    """Separable over standard mult-adds, 1/N + 1/D_K^2 (section 3.1, after equation 5)."""
    return 1 / out_channels + 1 / kernel**2


def dense_mult_adds(inputs: int, outputs: int) -> int:
    """M · N: a pointwise convolution on a single position."""
    return pointwise_mult_adds(inputs, outputs, side=1)


def dense_params(inputs: int, outputs: int) -> int:
    """M · N weights and N biases; all there is to train on a frozen backbone."""
    return inputs * outputs + outputs


@dataclass(frozen=True)
class Layer:
    """One convolution with its batch normalisation, or the dense head.

    Sides are in px; `in_side` is that of the map before any padding.
    """

    name: str  # as in keras.applications.MobileNet; "head" for the dense layer
    kind: Kind
    kernel: int
    stride: int
    in_channels: int
    out_channels: int
    in_side: int
    out_side: int

    @property
    def params(self) -> int:
        """Weights and, of a convolution, its batch normalisation's four numbers a channel."""
        if self.kind == "dense":
            return dense_params(self.in_channels, self.out_channels)
        inputs = 1 if self.kind == "depthwise" else self.in_channels
        return self.kernel**2 * inputs * self.out_channels + BATCH_NORM_PARAMS * self.out_channels

    @property
    def params_trainable(self) -> int:
        """Those that an unfrozen layer trains: all but the moving mean and variance."""
        fixed = 0 if self.kind == "dense" else BATCH_NORM_PARAMS - BATCH_NORM_TRAINABLE
        return self.params - fixed * self.out_channels

    @property
    def mult_adds(self) -> int:
        """Of one picture."""
        if self.kind == "depthwise":
            return depthwise_mult_adds(self.kernel, self.in_channels, self.out_side)
        if self.kind == "standard":
            return standard_mult_adds(self.kernel, self.in_channels, self.out_channels, self.out_side)
        return pointwise_mult_adds(self.in_channels, self.out_channels, self.out_side)


def layers(cell: Cell, num_classes: int) -> list[Layer]:
    """MobileNet v1 for `cell`, as Keras builds it, in order of execution: 27 convolutions and the dense head.

    At odd sides Keras rounds in two ways: the first convolution pads on both edges ("same": up), a depthwise one of
    stride 2 on one edge only ("valid" after ZeroPadding2D: down).
    """
    side, channels = math.ceil(cell.resolution / 2), _width(FIRST_FILTERS, cell)
    table = [Layer("conv1", "standard", KERNEL, 2, 3, channels, cell.resolution, side)]
    for number, (stride, filters) in enumerate(BLOCKS, start=1):
        in_side, side = side, side // stride
        table.append(Layer(f"conv_dw_{number}", "depthwise", KERNEL, stride, channels, channels, in_side, side))
        in_channels, channels = channels, _width(filters, cell)
        table.append(Layer(f"conv_pw_{number}", "pointwise", 1, 1, in_channels, channels, side, side))
    table.append(Layer("head", "dense", 1, 1, channels, num_classes, 1, 1))
    return table


def mobilenet_params(cell: Cell, num_classes: int) -> int:
    """All parameters of the cell with a dense head of `num_classes`, batch normalisation's moving averages included."""
    return sum(layer.params for layer in layers(cell, num_classes))


def mobilenet_params_trainable(cell: Cell, num_classes: int, freeze_conv: bool, unfreeze: Unfreeze = "all") -> int:
    """The head's parameters, and without the moving averages those of the last `unfreeze` blocks, if not frozen."""
    table = layers(cell, num_classes)
    frozen = 0 if unfreeze == "all" else len(table) - 1 - LAYERS_OF_A_BLOCK * unfreeze
    trained = table[-1 if freeze_conv else frozen :]
    return sum(layer.params_trainable for layer in trained)


def mobilenet_mult_adds(cell: Cell, num_classes: int) -> int:
    """Mult-adds of one picture through the cell and a dense head of `num_classes`."""
    return sum(layer.mult_adds for layer in layers(cell, num_classes))


def count_params(model: keras.Model) -> tuple[int, int]:
    """(params_total, params_trainable) of any built model."""
    return model.count_params(), sum(math.prod(weight.shape) for weight in model.trainable_weights)


def count_mult_adds(model: keras.Model) -> int:
    """Mult-adds of one picture through a Functional or Sequential model, models inside it included.

    A layer counts once for every time that the model calls it. Raises ValueError rather than leave something out: for a
    layer with weight matrices that is not Conv2D, DepthwiseConv2D, SeparableConv2D or Dense, for a size that is not
    fixed, and for a model that keeps no graph.
    """
    return _model_mult_adds(model, model.input_shape)


def _model_mult_adds(model: keras.Model, input_shape: tuple[int | None, ...]) -> int:
    import keras

    calls = _sequential_calls if isinstance(model, keras.Sequential) else _functional_calls
    return sum(_layer_mult_adds(layer, shape) for layer, shape in calls(model, input_shape))


def _layer_mult_adds(layer: keras.Layer, input_shape: tuple[int | None, ...]) -> int:
    import keras

    if isinstance(layer, keras.Model):
        return _model_mult_adds(layer, input_shape)
    if isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
        return math.prod(layer.kernel.shape) * _positions(layer, input_shape)
    if isinstance(layer, keras.layers.SeparableConv2D):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return kernels * _positions(layer, input_shape)
    if isinstance(layer, keras.layers.Dense):
        return math.prod(layer.kernel.shape) * _fixed(layer, input_shape[1:-1])
    if any(len(weight.shape) > 1 for weight in layer.weights):
        raise ValueError(
            "wanted Conv2D, DepthwiseConv2D, SeparableConv2D and Dense where a layer has weight matrices. "
            f"Received: {type(layer).__name__} {layer.name!r}."
        )
    return 0


def _sequential_calls(
    model: keras.Sequential, shape: tuple[int | None, ...]
) -> Iterator[tuple[keras.Layer, tuple[int | None, ...]]]:
    """Each layer with the shape of what it is given."""
    for layer in model.layers:
        yield layer, shape
        shape = layer.compute_output_shape(shape)


def _functional_calls(
    model: keras.Model, shape: tuple[int | None, ...]
) -> Iterator[tuple[keras.Layer, tuple[int | None, ...]]]:
    """Each call of a layer with the shape of its first argument, from the graph that the model's config spells out."""
    if "input_layers" not in (graph := model.get_config()):
        raise ValueError(f"wanted a Functional or Sequential model. Received: {type(model).__name__} {model.name!r}.")
    if tuple(shape) != tuple(model.input_shape):
        raise ValueError(
            f"wanted the model {model.name!r} to be called at the size it was built for, {model.input_shape}. "
            f"Received: {tuple(shape)}."
        )
    by_name = {layer.name: layer for layer in model.layers}
    for entry in graph["layers"]:
        if entry["class_name"] in _PRODUCTS:
            raise ValueError(f"wanted products inside layers. Received: the operation {entry['class_name']}.")
        if entry["name"] in by_name:
            for node in entry["inbound_nodes"]:
                yield by_name[entry["name"]], _first_shape(node["args"])


def _first_shape(args: Any) -> tuple[int | None, ...]:
    """Shape of the first tensor in a call's arguments, where a list of tensors may stand first."""
    first = args[0]
    while isinstance(first, (list, tuple)):
        first = first[0]
    return tuple(first["config"]["shape"])


def _positions(layer: Any, input_shape: tuple[int | None, ...]) -> int:
    """Places in the output map at which a convolution's kernel is applied."""
    shape = layer.compute_output_shape(input_shape)
    return _fixed(layer, shape[2:4] if layer.data_format == "channels_first" else shape[1:3])


def _fixed(layer: keras.Layer, sides: tuple[int | None, ...]) -> int:
    if any(side is None for side in sides):
        raise ValueError(f"wanted a model built for one input size. Received: {sides} at the layer {layer.name!r}.")
    return math.prod(side for side in sides if side is not None)


def _width(filters: int, cell: Cell) -> int:
    return int(filters * cell.alpha)  # rounds down, as keras.applications.MobileNet does
