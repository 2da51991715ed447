"""Backbones with real Keras models; ImageNet's weights where they lie on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from filelock import FileLock

from pipeline.config import Cell
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone
from pipeline.shell.errors import UserError

SMALL = Cell(0.25, 32)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def random_backbone() -> Backbone:
    return backbones.load(SMALL, "none")


def test_pictures_are_scaled_to_plus_minus_one(pictures):
    scaled = backbones.preprocess(pictures, SMALL).numpy()
    assert scaled.shape == (3, 32, 32, 3)
    assert scaled.dtype == np.float32
    assert -1 <= scaled.min() < -0.3
    assert 0.3 < scaled.max() <= 1


def test_features_are_as_wide_as_alpha_says(random_backbone):
    assert random_backbone.model.output_shape == (None, 256)
    assert random_backbone.classifier is None


def test_the_joined_model_is_preprocessing_backbone_and_softmax(random_backbone, pictures):
    rng = np.random.default_rng(1)
    kernel, bias = rng.normal(size=(256, 4)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    model = backbones.with_head(random_backbone, kernel, bias)
    features = random_backbone.model(backbones.preprocess(pictures, SMALL), training=False).numpy()
    expected = keras.ops.softmax(features @ kernel + bias).numpy()
    np.testing.assert_allclose(model.predict(pictures, verbose=0), expected, atol=1e-5)


def test_the_joined_model_is_not_in_training_unless_somebody_says_so(random_backbone, pictures, tmp_path):
    """Neither as it was made nor as it comes out of its file."""
    rng = np.random.default_rng(2)
    model = backbones.with_head(random_backbone, rng.normal(size=(256, 7)).astype(np.float32), np.zeros(7, np.float32))
    model.save(tmp_path / "model.keras")
    for one in (model, keras.saving.load_model(tmp_path / "model.keras")):
        expected = one(pictures, training=False).numpy()
        np.testing.assert_array_equal(one(pictures).numpy(), expected)
        np.testing.assert_array_equal(one(pictures, training=False).numpy(), expected)


def test_parts_are_what_was_joined(random_backbone):
    kernel, bias = np.ones((256, 4), np.float32), np.arange(4, dtype=np.float32)
    convolutions, ours, shift = backbones.parts(backbones.with_head(random_backbone, kernel, bias))
    assert backbones.digest(convolutions) == random_backbone.digest
    np.testing.assert_array_equal(ours, kernel)
    np.testing.assert_array_equal(shift, bias)


def test_the_digest_changes_with_any_weight(random_backbone):
    other = backbones.load(SMALL, "none")
    other.model.set_weights(random_backbone.model.get_weights())
    assert other.digest == random_backbone.digest
    weights = other.model.get_weights()
    weights[-1].flat[0] += 1e-6
    other.model.set_weights(weights)
    assert other.digest != random_backbone.digest


def test_an_exported_backbone_is_read_as_a_file_at_another_resolution(random_backbone, tmp_path):
    path = tmp_path / "deep" / "mobilenet.weights.h5"
    backbones.export(random_backbone.model, path)
    read = backbones.load(Cell(0.25, 64), str(path))
    for ours, theirs in zip(read.model.get_weights(), random_backbone.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)
    assert path.stat().st_size < 0.8e6


def test_a_file_of_another_alpha_is_refused(random_backbone, tmp_path):
    backbones.export(random_backbone.model, tmp_path / "mobilenet.weights.h5")
    with pytest.raises(UserError, match=r"alpha 0\.5, with or without the 1000-way head"):
        backbones.load(Cell(0.5, 32), str(tmp_path / "mobilenet.weights.h5"))


def test_a_file_that_holds_no_weights_is_refused(tmp_path):
    (tmp_path / "broken.h5").write_bytes(b"not hdf5")
    with pytest.raises(UserError, match="wanted weights of mobilenet"):
        backbones.load(SMALL, str(tmp_path / "broken.h5"))


def test_imagenet_weights_that_are_neither_here_nor_reachable_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setattr(keras.src.utils.file_utils.config, "keras_home", lambda: str(tmp_path))
    with pytest.raises(UserError, match=r"mobilenet_2_5_128_tf\.h5") as refusal:
        backbones.load(Cell(0.25, 128), "imagenet")
    assert str(tmp_path) in str(refusal.value)


@pytest.fixture
def read_only(tmp_path) -> Iterator[Callable[[], None]]:
    """Makes tmp_path/keras a folder to which nobody may write; root may write to any but a disk that is read-only."""
    folder = tmp_path / "keras"
    folder.mkdir()
    if os.geteuid():
        yield lambda: [path.chmod(0o555) for path in (folder / "models", folder)]
        return
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder]).returncode:
        pytest.skip("root, and no disk can be mounted read-only")
    yield lambda: subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    subprocess.run(["umount", folder], check=True)


def test_a_whole_file_in_a_folder_that_nobody_may_write_to_is_used(tmp_path, read_only, monkeypatch):
    models = tmp_path / "keras" / "models"
    models.mkdir()
    whole = keras.applications.MobileNet(alpha=0.25, input_shape=(128, 128, 3), weights=None)
    whole.save(models / "mobilenet_2_5_128_tf.h5")  # of the old kind, as Keras' own are
    (models / "mobilenet_2_5_128_tf.h5.lock").touch()
    read_only()
    monkeypatch.setenv("KERAS_HOME", str(models.parent))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    kernel, bias = whole.get_layer("conv_preds").get_weights()
    classifier = backbones.load(Cell(0.25, 128), "imagenet").classifier
    np.testing.assert_array_equal(classifier.kernel, kernel[0, 0])
    np.testing.assert_array_equal(classifier.bias, bias)


def test_half_a_file_is_waited_for_while_another_process_downloads_it(tmp_path, monkeypatch):
    """Keras downloads to the final name; a thread holds the lock of that, and completes the file."""
    file = tmp_path / "models" / "mobilenet_2_5_128_tf.h5"
    file.parent.mkdir()
    keras.applications.MobileNet(alpha=0.25, input_shape=(128, 128, 3), weights=None).save(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setattr(keras.src.utils.file_utils.config, "keras_home", lambda: str(tmp_path))
    with pytest.raises(UserError, match="removing a damaged one"):
        backbones.load(Cell(0.25, 128), "imagenet")
    with ThreadPoolExecutor(1) as thread:
        with FileLock(f"{file}.lock"):
            loading = thread.submit(backbones.load, Cell(0.25, 128), "imagenet")
            file.write_bytes(whole)
        assert loading.result().classifier is not None


def test_classes_are_matched_by_their_wordnet_id():
    names = ("n02085620-chihuahua", "zebra", "n01440764")
    assert backbones.imagenet_columns(names).tolist() == [151, -1, 0]


@pytest.mark.parametrize("alpha", [0.25, 0.5])
def test_tiny_weights_ship_and_tell_pictures_apart(alpha, pictures):
    backbone = backbones.load(Cell(alpha, 64), "tiny")
    features = backbone.model(backbones.preprocess(pictures, backbone.cell), training=False).numpy()
    assert features.shape == (3, int(1024 * alpha))
    assert features.std(axis=0).max() > 0.01


def test_a_file_of_another_network_is_refused_before_any_picture_is_fetched(tmp_path):
    file = tmp_path / "w.weights.h5"
    backbones.export(backbones.load(Cell(0.25, 32), "tiny").model, file)
    backbones.require_file([Cell(0.25, 32), Cell(0.25, 48)], str(file))
    with pytest.raises(UserError, match=r"alpha 0\.5, with or without .* objects could not be loaded") as refused:
        backbones.require_file([Cell(0.25, 32), Cell(0.5, 32)], str(file))
    assert len(str(refused.value)) < 400


@pytest.mark.realdata
@pytest.mark.parametrize("resolution", [224, 192])
def test_imagenets_file_serves_with_its_head_at_any_resolution(real_data, resolution):
    file = real_data / "keras" / "models" / "mobilenet_7_5_224_tf.h5"
    backbone = backbones.load(Cell(0.75, resolution), str(file))
    assert backbone.classifier is not None
    assert backbone.classifier.kernel.shape == (768, 1000)
    without = backbones.load(Cell(0.75, resolution), str(file).replace("_tf", "_tf_no_top"))
    assert without.classifier is None
    assert without.digest == backbone.digest


@pytest.mark.realdata
def test_our_split_model_answers_as_keras_whole_one(real_data, pictures):
    file = str(real_data / "keras" / "models" / "mobilenet_7_5_224_tf.h5")
    backbone = backbones.load(Cell(0.75, 224), file)
    whole = keras.applications.MobileNet(alpha=0.75, input_shape=(224, 224, 3), weights=file)
    expected = whole.predict(backbones.preprocess(pictures, backbone.cell), verbose=0)
    ours = backbones.with_head(backbone, backbone.classifier.kernel, backbone.classifier.bias)
    np.testing.assert_allclose(ours.predict(pictures, verbose=0), expected, atol=1e-5)
