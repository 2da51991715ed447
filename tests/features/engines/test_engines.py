"""Both engines give the same features, and Keras steps in where LiteRT cannot."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipeline import datasets
from pipeline.config import Cell, DataConfig
from pipeline.datasets import Split
from pipeline.features import engines
from pipeline.features.engines import litert
from pipeline.features.table import load_table
from pipeline.networks import backbones, devices
from pipeline.networks.backbones import Backbone
from pipeline.shell.errors import UserError


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return backbones.load(Cell(0.25, 48), "tiny")


@pytest.fixture
def sample() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (3, 48, 48, 3)).astype(np.float32)


def both(split: Split, backbone: Backbone, folder) -> tuple[np.ndarray, np.ndarray]:
    """The features of a split by Keras and by LiteRT."""
    return tuple(
        load_table(split, "test:1", backbone, str(folder / engine), engine).features for engine in ("keras", "litert")
    )


def require_agreement(theirs: np.ndarray, ours: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> None:
    assert np.abs(theirs - ours).max() <= 1e-3 * theirs.std()
    assert np.mean((theirs @ kernel + bias).argmax(axis=1) == (ours @ kernel + bias).argmax(axis=1)) >= 0.999


@pytest.mark.slow
@pytest.mark.parametrize("cell", [Cell(0.25, 48), Cell(0.5, 128)])
def test_engines_agree_on_digits(cell, tmp_path):
    train = datasets.load(DataConfig(dataset="digits")).train
    theirs, ours = both(train, backbones.load(cell, "tiny"), tmp_path)
    means = np.stack([theirs[train.labels == label].mean(axis=0) for label in range(10)], axis=1)
    require_agreement(theirs, ours, means, -0.5 * (means**2).sum(axis=0))  # the nearest class mean


@pytest.mark.slow
@pytest.mark.realdata
def test_engines_agree_on_dogs(real_data, tmp_path):
    dogs = datasets.load(DataConfig(dataset="stanford_dogs", data_dir=str(real_data / "tfds")))
    weights = real_data / "keras" / "models" / "mobilenet_7_5_224_tf.h5"
    backbone = backbones.load(Cell(0.75, 224), str(weights))
    columns = backbones.imagenet_columns(dogs.class_names)
    theirs, ours = both(dogs.test, backbone, tmp_path)
    require_agreement(theirs, ours, backbone.classifier.kernel[:, columns], backbone.classifier.bias[columns])


def test_a_cpu_takes_litert(tiny, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "on_a_gpu", lambda: False)
    assert engines.make("auto", tiny, str(tmp_path), sample).name == "litert"
    assert engines.make("litert", tiny, str(tmp_path), sample).name == "litert"


def test_keras_is_taken_where_it_is_asked_for(tiny, sample, tmp_path):
    engine = engines.make("keras", tiny, str(tmp_path), sample)
    assert engine.name == "keras"
    np.testing.assert_allclose(engine(sample), tiny.model(sample, training=False), atol=1e-5)
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_takes_keras(tiny, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "on_a_gpu", lambda: True)
    engine = engines.make("auto", tiny, str(tmp_path), sample)
    assert engine.name == "keras"
    np.testing.assert_allclose(engine(sample), tiny.model(sample, training=False), atol=1e-4)


def test_mixed_precision_is_a_gpus(tiny, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "on_a_gpu", lambda: False)
    with pytest.raises(UserError, match="a GPU for precision mixed_float16"):
        engines.make("auto", tiny, str(tmp_path), sample, "mixed_float16")
    monkeypatch.setattr(devices, "on_a_gpu", lambda: True)
    features = engines.make("auto", tiny, str(tmp_path), sample, "mixed_float16")(sample)
    plain = tiny.model(sample, training=False).numpy()
    assert features.dtype == np.float32
    assert 1e-5 < np.abs(features - plain).max() / plain.std() < 0.05
    assert tiny.model.compute_dtype == "float32"


def test_without_its_package_keras_steps_in_unsaid(tiny, sample, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(litert, "installed", lambda: False)
    assert engines.make("auto", tiny, str(tmp_path), sample).name == "keras"
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match="ai-edge-litert for --engine litert"):
        engines.make("litert", tiny, str(tmp_path), sample)


def test_keras_steps_in_where_the_conversion_fails(tiny, sample, tmp_path, monkeypatch, capfd):
    def fail(backbone, batch):
        raise RuntimeError("no such operation\nat length")

    monkeypatch.setattr(litert, "convert", fail)
    assert engines.make("auto", tiny, str(tmp_path), sample).name == "keras"
    (line,) = capfd.readouterr().err.splitlines()
    assert line == "LiteRT cannot run mobilenet_0.25_48 (no such operation); Keras does it"


def test_keras_steps_in_where_the_answers_differ(tiny, sample, tmp_path, monkeypatch, capfd):
    other = dataclasses.replace(tiny, model=backbones.load(tiny.cell, "tiny").model)
    other.model.set_weights([weight * 1.01 for weight in tiny.model.get_weights()])
    convert = litert.convert
    monkeypatch.setattr(litert, "convert", lambda backbone, batch: convert(other, batch))
    assert engines.make("litert", tiny, str(tmp_path), sample).name == "keras"
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("LiteRT's features of mobilenet_0.25_48 differ from Keras' by ")
