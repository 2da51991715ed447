"""The wave of heads against Keras itself, and against one head at a time."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from pipeline.config import TrainConfig
from pipeline.networks.backbones import Classifier
from pipeline.training import heads, schedules
from pipeline.training.heads import Head, Samples

WIDTH, CLASSES = 12, 5
CONFIG = TrainConfig(dataset="digits", epochs=3, batch_size=16, dropout=0.0, lr_schedule="constant", seed=3)
ADAMS = ((1e-2, 0.9, 0.999), (1e-1, 0.5, 0.9), (1e-3, 0.95, 0.99))


@pytest.fixture(scope="module")
def samples() -> tuple[Samples, Samples]:
    """Clusters that overlap, so that neither loss nor accuracy is trivial; 71 rows leave a last batch of 7."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, WIDTH))

    def draw(count: int) -> Samples:
        labels = rng.integers(CLASSES, size=count).astype(np.int32)
        return Samples((centres[labels] + 1.5 * rng.normal(size=(count, WIDTH))).astype(np.float32), labels)

    return draw(71), draw(40)


def wave(configs=ADAMS, base=CONFIG) -> list[TrainConfig]:
    return [dataclasses.replace(base, learning_rate=rate, beta_1=b1, beta_2=b2) for rate, b1, b2 in configs]


def fit(samples, configs, **options):
    folds = 1 if samples[0].folds is None else samples[0].folds.max() + 1
    starts = (heads.random_head(WIDTH, CLASSES, seed=1),) * folds
    return heads.fit(*samples, starts, configs, schedules.of(configs), **options)


def best_epoch(curves) -> int:
    """From 1: the highest val_top1, then the lowest val_loss, then the first."""
    scores = list(zip(curves["val_top1"], -curves["val_loss"], strict=True))
    return scores.index(max(scores)) + 1


def keras_fit(
    samples, config: TrainConfig, start: Head, l2: float = 0.0, **options
) -> tuple[Head, keras.callbacks.History]:
    """The same head by Keras' own layers, optimizer, loss and loop, on the same batches in the same order."""
    train, val = samples
    both = {name: keras.regularizers.L2(l2) for name in ("kernel_regularizer", "bias_regularizer")}
    model = keras.Sequential([keras.Input((WIDTH,)), keras.layers.Dense(CLASSES, activation="softmax", **both)])
    model.set_weights([start.kernel, start.bias])
    model.compile(
        keras.optimizers.Adam(config.learning_rate, config.beta_1, config.beta_2),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history: dict[str, list[float]] = {}
    for epoch in range(1, config.epochs + 1):
        order = np.random.default_rng([config.seed, epoch]).permutation(len(train.labels))
        done = model.fit(
            train.features[order],
            train.labels[order],
            validation_data=(val.features, val.labels),
            batch_size=config.batch_size,
            shuffle=False,
            verbose=0,
            **options,
        )
        for name, values in done.history.items():
            history.setdefault(name, []).extend(values)
    return Head(*model.get_weights()), history


def test_a_wave_equals_keras_adam_and_crossentropy_after_three_epochs(samples):
    start = heads.random_head(WIDTH, CLASSES, seed=1)
    for config, ours in zip(wave(), fit(samples, wave()), strict=True):
        _head, history = keras_fit(samples, config, start)
        for name, theirs in (("train_loss", "loss"), ("val_loss", "val_loss")):
            np.testing.assert_allclose(ours.curves[name], history[theirs], atol=1e-4)
        for name, theirs in (("train_top1", "accuracy"), ("val_top1", "val_accuracy")):
            np.testing.assert_allclose(ours.curves[name], history[theirs], atol=1e-6)


def test_final_weights_equal_keras(samples):
    train, _val = samples
    start = heads.random_head(WIDTH, CLASSES, seed=1)
    configs = wave()
    fits = heads.fit(train, None, (start,), configs, schedules.of(configs))
    for config, ours in zip(configs, fits, strict=True):
        head, _history = keras_fit(samples, config, start)
        assert ours.best_epoch == config.epochs
        np.testing.assert_allclose(ours.best[0].kernel, head.kernel, atol=1e-4)
        np.testing.assert_allclose(ours.best[0].bias, head.bias, atol=1e-4)


def test_a_head_does_not_depend_on_its_neighbours(samples):
    configs = wave(base=dataclasses.replace(CONFIG, dropout=0.3))
    together = fit(samples, configs)
    for config, fitted in zip(configs, together, strict=True):
        (alone,) = fit(samples, [config])
        np.testing.assert_allclose(alone.curves["val_loss"], fitted.curves["val_loss"], rtol=1e-4)


def test_same_seed_same_numbers_to_the_last_digit(samples):
    config = wave(base=dataclasses.replace(CONFIG, dropout=0.3))
    first, second = fit(samples, config), fit(samples, config)
    for one, other in zip(first, second, strict=True):
        assert {name: curve.tolist() for name, curve in one.curves.items()} == {
            name: curve.tolist() for name, curve in other.curves.items()
        }


def test_another_seed_orders_the_batches_anew(samples):
    (one,), (other,) = (fit(samples, wave(ADAMS[:1], dataclasses.replace(CONFIG, seed=seed))) for seed in (1, 2))
    assert one.curves["train_loss"].tolist() != other.curves["train_loss"].tolist()


def test_dropout_acts_on_training_alone(samples):
    (plain,), (dropped,) = (
        fit(samples, wave([(1e-9, 0.9, 0.999)], dataclasses.replace(CONFIG, dropout=rate))) for rate in (0.0, 0.5)
    )
    assert abs(plain.curves["train_loss"][0] - dropped.curves["train_loss"][0]) > 1e-3
    np.testing.assert_allclose(plain.curves["val_loss"], dropped.curves["val_loss"], rtol=1e-5)


@pytest.mark.parametrize(("rate", "width"), [(1e-15, 1), (0.001, 1), (0.3, 2), (0.9, 2)])
def test_dropout_falls_on_its_share_of_the_features(rate, width):
    """A picture is taken for class 1 as long as one of its features is left."""
    rows, epochs = 100_000, 3
    one = Samples(np.ones((rows, width), np.float32), np.ones(rows, np.int32))
    start = Head(np.array([[0, 3]] * width, np.float32), np.array([0, -1], np.float32))
    config = wave([(1e-9, 0.9, 0.999)], dataclasses.replace(CONFIG, dropout=rate, batch_size=1000, epochs=epochs))
    (fitted,) = heads.fit(one, one, (start,), config, schedules.of(config))
    wrong, expected = 1 - fitted.curves["train_top1"].mean(), rate**width
    assert wrong == pytest.approx(expected, abs=4 * (expected * (1 - expected) / (rows * epochs)) ** 0.5)


def test_a_diverging_head_fails_with_its_reason_and_spares_the_others(samples):
    fits = fit(samples, wave([(1e38, 0.9, 0.999), (1e-2, 0.9, 0.999)]))
    assert "loss is nan in epoch" in fits[0].failure
    assert not fits[1].failure
    assert np.isfinite(fits[1].curves["val_loss"]).all()
    assert not np.isfinite(fits[0].curves["val_loss"][-1])
    assert len(fits[0].curves["val_loss"]) < CONFIG.epochs


def test_the_best_epoch_is_kept(samples):
    (fitted,) = fit(samples, wave([(0.5, 0.9, 0.999)], dataclasses.replace(CONFIG, epochs=8)))
    assert fitted.best_epoch == best_epoch(fitted.curves)
    _train, val = samples
    right = np.argmax(val.features @ fitted.best[0].kernel + fitted.best[0].bias, axis=1) == val.labels
    assert fitted.val_top1 == pytest.approx(right.mean())
    assert len(fitted.rates) == fitted.best_epoch


FIVE = wave((*ADAMS, (3e-2, 0.8, 0.99), (3e-3, 0.9, 0.9)), dataclasses.replace(CONFIG, epochs=8, dropout=0.3))


def plateau(configs: list[TrainConfig]) -> list[TrainConfig]:
    return [dataclasses.replace(config, lr_schedule="plateau") for config in configs]


def stopping(stops: dict[int, set[int]], told: list | None = None):
    """A watch that stops the heads stops[epoch] after that epoch, and files what it was told."""

    def watch(epoch, indices, scores):
        if told is not None:
            told.append((epoch, indices.tolist(), scores["val_top1"].tolist()))
        return np.array([index not in stops.get(epoch, ()) for index in indices])

    return watch


@pytest.mark.parametrize("worth", [0, np.inf], ids=["shrunk", "in its first shape"])
def test_the_heads_that_go_on_end_as_if_nobody_had_left(samples, monkeypatch, worth):
    monkeypatch.setattr(heads, "WORTH_COMPILING", worth)
    stops = {2: {0, 3}, 5: {1, 2}}
    for whole, pruned, epochs in zip(
        fit(samples, plateau(FIVE)),
        fit(samples, plateau(FIVE), watch=stopping(stops)),
        (2, 5, 5, 2, 8),
        strict=True,
    ):
        assert pruned.pruned is (epochs < 8)
        for name, curve in pruned.curves.items():
            np.testing.assert_allclose(curve, whole.curves[name][:epochs], atol=1e-5, err_msg=name)
        assert pruned.best_epoch == best_epoch(pruned.curves)
        if epochs == 8:
            np.testing.assert_allclose(pruned.best[0].kernel, whole.best[0].kernel, atol=1e-5)


def test_the_watch_is_told_of_those_in_training_alone(samples):
    told: list = []
    configs = wave([(1e38, 0.9, 0.999), *ADAMS])
    fits = fit(samples, configs, watch=stopping({1: {2}}, told))
    assert [(epoch, indices) for epoch, indices, _ in told if epoch > 1] == [(2, [1, 3]), (3, [1, 3])]
    assert told[-1][2] == [fits[1].curves["val_top1"][-1], fits[3].curves["val_top1"][-1]]


def test_a_wave_without_heads_ends(samples):
    told: list = []
    fit(samples, FIVE, watch=stopping({2: {0, 1, 2, 3, 4}}, told))
    assert [epoch for epoch, *_ in told] == [1, 2]


def test_without_validation_nobody_is_asked(samples):
    told: list = []
    (fitted,) = fit((samples[0], None), wave(ADAMS[:1]), watch=stopping({1: {0}}, told))
    assert not told
    assert len(fitted.curves["train_loss"]) == CONFIG.epochs


def test_fewer_slots_are_compiled_for_where_that_pays_and_once(samples, monkeypatch):
    configs, watch = [*FIVE, *FIVE[:2]], stopping({1: {0, 1, 2, 3}})
    fit(samples, configs)
    before = heads.train_epoch.experimental_get_tracing_count()
    fit(samples, configs, watch=watch)
    assert heads.train_epoch.experimental_get_tracing_count() == before
    monkeypatch.setattr(heads, "WORTH_COMPILING", 0)
    for _again in range(2):
        fit(samples, configs, watch=watch)
        assert heads.train_epoch.experimental_get_tracing_count() == before + 1


@pytest.mark.parametrize(
    ("slots", "left", "fewer"),
    [(8, 8, 8), (8, 5, 8), (8, 4, 4), (8, 3, 4), (8, 1, 1), (5, 3, 3), (3, 2, 2), (1, 1, 1)],
)
def test_the_series_of_slots(slots, left, fewer):
    assert heads.fewer_slots(slots, left) == fewer


def test_a_data_set_smaller_than_a_batch_is_one_batch(samples):
    train, val = samples
    few, start, (config,) = (
        Samples(train.features[:5], train.labels[:5]),
        heads.random_head(WIDTH, CLASSES, 1),
        wave(ADAMS[:1]),
    )
    (fitted,) = heads.fit(few, None, (start,), [config], schedules.of([config]))
    trained, _history = keras_fit((few, val), config, start)
    np.testing.assert_allclose(fitted.best[0].kernel, trained.kernel, atol=1e-4)
    assert np.abs(fitted.best[0].kernel - start.kernel).max() > 0.01


def test_imagenet_head_takes_known_columns_and_draws_the_others():
    classifier = Classifier(np.arange(WIDTH * 1000, dtype=np.float32).reshape(WIDTH, 1000), np.arange(1000.0))
    head = heads.imagenet_head(classifier, np.array([7, -1, 999]), seed=0)
    np.testing.assert_array_equal(head.kernel[:, [0, 2]], classifier.kernel[:, [7, 999]])
    np.testing.assert_array_equal(head.bias, [7, 0, 999])
    assert 0 < np.abs(head.kernel[:, 1]).max() < 1


def in_folds(samples: Samples, count: int) -> Samples:
    return dataclasses.replace(samples, folds=(np.arange(len(samples.labels)) % count).astype(np.int32))


def test_a_head_of_a_fold_is_as_if_its_rows_were_not_there(samples):
    """Without shuffling: one batch that holds everything."""
    (config,) = wave(ADAMS[:1], dataclasses.replace(CONFIG, batch_size=1000))
    train = in_folds(samples[0], 3)
    (fitted,) = fit((train, train), [config])
    for fold, head in enumerate(fitted.best):
        rest, part = train.folds != fold, train.folds == fold
        (alone,) = fit(tuple(Samples(train.features[rows], train.labels[rows]) for rows in (rest, part)), [config])
        if alone.best_epoch == fitted.best_epoch:
            np.testing.assert_allclose(head.kernel, alone.best[0].kernel, atol=1e-5)
    assert len(fitted.best) == 3


def test_every_row_is_validated_once_by_the_head_that_ignores_it(samples):
    train = in_folds(samples[0], 3)
    for fitted in fit((train, train), wave()):
        right = np.zeros(len(train.labels), bool)
        for fold, head in enumerate(fitted.best):
            rows = train.folds == fold
            right[rows] = (train.features[rows] @ head.kernel + head.bias).argmax(axis=1) == train.labels[rows]
        assert fitted.val_top1 == pytest.approx(right.mean())


def test_folds_shrink_with_their_heads(samples, monkeypatch):
    monkeypatch.setattr(heads, "WORTH_COMPILING", 0)
    train = in_folds(samples[0], 3)
    whole = fit((train, train), plateau(FIVE))
    pruned = fit((train, train), plateau(FIVE), watch=stopping({2: {0, 1, 3}}))
    for one, other in zip(whole, pruned, strict=True):
        epochs = len(other.curves["val_loss"])
        np.testing.assert_allclose(other.curves["val_loss"], one.curves["val_loss"][:epochs], atol=1e-5)
        np.testing.assert_allclose(other.curves["train_top1"], one.curves["train_top1"][:epochs], atol=1e-5)


def test_balanced_top1_is_the_mean_of_the_classes_accuracies(samples):
    _train, val = samples
    uneven = Samples(*(np.concatenate([array, *[array[val.labels == 0]] * 4]) for array in (val.features, val.labels)))
    (fitted,) = fit((samples[0], uneven), wave(ADAMS[:1]))
    (head,) = fitted.best
    right = (uneven.features @ head.kernel + head.bias).argmax(axis=1) == uneven.labels
    wanted = np.mean([right[uneven.labels == label].mean() for label in np.unique(uneven.labels)])
    assert fitted.scores["best_val_balanced_top1"] == pytest.approx(wanted)
    assert fitted.scores["best_val_top1"] == pytest.approx(right.mean()) != pytest.approx(wanted)


def test_the_best_epoch_is_that_of_the_score_aimed_at(samples):
    base = dataclasses.replace(CONFIG, epochs=8, aim="balanced_top1")
    for fitted in fit(samples, wave(base=base)):
        curves = {**fitted.curves, "val_top1": fitted.curves["val_balanced_top1"]}
        assert fitted.best_epoch == best_epoch(curves)


def test_balanced_weights_equal_keras_class_weight(samples):
    train, val = samples
    few = (train.labels > 0) | (np.arange(len(train.labels)) % 4 == 0)
    uneven = Samples(train.features[few], train.labels[few])
    (config,) = wave(ADAMS[:1], dataclasses.replace(CONFIG, class_weights="balanced"))
    (fitted,) = fit((uneven, val), [config])
    sizes = np.bincount(uneven.labels)
    weights = {label: len(uneven.labels) / (CLASSES * size) for label, size in enumerate(sizes)}
    _head, history = keras_fit((uneven, val), config, heads.random_head(WIDTH, CLASSES, seed=1), class_weight=weights)
    np.testing.assert_allclose(fitted.curves["train_loss"], history["loss"], atol=1e-4)
    np.testing.assert_allclose(fitted.curves["val_loss"], history["val_loss"], atol=1e-4)


def test_a_pull_draws_weights_back_to_where_they_started(samples):
    start = heads.random_head(WIDTH, CLASSES, seed=1)
    (configs, pulls), kernels = (wave(((1e-2, 0.9, 0.999),)), (0.0, 0.1, 10.0)), []
    for pull in pulls:
        (fitted,) = heads.fit(samples[0], None, (start,), configs, schedules.of(configs), pull=pull)
        kernels.append(fitted.best[0].kernel)
    distances = [np.linalg.norm(kernel - start.kernel) for kernel in kernels]
    assert distances[0] > distances[1] > 2 * distances[2] > 0


def test_a_pull_is_the_penalty_that_keras_regularises_with(samples):
    """Towards zeros, where both start: the gradient of half of the pull for each squared weight."""
    zeros = Head(np.zeros((WIDTH, CLASSES), np.float32), np.zeros(CLASSES, np.float32))
    (config,) = wave(((1e-2, 0.9, 0.999),))
    (ours,) = heads.fit(samples[0], None, (zeros,), [config], schedules.of([config]), pull=0.2)
    theirs, _history = keras_fit(samples, config, zeros, l2=0.1)
    np.testing.assert_allclose(ours.best[0].kernel, theirs.kernel, rtol=1e-3, atol=1e-4)


def test_heads_of_an_annealed_rate_are_kept_as_they_end(samples):
    configs = wave(base=dataclasses.replace(CONFIG, lr_schedule="cosine"))
    assert [fitted.best_epoch for fitted in fit(samples, configs)] == [CONFIG.epochs] * len(ADAMS)


def test_each_fold_has_a_start_of_its_own(samples):
    train = dataclasses.replace(samples[0], folds=np.arange(71, dtype=np.int32) % 2)
    starts = tuple(heads.random_head(WIDTH, CLASSES, seed=seed) for seed in (1, 2))
    configs = wave(((1e-30, 0.9, 0.999),) * 2)
    for fitted in heads.fit(train, train, starts, configs, schedules.of(configs)):
        for head, start in zip(fitted.best, starts, strict=True):
            np.testing.assert_allclose(head.kernel, start.kernel)
