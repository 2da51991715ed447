"""The closed forms, the published figures and what Keras really builds are one and the same."""

import itertools

import keras
import pytest

from pipeline.config import ARCHITECTURES, Cell
from pipeline.networks import costs

ODD_CELLS = [(0.3, 65), (1.3, 100), (0.33, 33), (1 / 32, 32), (1.0, 127), (0.5, 99)]
MOBILENET = ARCHITECTURES["mobilenet"]
CELLS = [Cell(*pair) for pair in [*itertools.product(MOBILENET.alphas, MOBILENET.resolutions), *ODD_CELLS]]


def separable_mult_adds(kernel: int, in_channels: int, out_channels: int, side: int) -> int:
    """D_K^2 · M · D_F^2 + M · N · D_F^2 (section 3.1, equation 5)."""
    return costs.depthwise_mult_adds(kernel, in_channels, side) + costs.pointwise_mult_adds(
        in_channels, out_channels, side
    )


def multiplied_mult_adds(
    kernel: int, in_channels: int, out_channels: int, side: int, alpha: float = 1.0, rho: float = 1.0
) -> float:
    """D_K^2 · αM · (ρD_F)^2 + αM · αN · (ρD_F)^2 (sections 3.3 and 3.4, equations 6 and 7), before any rounding."""
    positions = (rho * side) ** 2
    return (kernel**2 * alpha * in_channels + alpha**2 * in_channels * out_channels) * positions


def keras_mobilenet(cell: Cell, num_classes: int) -> keras.Model:
    backbone = keras.applications.MobileNet(
        input_shape=(cell.resolution, cell.resolution, 3),
        alpha=cell.alpha,
        weights=None,
        include_top=False,
        pooling="avg",
    )
    return keras.Sequential([backbone, keras.layers.Dense(num_classes)])


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_closed_form_equals_keras(cell: Cell) -> None:
    model = keras_mobilenet(cell, 120)
    trainable = costs.mobilenet_params_trainable(cell, 120, freeze_conv=False)
    assert costs.count_params(model) == (costs.mobilenet_params(cell, 120), trainable)
    assert costs.count_mult_adds(model) == costs.mobilenet_mult_adds(cell, 120)


@pytest.mark.parametrize("cell", [Cell(0.75, 192), *CELLS[-6:]], ids=lambda cell: cell.name)
def test_each_layer_equals_keras(cell: Cell) -> None:
    backbone = keras_mobilenet(cell, 10).layers[0]
    for layer in costs.layers(cell, 10)[:-1]:
        built = backbone.get_layer(layer.name)
        assert tuple(built.output.shape[1:]) == (layer.out_side, layer.out_side, layer.out_channels), layer
        assert built.strides == (layer.stride, layer.stride)
        assert built.kernel_size == (layer.kernel, layer.kernel)
        assert layer.params == built.count_params() + backbone.get_layer(f"{layer.name}_bn").count_params()


@pytest.mark.parametrize(
    ("alpha", "num_classes", "params"),
    [(1.0, 1000, 4_253_864), (0.75, 1000, 2_601_976), (1.0, 120, 3_351_864), (0.75, 120, 1_925_256)],
)
def test_published_parameters(alpha: float, num_classes: int, params: int) -> None:
    assert costs.mobilenet_params(Cell(alpha, 224), num_classes) == params


@pytest.mark.parametrize(
    ("alpha", "resolution", "millions"),
    [(1.0, 224, 568.74), (1.0, 192, 418.12), (0.75, 224, 325.40), (0.75, 192, 239.27)],
)
def test_published_mult_adds(alpha: float, resolution: int, millions: float) -> None:
    assert round(costs.mobilenet_mult_adds(Cell(alpha, resolution), 1000) / 1e6, 2) == millions


def test_kerass_own_top_counts_as_a_dense_head() -> None:
    model = keras.applications.MobileNet(weights=None)  # its 1000-way top is a 1 x 1 convolution, conv_preds
    assert costs.count_params(model)[0] == costs.mobilenet_params(Cell(1.0, 224), 1000)
    assert costs.count_mult_adds(model) == costs.mobilenet_mult_adds(Cell(1.0, 224), 1000)


def test_a_frozen_backbone_trains_the_head_alone() -> None:
    model = keras_mobilenet(Cell(0.25, 32), 10)
    model.layers[0].trainable = False
    trainable = costs.mobilenet_params_trainable(Cell(0.25, 32), 10, freeze_conv=True)
    assert trainable == costs.dense_params(256, 10) == 2570
    assert costs.count_params(model) == (costs.mobilenet_params(Cell(0.25, 32), 10), trainable)


def test_the_papers_example_layer() -> None:
    # Table 3: an internal layer with D_K = 3, M = N = 512, D_F = 14, in millions.
    standard = costs.standard_mult_adds(3, 512, 512, 14)
    separable = separable_mult_adds(3, 512, 512, 14)
    assert round(standard / 1e6) == 462
    assert round(separable / 1e6, 1) == 52.3
    assert separable / standard == pytest.approx(costs.separable_ratio(3, 512))
    assert round(multiplied_mult_adds(3, 512, 512, 14, alpha=0.75) / 1e6, 1) == 29.6
    assert round(multiplied_mult_adds(3, 512, 512, 14, alpha=0.75, rho=0.714) / 1e6, 1) == 15.1


def test_the_layer_table_follows_equation_7() -> None:
    full, small = costs.layers(Cell(1.0, 224), 10), costs.layers(Cell(0.5, 128), 10)
    for depthwise, pointwise, half_depthwise, half_pointwise in zip(
        full[1:-1:2], full[2:-1:2], small[1:-1:2], small[2:-1:2], strict=True
    ):
        expected = multiplied_mult_adds(
            3, depthwise.in_channels, pointwise.out_channels, depthwise.out_side, alpha=0.5, rho=128 / 224
        )
        assert half_depthwise.mult_adds + half_pointwise.mult_adds == pytest.approx(expected)


def test_counts_a_shared_layer_once_a_call_and_a_separable_one() -> None:
    inputs = keras.Input((8, 8, 4))
    shared = keras.layers.Conv2D(4, 3, padding="same", groups=2)
    x = keras.layers.SeparableConv2D(6, 3, depth_multiplier=2)(shared(shared(inputs)) / 2.0)
    model = keras.Model(inputs, keras.layers.Dense(5)(x))
    grouped = 2 * (3 * 3 * 2 * 4) * 8 * 8
    separable = (3 * 3 * 4 * 2 + 8 * 6) * 6 * 6
    assert costs.count_mult_adds(model) == grouped + separable + 6 * 5 * 6 * 6


def functional(layer: object, shape: tuple[int | None, ...]) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: functional(keras.layers.Conv2DTranspose(2, 3), (8, 8, 3)), "Conv2DTranspose"),
        (lambda: functional(keras.layers.Conv1D(2, 3), (8, 3)), "Conv1D"),
        (lambda: functional(keras.layers.EinsumDense("abc,cd->abd", (8, 2)), (8, 3)), "EinsumDense"),
        (lambda: functional(lambda x: keras.ops.matmul(x, x), (8, 8)), "Matmul"),
        (lambda: functional(keras.layers.Conv2D(2, 3), (None, None, 3)), "one input size"),
        (lambda: functional(functional(keras.layers.Conv2D(2, 3), (None, None, 3)), (8, 8, 3)), "built for"),
    ],
)
def test_refuses_what_it_cannot_count(build: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        costs.count_mult_adds(build())  # type: ignore[operator]
