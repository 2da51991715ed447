"""Every row of the table of backbones, held against what Keras builds, with random weights: nothing is downloaded."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pipeline.config import ARCHITECTURES, Cell, TrainConfig
from pipeline.features.engines import litert
from pipeline.networks import backbones, costs
from pipeline.networks.backbones import Backbone
from pipeline.shell.errors import UserError
from pipeline.tracking import records

# name -> keras.applications' module, features at the cell's alpha, parameters of Keras' whole model at alpha 1.0.
KERAS = {
    "mobilenet": ("mobilenet", 512, 4_253_864),
    "inception_v3": ("inception_v3", 2048, 23_851_784),
    "mobilenet_v2": ("mobilenet_v2", 1280, 3_538_984),
    "mobilenet_v3_small": ("mobilenet_v3", 1024, 2_554_968),
    "mobilenet_v3_large": ("mobilenet_v3", 1280, 5_507_432),
    "efficientnetv2_b0": ("efficientnet_v2", 1280, 7_200_312),
}


def small(name: str) -> Cell:
    """Its smallest cell, with a width other than 1 where it has one."""
    known = ARCHITECTURES[name]
    return Cell(0.5 if known.has_multiplier else 1.0, max(64, known.smallest), name)


SLOW = {"inception_v3", "efficientnetv2_b0", "mobilenet_v3_large"}
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in ARCHITECTURES]


@pytest.fixture(scope="module", params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Coarse patches: fine noise looks the same to a network that averages, and rounding would be all that is left."""
    patches = np.random.default_rng(0).integers(0, 256, (16, 5, 6, 3), dtype=np.uint8)
    return patches.repeat(16, axis=1).repeat(16, axis=2)


@pytest.fixture(scope="module")
def whole(name, pictures) -> keras.Model:
    """Keras' model with random weights, normalised so that it tells pictures apart."""
    model = backbones.whole_model(small(name))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(backbones.preprocess(pictures, small(name)), training=True)
    return model


@pytest.fixture(scope="module")
def backbone(name, whole, tmp_path_factory) -> Backbone:
    path = tmp_path_factory.mktemp("weights") / "whole.weights.h5"
    whole.save_weights(path)
    return backbones.load(small(name), str(path))


def test_preprocessing_is_keras_own(name, pictures):
    module = getattr(keras.applications, KERAS[name][0])
    ends = module.preprocess_input(np.array([0.0, 255.0], np.float32))
    assert tuple(ends) == ARCHITECTURES[name].pixels
    scaled = backbones.preprocess(pictures, small(name)).numpy()
    assert scaled.dtype == np.float32
    assert ends[0] <= scaled.min() < scaled.max() <= ends[1]
    assert np.ptp(scaled) > 0.5 * np.ptp(ends)


def test_features_are_one_row_a_picture(name, backbone, pictures):
    assert backbone.model.name == backbone.cell.name
    features = backbone.model(backbones.preprocess(pictures, backbone.cell), training=False).numpy()
    assert features.shape == (len(pictures), KERAS[name][1])
    assert features.std(axis=0).max() > 1e-3


def test_raw_pictures_through_the_joined_model_are_keras_whole_one(whole, backbone, pictures):
    expected = whole.predict(backbones.preprocess(pictures, backbone.cell), verbose=0)
    joined = backbones.with_head(backbone, backbone.classifier.kernel, backbone.classifier.bias)
    np.testing.assert_allclose(joined.predict(pictures, verbose=0), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 1e-4


@pytest.mark.parametrize("name", sorted(ARCHITECTURES.keys() - SLOW), indirect=True)
def test_an_exported_backbone_is_read_again(backbone, tmp_path):
    backbones.export(backbone.model, tmp_path / "features.weights.h5")
    read = backbones.load(backbone.cell, str(tmp_path / "features.weights.h5"))
    assert read.classifier is None
    for ours, theirs in zip(read.model.get_weights(), backbone.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3)


def test_litert_runs_it(backbone, pictures, tmp_path):
    given = backbones.preprocess(pictures, backbone.cell).numpy()
    expected = backbone.model(given, training=False).numpy()
    features = litert.load(backbone, str(tmp_path))(given)
    # On average, not at most as in tests/engines: random networks of a hundred layers make much of a rounding error.
    assert np.sqrt(np.mean((features - expected) ** 2)) <= 1e-3 * expected.std()


def test_parameters_are_kerass_whole_model(name):
    config = TrainConfig(backbone=name, protocol="replication", alpha=1.0, resolution=224)
    counted = records.cell_costs(config, 120)
    assert counted["params_total"] == KERAS[name][2]
    width = KERAS[name][1] * (2 if name == "mobilenet" else 1)
    assert counted["params_trainable"] == costs.dense_params(width, 1000)


def test_counts_equal_those_of_the_model_that_is_trained(backbone):
    cell = backbone.cell
    config = TrainConfig(
        backbone=cell.backbone, weights="none", freeze_conv=False, alpha=cell.alpha, resolution=cell.resolution
    )
    width = backbone.model.output_shape[-1]
    model = backbones.with_head(backbone, np.zeros((width, 7), np.float32), np.zeros(7, np.float32))
    total, trainable = costs.count_params(model)
    assert records.cell_costs(config, 7) == {
        "params_total": total,
        "params_trainable": trainable,
        "mult_adds": costs.count_mult_adds(backbone.model) + 7 * width,
    }


@pytest.mark.parametrize(
    ("cell", "file"),
    [
        (Cell(1.0, 192), "mobilenet_1_0_192_tf.h5"),
        (Cell(0.75, 224), "mobilenet_7_5_224_tf.h5"),
        (Cell(1.0, 224, "inception_v3"), "inception_v3_weights_tf_dim_ordering_tf_kernels.h5"),
        (Cell(0.35, 96, "mobilenet_v2"), "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96.h5"),
        (Cell(0.75, 224, "mobilenet_v3_small"), "weights_mobilenet_v3_small_224_0.75_float.h5"),
        (Cell(1.0, 224, "mobilenet_v3_large"), "weights_mobilenet_v3_large_224_1.0_float.h5"),
        (Cell(1.0, 224, "efficientnetv2_b0"), "efficientnetv2-b0.h5"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_imagenet_weights_are_asked_for_by_kerass_name(cell, file, tmp_path, monkeypatch):
    asked = []

    def get_file(name, *_args, **_options):
        asked.append(name)
        raise OSError("no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.src.utils.file_utils, "get_file", get_file)
    with pytest.raises(UserError, match=file.replace(".", r"\.")):
        backbones.load(cell, "imagenet")
    assert asked == [file]


@pytest.mark.slow
def test_inceptions_weights_serve_at_another_resolution(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    built = backbones.whole_model

    def whole(cell, weights=None, resolution=0):
        assert weights is None or resolution == 299
        return built(cell, None, resolution)

    monkeypatch.setattr(backbones, "whole_model", whole)
    backbone = backbones.load(Cell(1.0, 224, "inception_v3"), "imagenet")
    assert backbone.model.input_shape == (None, 224, 224, 3)
    assert backbone.classifier.kernel.shape == (2048, 1000)
