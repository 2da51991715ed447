"""Whole networks trained on pictures, by Keras' own loop."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline import datasets
from pipeline.config import HEAD_FIRST_RATES, TrainConfig
from pipeline.networks import backbones, devices, layerwise
from pipeline.shell.errors import UserError
from pipeline.training import finetune
from pipeline.training.calibration import calibrate
from pipeline.training.finetune import NetworkTrainer
from pipeline.training.frozen import HeadTrainer
from pipeline.training.trainers import trainer_for
from tests.scarce_memory import Room, shallow, with_room_for

CONFIG = TrainConfig(
    dataset="digits",
    weights="none",
    freeze_conv=False,
    alpha=0.25,
    resolution=32,
    epochs=2,
    batch_size=64,
    learning_rate=0.002,
    train_limit=400,
    augment="crop",
)


@pytest.fixture(scope="module")
def dataset():
    return datasets.load(CONFIG)


@pytest.fixture(scope="module")
def trainer(dataset):
    return NetworkTrainer(CONFIG, dataset)


@pytest.fixture(scope="module")
def told():
    """What the watch of `fits` was told."""
    return []


@pytest.fixture(scope="module")
def fits(trainer, told):
    """Twice the same, of which the watch stops the second after its first epoch."""

    def watch(epoch, indices, scores):
        told.append((epoch, indices.tolist(), scores["val_top1"].tolist()))
        return indices == 0

    return trainer.fit([CONFIG, CONFIG], watch)


@pytest.fixture(scope="module")
def fit(fits):
    return fits[0]


def test_the_curves_are_those_of_a_head(fit):
    names = {"train_loss", "train_top1", "val_loss", "val_top1", "val_balanced_top1", "learning_rate"}
    assert set(fit.curves) == names
    assert {len(curve) for curve in fit.curves.values()} == {2}
    assert fit.curves["train_loss"][1] < fit.curves["train_loss"][0]
    assert not fit.failure


def test_the_model_has_the_convolutions_of_the_best_epoch(trainer, fit, dataset):
    model = trainer.model(fit.best)
    convolutions, kernel, bias = backbones.parts(model)
    for ours, kept in zip([*convolutions.get_weights(), kernel, bias], fit.best, strict=True):
        np.testing.assert_array_equal(ours, kept)
    _train, val = datasets.cut(dataset.train, CONFIG.val_fraction, CONFIG.seed)
    pictures = np.stack([picture for picture, _label in dataset.train.pictures(val)])
    right = model.predict(pictures, verbose=0).argmax(axis=1) == dataset.train.labels[val]
    assert right.mean() == pytest.approx(fit.val_top1)
    labels = dataset.train.labels[val]
    balanced = np.mean([right[labels == label].mean() for label in np.unique(labels)])
    assert balanced == pytest.approx(fit.scores["best_val_balanced_top1"], abs=1e-6)


def test_the_temperature_makes_the_validation_loss_no_larger(trainer, fit, dataset):
    found = calibrate(*trainer.validated(fit.best))
    _train, val = datasets.cut(dataset.train, CONFIG.val_fraction, CONFIG.seed)
    pictures, rows = np.stack([picture for picture, _label in dataset.train.pictures(val)]), np.arange(len(val))
    plain, calibrated = (
        -np.log(trainer.model(fit.best, temperature).predict(pictures, verbose=0)[rows, dataset.train.labels[val]])
        for temperature in (1.0, found.temperature)
    )
    assert calibrated.mean() <= plain.mean() + 1e-4
    assert plain.mean() == pytest.approx(fit.curves["val_loss"][fit.best_epoch - 1], abs=1e-3)


def test_every_fit_begins_from_the_same_start(fits):
    assert fits[1].curves["train_loss"][0] == fits[0].curves["train_loss"][0]


def test_the_watch_is_told_every_epoch_and_stops_a_fit(fits, told):
    assert [(epoch, indices) for epoch, indices, _top1 in told] == [(1, [0]), (2, [0]), (1, [1])]
    assert [top1 for _epoch, _indices, (top1,) in told[:2]] == fits[0].curves["val_top1"].tolist()
    assert [fit.pruned for fit in fits] == [False, True]
    assert {len(curve) for curve in fits[1].curves.values()} == {1}


def test_a_diverging_fit_says_so(trainer):
    (fitted,) = trainer.fit([dataclasses.replace(CONFIG, learning_rate=1e38)])
    assert "loss is" in fitted.failure
    assert len(fitted.curves["train_loss"]) == 1


def test_batchnorm_follows_small_data(trainer):
    momenta = {
        layer.momentum for layer in trainer.backbone.model.layers if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert momenta == {finetune.BATCHNORM_MOMENTUM}


def test_from_scratch_all_learn_at_one_rate_from_plain_labels(trainer, fit):
    (other,) = trainer.fit([dataclasses.replace(CONFIG, epochs=1, layer_decay=0.1, label_smoothing=0.5)])
    assert other.curves["val_loss"][0] == fit.curves["val_loss"][0]


@pytest.fixture
def room(monkeypatch):
    """Of a device with little memory, on which networks of two blocks are trained."""
    room, load = Room(50), backbones.load
    monkeypatch.setattr(backbones, "load", lambda cell, weights: with_room_for(room, shallow(load(cell, weights))))
    return room


def test_out_of_memory_begins_the_fit_again_with_half_of_the_pictures(dataset, capfd, room):
    """And what did not fit is not tried again."""
    once, told = dataclasses.replace(CONFIG, epochs=1), []
    short = NetworkTrainer(once, dataset)
    halves = short.fit([once] * 2, lambda epoch, indices, scores: told.append(epoch) or np.ones(1, bool))
    assert told == [1, 1]
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("training ")]  # not TensorFlow
    assert said == [
        f"training {CONFIG.cell.name}: out of memory with 64 pictures at once; going on with 32, "
        "from the start of this fit and at the same learning rate"
    ]
    (same,) = NetworkTrainer(once, dataset).fit([dataclasses.replace(once, batch_size=32)])
    for half in halves:
        np.testing.assert_allclose(half.curves["train_loss"], same.curves["train_loss"], rtol=1e-3)


def test_a_fit_that_is_begun_again_repeats_nothing_to_the_watch(dataset, room):
    """Memory that was there in the first epoch, and not in the second."""
    room.pictures, told = CONFIG.batch_size, []

    def watch(epoch, indices, scores):
        told.append(epoch)
        room.pictures = CONFIG.batch_size // 2
        return np.ones(1, bool)

    (fitted,) = NetworkTrainer(CONFIG, dataset).fit([CONFIG], watch)
    assert told == [1, 2]
    assert {len(curve) for curve in fitted.curves.values()} == {2}


def test_no_memory_for_one_picture_is_refused(dataset, room):
    room.pictures = 0
    with pytest.raises(UserError, match=r"training mobilenet_0.25_32, one picture at a time.*too little"):
        NetworkTrainer(CONFIG, dataset).fit([dataclasses.replace(CONFIG, batch_size=1)])


@pytest.mark.parametrize("options", [{}, {"weights": "tiny"}, {"weights": "tiny", "freeze_conv": True}])
def test_mixed_precision_is_refused_without_a_gpu_before_anything_is_made(dataset, tmp_path, options, monkeypatch):
    monkeypatch.setattr(devices, "on_a_gpu", lambda: False)
    config = dataclasses.replace(CONFIG, precision="mixed_float16", work_dir=str(tmp_path / "work"), **options)
    with pytest.raises(UserError, match="a GPU for precision mixed_float16"):
        trainer_for(config, dataset)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_mixed_precision_scales_the_loss_and_keeps_weights_and_answers_whole(dataset, fit, monkeypatch):
    """Here on a processor, which does it slowly; on a GPU in test_gpu.py."""
    config, optimizers, fit_in_keras = dataclasses.replace(CONFIG, precision="mixed_float16"), [], keras.Model.fit

    def note_optimizer(self, *rest, **options):
        optimizers.append(self.optimizer)
        return fit_in_keras(self, *rest, **options)

    monkeypatch.setattr(keras.Model, "fit", note_optimizer)
    trainer = NetworkTrainer(config, dataset)
    (mixed,) = trainer.fit([config])
    assert {type(optimizer).__name__ for optimizer in optimizers} == {"LossScaleOptimizer"}
    assert float(optimizers[-1].inner_optimizer.learning_rate) == np.float32(CONFIG.learning_rate)
    np.testing.assert_allclose(mixed.curves["train_loss"], fit.curves["train_loss"], rtol=0.1)
    assert {weight.dtype for weight in mixed.best} == {np.dtype("float32")}
    convolutions, *_head = backbones.parts(trainer.model(mixed.best))
    for model, dtype in ((trainer.backbone.model, "float16"), (convolutions, "float32")):
        assert {layer.compute_dtype for layer in model.layers if layer.weights} == {dtype}


STILL = dataclasses.replace(  # so slow that nothing moves
    CONFIG, weights="tiny", unfreeze=2, epochs=1, learning_rate=1e-9, label_smoothing=0.0
)


@pytest.fixture(scope="module")
def tuner(dataset, tmp_path_factory):
    """Fine-tunes the last two blocks."""
    return NetworkTrainer(dataclasses.replace(STILL, work_dir=str(tmp_path_factory.mktemp("work"))), dataset)


def test_finetuning_starts_from_the_head_that_was_best_on_the_features(tuner, dataset):
    frozen = HeadTrainer(tuner.head_first.config, dataset)
    rates = [dataclasses.replace(tuner.head_first.config, learning_rate=rate) for rate in HEAD_FIRST_RATES]
    best = max(fit.val_top1 for fit in frozen.fit(rates))
    (fit,) = tuner.fit([STILL])
    assert fit.val_top1 == pytest.approx(best)
    assert best > 0.5
    assert not fit.failure


def test_the_final_training_starts_from_a_head_that_saw_all(tuner):
    on_train, on_everything = tuner.head_first.on_train, tuner.head_first.on_everything
    final = tuner.refit(STILL, np.array([1e-9]))
    np.testing.assert_allclose(final.best[-2], on_everything.kernel, atol=1e-6)
    assert not np.allclose(on_everything.kernel, on_train.kernel, atol=1e-3)


def test_only_the_last_blocks_move_and_no_moving_average(tuner):
    before = backbones.load(STILL.cell, STILL.weights).model.get_weights()
    (fit,) = tuner.fit([dataclasses.replace(STILL, learning_rate=0.003)])
    weights = [(layer.name, weight) for layer in tuner.backbone.model.layers for weight in layer.weights]
    block = layerwise.blocks(tuner.backbone.model)
    moved = {
        (block[layer], weight.name)
        for (layer, weight), old, new in zip(weights, before, fit.best[:-2], strict=True)
        if not np.array_equal(old, new)
    }
    assert moved == {(last, name) for last in (12, 13) for name in ("kernel", "gamma", "beta")}


def test_smoothed_labels_raise_the_loss_of_the_same_answers(tuner):
    plain, smoothed = (tuner.fit([dataclasses.replace(STILL, label_smoothing=part)])[0].curves for part in (0.0, 0.1))
    assert smoothed["val_top1"][0] == plain["val_top1"][0]
    assert smoothed["val_loss"][0] > plain["val_loss"][0] + 0.05


@pytest.mark.parametrize("kind", ["flip_crop", "crop", "none"])
def test_augmentation_moves_pixels_and_invents_none(kind):
    image = tf.reshape(tf.range(16 * 16 * 3, dtype=tf.float32), (16, 16, 3))
    seen = [finetune.augment(image, tf.constant([0, number]), kind).numpy() for number in range(20)]
    assert all(picture.shape == (16, 16, 3) for picture in seen)
    assert set(np.unique(seen)) <= set(image.numpy().flat)
    mirrored = any(picture[8, 0, 0] > picture[8, -1, 0] for picture in seen)
    assert mirrored is (kind == "flip_crop")
    assert (len({picture.tobytes() for picture in seen}) == 1) is (kind == "none")
