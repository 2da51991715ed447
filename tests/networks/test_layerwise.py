"""Blocks of MobileNet, and their learning rates."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pipeline.config import Cell
from pipeline.networks import backbones, costs, layerwise
from pipeline.networks.layerwise import LayerwiseAdam

CELL = Cell(0.25, 32)


@pytest.fixture(scope="module")
def backbone():
    return backbones.load(CELL, "none").model


def small_network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="early"), keras.layers.Dense(2, activation="softmax")]
    )


def steps(network: keras.Model, optimizer: keras.optimizers.Optimizer, count: int = 3) -> list[np.ndarray]:
    """The weights after so many steps on the same few rows."""
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(8, 4)).astype(np.float32), np.arange(8) % 2
    network.compile(optimizer, loss="sparse_categorical_crossentropy")
    for _ in range(count):
        network.train_on_batch(rows, labels)
    return network.get_weights()


def test_every_layer_belongs_to_a_block(backbone):
    block = layerwise.blocks(backbone)
    with_weights = [layer.name for layer in backbone.layers if layer.weights]
    assert {block[name] for name in with_weights} == set(range(14))
    assert [name for name in with_weights if block[name] == 0] == ["conv1", "conv1_bn"]
    assert len([name for name in with_weights if block[name] == 13]) == 4


def test_another_network_is_cut_by_the_order_of_its_layers():
    network = keras.Sequential([keras.Input((4,)), *[keras.layers.Dense(4, name=f"d{number}") for number in range(28)]])
    assert list(layerwise.blocks(network).values()) == [number // 2 for number in range(28)]


@pytest.mark.parametrize("blocks", [1, 3, 13, "all"])
def test_as_many_weights_are_trained_as_costs_counts(backbone, blocks):
    layerwise.unfreeze(backbone, blocks)
    head = costs.dense_params(256, 10)
    counted = costs.mobilenet_params_trainable(CELL, 10, freeze_conv=False, unfreeze=blocks)
    assert costs.count_params(backbone)[1] + head == counted


def test_a_block_learns_more_slowly_than_the_one_after_it(backbone):
    scales = layerwise.scales(backbone, 0.5)
    assert scales.keys() == {weight.path for weight in backbone.weights}
    assert scales["conv_pw_13/kernel"] == 0.5
    assert scales["conv_dw_12/kernel"] == scales["conv_pw_12_bn/gamma"] == 0.25
    assert scales["conv1/kernel"] == 0.5**14
    assert set(layerwise.scales(backbone, 1.0).values()) == {1.0}


def test_with_one_rate_for_all_it_is_adam():
    options = {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.99}
    ours, theirs = small_network(), small_network()
    scales = dict.fromkeys([weight.path for weight in ours.weights], 1.0)
    for one, other in zip(
        steps(ours, LayerwiseAdam(scales, **options)), steps(theirs, keras.optimizers.Adam(**options)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_the_step_is_scaled_and_not_the_gradient():
    network = small_network()
    before = network.get_weights()
    early = {weight.path: 0.25 for weight in network.get_layer("early").weights}
    after = steps(network, LayerwiseAdam(early, learning_rate=0.01), count=1)
    moved = [np.abs(new - old).max() for new, old in zip(after, before, strict=True)]
    assert moved == pytest.approx([0.0025, 0.0025, 0.01, 0.01], rel=1e-3)  # Adam's first step is its rate


def test_keras_may_wrap_it_for_mixed_precision():
    network = small_network()
    before = network.get_weights()
    early = {weight.path: 0.25 for weight in network.get_layer("early").weights}
    wrapped = keras.optimizers.LossScaleOptimizer(LayerwiseAdam(early, learning_rate=0.01), initial_scale=2.0)
    after = steps(network, wrapped, count=1)
    assert np.abs(after[0] - before[0]).max() == pytest.approx(0.0025, rel=1e-2)
