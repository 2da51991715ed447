"""From pictures to trained heads on frozen convolutions."""

from __future__ import annotations

import dataclasses
import weakref

import numpy as np
import pytest
import tensorflow as tf

from pipeline import datasets
from pipeline.config import Cell, TrainConfig
from pipeline.networks import backbones
from pipeline.shell.errors import UserError
from pipeline.training import closed_form, heads, schedules, starts
from pipeline.training.frozen import HeadTrainer
from pipeline.training.heads import Samples
from pipeline.training.scaling import Scaling

CONFIG = TrainConfig(dataset="digits", weights="tiny", alpha=0.25, resolution=32, epochs=3, learning_rate=0.01)


@pytest.fixture(scope="module")
def dataset():
    return datasets.load(CONFIG)


@pytest.fixture(scope="module")
def trainer(dataset, tmp_path_factory):
    return HeadTrainer(dataclasses.replace(CONFIG, work_dir=str(tmp_path_factory.mktemp("work"))), dataset)


def test_the_model_on_pictures_is_the_head_on_the_table(trainer, dataset):
    (fit,) = trainer.fit([CONFIG])
    pictures = np.stack([picture for picture, _label in dataset.train.pictures(np.arange(20))])
    answers = trainer.model(fit.best).predict(pictures, verbose=0).argmax(axis=1)
    logits = trainer.table.features[:20] @ fit.best[0].kernel + fit.best[0].bias
    assert answers.tolist() == logits.argmax(axis=1).tolist()
    assert fit.val_top1 > 0.5


def test_a_watch_may_stop_a_head(trainer):
    fits = trainer.fit([CONFIG, CONFIG], lambda epoch, indices, scores: indices == 0)
    assert [fit.pruned for fit in fits] == [False, True]
    assert [len(fit.curves["val_top1"]) for fit in fits] == [CONFIG.epochs, 1]


def test_the_samples_lie_on_the_device_for_as_long_as_the_trainer_lives(trainer):
    for samples in (trainer.train_samples, trainer.val_samples):
        assert isinstance(samples.features, tf.Tensor)
        assert samples.on_device().features is samples.features  # what `fit` makes of them is no copy


def test_a_trainer_that_is_left_frees_its_memory(dataset, tmp_path):
    trainer = HeadTrainer(dataclasses.replace(CONFIG, work_dir=str(tmp_path)), dataset)
    trainer.refit(CONFIG, trainer.fit([CONFIG])[0].rates)
    held = [weakref.ref(samples.features) for samples in (trainer.train_samples, trainer.val_samples)]
    del trainer  # as tuning/search.py does when a cell rests
    assert [one() for one in held] == [None, None]


def test_training_never_reads_the_test_split(dataset, tmp_path):
    def refuse():
        raise AssertionError("the test split was read")

    guarded = dataclasses.replace(dataset, read_test=refuse)
    trainer = HeadTrainer(dataclasses.replace(CONFIG, work_dir=str(tmp_path)), guarded)
    trainer.refit(CONFIG, trainer.fit([CONFIG])[0].rates)


def test_the_tables_of_cells_beside_are_made_in_the_same_pass(dataset, tmp_path):
    config = dataclasses.replace(CONFIG, work_dir=str(tmp_path))
    passes = []
    train = dataclasses.replace(dataset.train, raw=lambda: passes.append(1) or dataset.train.raw())
    counted = dataclasses.replace(dataset, train=train)
    unshipped = Cell(0.75, 32)  # refused when its own turn comes
    HeadTrainer(config, counted, [config.cell, unshipped, Cell(0.25, 48), Cell(0.5, 32)])
    for alpha, resolution in ((0.25, 48), (0.5, 32)):
        HeadTrainer(dataclasses.replace(config, alpha=alpha, resolution=resolution), counted)
    assert len(passes) == 1


def on_scaled(scaling, features, dataset):
    """The discriminant that training starts from."""
    found = closed_form.discriminants(features, dataset.train.labels, dataset.num_classes)
    return tuple(scaling.onto_scaled(head) for head in found)


def test_no_fold_starts_from_its_own_rows(dataset, tmp_path):
    config = dataclasses.replace(CONFIG, work_dir=str(tmp_path), learning_rate=1e-30, epochs=1)
    trainer = HeadTrainer(config, dataset, folds=3)
    (fit,) = trainer.fit([config])
    plain, folds = np.asarray(trainer.table.features), datasets.folds(dataset.train, 3, config.seed)
    expected = closed_form.discriminants(plain, dataset.train.labels, dataset.num_classes, folds)
    for head, start in zip(fit.best, expected, strict=True):
        np.testing.assert_allclose(head.kernel, start.kernel, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("folds", [1, 3])
def test_validated_answers_are_in_the_order_of_the_pictures(dataset, tmp_path, folds):
    trainer = HeadTrainer(dataclasses.replace(CONFIG, work_dir=str(tmp_path)), dataset, folds=folds)
    (fit,) = trainer.fit([CONFIG])
    logits, labels = trainer.validated(fit.best)
    _train, val = datasets.cut(dataset.train, CONFIG.val_fraction, CONFIG.seed)
    rows = val if folds == 1 else np.arange(len(dataset.train))
    np.testing.assert_array_equal(labels, dataset.train.labels[rows])
    fold_of = np.zeros(len(rows), int) if folds == 1 else datasets.folds(dataset.train, folds, CONFIG.seed)
    expected = [
        features @ fit.best[fold].kernel + fit.best[fold].bias
        for features, fold in zip(trainer.table.features[rows], fold_of, strict=True)
    ]
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)
    assert np.mean(logits.argmax(axis=1) == labels) == pytest.approx(fit.val_top1)


def test_what_fits_start_from_is_validated_as_they_are(trainer):
    start = trainer.untrained
    (barely,) = trainer.fit([dataclasses.replace(CONFIG, learning_rate=1e-30, epochs=1)])
    assert start.scores == pytest.approx(barely.scores)
    assert start.rank("top1") == pytest.approx(barely.rank("top1"), rel=1e-4)
    assert start.best_epoch == 0


def test_a_refit_of_no_epoch_is_the_start_of_all_pictures(trainer, dataset):
    (head,) = trainer.refit(CONFIG, np.zeros(0)).best
    (expected,) = closed_form.discriminants(trainer.table.features, dataset.train.labels, dataset.num_classes)
    np.testing.assert_array_equal(head.kernel, expected.kernel)
    assert trainer.start[1] is head


def test_noise_is_no_start_to_be_compared_with(dataset, tmp_path):
    trainer = HeadTrainer(dataclasses.replace(CONFIG, work_dir=str(tmp_path), head_init="random"), dataset)
    assert trainer.untrained is None
    assert trainer.start is None


def test_the_refit_replays_every_rate_on_train_and_val(trainer, dataset):
    one = trainer.refit(CONFIG, np.array([0.02, 0.01]))
    other = trainer.refit(CONFIG, np.array([0.02, 0.02]))
    assert not np.allclose(one.best[0].kernel, other.best[0].kernel)
    plain = np.asarray(trainer.table.features)
    train, _val = datasets.cut(dataset.train, CONFIG.val_fraction, CONFIG.seed)
    scaling = Scaling.of(plain[train])
    start = on_scaled(scaling, plain, dataset)
    whole = Samples(scaling.apply(plain), dataset.train.labels)
    config = dataclasses.replace(CONFIG, epochs=2)
    (fit,) = heads.fit(whole, None, start, [config], schedules.Fixed(np.array([[0.02], [0.01]])), pull=starts.PULL)
    np.testing.assert_array_equal(one.best[0].kernel, scaling.onto_plain(fit.best[0]).kernel)


def test_views_flip_trains_on_both_views_and_validates_on_one(trainer, dataset, tmp_path):
    config = dataclasses.replace(CONFIG, views="flip", work_dir=str(tmp_path))
    flipped = HeadTrainer(config, dataset)
    train, val = datasets.cut(dataset.train, CONFIG.val_fraction, CONFIG.seed)
    scaling = Scaling.of(np.asarray(trainer.table.features)[train])
    np.testing.assert_allclose(flipped.val_samples.features, trainer.val_samples.features)
    assert len(flipped.val_samples.labels) == len(val)
    seen = (flipped.table.features[train], flipped.table.mirrored.features[train])
    np.testing.assert_array_equal(flipped.train_samples.features, scaling.apply(np.concatenate(seen)))
    np.testing.assert_array_equal(flipped.train_samples.labels, np.tile(dataset.train.labels[train], 2))
    both = Samples(
        scaling.apply(np.concatenate((flipped.table.features, flipped.table.mirrored.features))),
        np.tile(dataset.train.labels, 2),
    )
    start = on_scaled(scaling, flipped.table.features, dataset)
    (fit,) = heads.fit(
        both, None, start, [CONFIG], schedules.Fixed(np.full((CONFIG.epochs, 1), 0.01)), pull=starts.PULL
    )
    refit = flipped.refit(config, np.full(CONFIG.epochs, 0.01))
    np.testing.assert_array_equal(refit.best[0].kernel, scaling.onto_plain(fit.best[0]).kernel)


def test_a_refit_that_diverges_is_refused(trainer):
    with pytest.raises(UserError, match="a loss that is a number"):
        trainer.refit(CONFIG, np.array([1e38, 1e38]))


def test_the_replications_head_answers_with_the_first_outputs(dataset, tmp_path):
    config = dataclasses.replace(CONFIG, work_dir=str(tmp_path), protocol="replication")
    trainer = HeadTrainer(config, dataset)
    (fit,) = trainer.fit([config])
    assert trainer.model(fit.best).output_shape == (None, 1000)
    answers = (trainer.table.features @ fit.best[0].kernel + fit.best[0].bias).argmax(axis=1)
    assert np.isin(answers, range(10)).mean() > 0.99
    assert fit.val_top1 > 0.5


def test_an_untrained_backbone_is_refused(dataset, tmp_path):
    backbones.load(CONFIG.cell, "none").model.save_weights(tmp_path / "drawn.weights.h5")
    config = dataclasses.replace(CONFIG, weights=str(tmp_path / "drawn.weights.h5"), work_dir=str(tmp_path))
    with pytest.raises(UserError, match="every picture has the same features"):
        HeadTrainer(config, dataset)


@pytest.mark.parametrize("folds", [1, 5])
def test_the_spread_is_of_the_logits_of_pictures_that_were_trained_on(dataset, tmp_path, folds):
    many = HeadTrainer(dataclasses.replace(CONFIG, work_dir=str(tmp_path)), dataset, folds=folds)
    (fit,) = many.fit([CONFIG])
    told = many.spread(fit.best)
    own = datasets.folds(dataset.train, folds, CONFIG.seed) if folds > 1 else None
    rows = np.arange(len(dataset.train)) if folds > 1 else datasets.cut(dataset.train, CONFIG.val_fraction, 0)[0]
    found = []
    for fold, head in enumerate(fit.best):
        logits = many.table.features[rows if own is None else own != fold] @ head.kernel + head.bias
        found.append((logits - logits.mean(axis=1, keepdims=True)).std())
    assert told == pytest.approx(np.mean(found), rel=1e-3)
    louder = tuple(type(head)(3 * head.kernel, 3 * head.bias) for head in fit.best)
    assert many.spread(louder) == pytest.approx(3 * told, rel=1e-3)
