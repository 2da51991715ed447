"""What heads start from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline import datasets
from pipeline.config import TrainConfig
from pipeline.features.table import load_table
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone, Classifier
from pipeline.shell.errors import UserError
from pipeline.training import closed_form, starts
from pipeline.training.heads import Head

SHIPPED = str(Path(backbones.__file__).parent / "weights" / "mobilenet_0.25.weights.h5")
CONFIG = TrainConfig(dataset="digits", weights=SHIPPED, alpha=0.25, resolution=32)
HALF_KNOWN = ("n01440764-tench", "n01443537-goldfish", "unicorn", "dragon")
MOST_UNKNOWN = (*HALF_KNOWN, "griffin")
RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(5), 8)
FEATURES = (RNG.normal(size=(5, 256))[LABELS] + RNG.normal(size=(40, 256))).astype(np.float32)


@pytest.fixture(scope="module")
def without() -> Backbone:
    return backbones.load(CONFIG.cell, "tiny")


@pytest.fixture(scope="module")
def backbone(without) -> Backbone:
    """tiny convolutions with a classifier that ImageNet might have had: 256 features, column c is all c."""
    classifier = Classifier(np.tile(np.arange(1000.0), (256, 1)), np.zeros(1000))
    return Backbone(CONFIG.cell, "a file", without.model, classifier)


def started(
    backbone: Backbone, names: tuple[str, ...], folds: np.ndarray | None = None, **settings
) -> tuple[Head, ...]:
    start = starts.start_of(dataclasses.replace(CONFIG, **settings), backbone, names)
    known = np.isin(LABELS, range(len(names)))
    return start.make(FEATURES[known], LABELS[known], folds)


@pytest.mark.parametrize(
    ("head_init", "names", "kind"),
    [
        ("auto", HALF_KNOWN, "imagenet"),
        ("auto", MOST_UNKNOWN, "discriminant"),
        ("imagenet", MOST_UNKNOWN, "imagenet"),
        ("discriminant", HALF_KNOWN, "discriminant"),
        ("random", HALF_KNOWN, "random"),
    ],
)
def test_the_start_is_what_head_init_says(backbone, head_init, names, kind):
    config = dataclasses.replace(CONFIG, head_init=head_init)
    assert starts.start_of(config, backbone, names).kind == kind
    (head,) = started(backbone, names, head_init=head_init)
    assert head.kernel.shape == (256, len(names))
    assert bool((head.kernel[:, 1] == 1).all()) is (kind == "imagenet")


def test_weights_without_a_classifier_start_from_the_discriminant(without):
    (head,) = started(without, MOST_UNKNOWN)
    (expected,) = closed_form.discriminants(FEATURES, LABELS, 5)
    np.testing.assert_array_equal(head.kernel, expected.kernel)


def test_there_is_a_start_for_each_fold(backbone):
    folds = np.arange(40) % 4
    assert len(started(backbone, MOST_UNKNOWN, folds)) == 4
    one, *others = started(backbone, MOST_UNKNOWN, folds, head_init="random")
    assert len(others) == 3
    assert all(np.array_equal(one.kernel, other.kernel) for other in others)


@pytest.mark.parametrize(("head_init", "keeps"), [("auto", True), ("random", False), ("imagenet", True)])
def test_under_the_replications_protocol_imagenets_classifier_is_kept_whole(backbone, head_init, keeps):
    (head,) = started(backbone, HALF_KNOWN, head_init=head_init, protocol="replication")
    assert (head.kernel.shape, head.bias.shape) == ((256, 1000), (1000,))
    assert bool((head.kernel == backbone.classifier.kernel).all()) is keeps


def test_the_replication_without_a_classifier_starts_from_noise(without):
    config = dataclasses.replace(CONFIG, protocol="replication")
    assert starts.start_of(config, without, HALF_KNOWN).kind == "random"


def test_imagenet_columns_that_are_not_there_are_refused(backbone, without):
    config = dataclasses.replace(CONFIG, head_init="imagenet")
    with pytest.raises(UserError, match="no class with a WordNet id"):
        starts.start_of(config, backbone, ("zero", "one"))
    for protocol in ("paper", "replication"):
        with pytest.raises(UserError, match="weights tiny, which have none"):
            starts.start_of(dataclasses.replace(config, protocol=protocol), without, HALF_KNOWN)


def test_untrained_heads_are_of_all_training_pictures(tmp_path):
    config = dataclasses.replace(CONFIG, work_dir=str(tmp_path))
    dataset = datasets.load(config)
    backbone, head = starts.untrained(config, dataset)
    features = load_table(dataset.train, dataset.source, backbone, config.work_dir, config.engine).features
    (expected,) = closed_form.discriminants(features, dataset.train.labels, dataset.num_classes)
    np.testing.assert_array_equal(head.kernel, expected.kernel)


@pytest.mark.parametrize("settings", [{"head_init": "random"}, {"weights": "none", "freeze_conv": False}])
def test_there_are_no_untrained_heads_that_know_nothing(settings):
    assert starts.untrained(dataclasses.replace(CONFIG, **settings), datasets.load(CONFIG)) is None


@pytest.mark.parametrize(
    ("settings", "knows", "pull"),
    [
        ({"head_init": "imagenet"}, True, starts.PULL),
        ({"head_init": "discriminant"}, True, starts.PULL),
        ({"head_init": "discriminant", "l2": 0.0}, True, 0),
        ({"head_init": "random"}, False, 0),
        ({"head_init": "random", "l2": 0.5}, False, 0.5),
        ({"protocol": "replication"}, False, 0),
    ],
)
def test_the_pull_is_towards_a_start_that_knows_the_classes(backbone, settings, knows, pull):
    start = starts.start_of(dataclasses.replace(CONFIG, **settings), backbone, HALF_KNOWN)
    assert (start.knows_classes, start.pull) == (knows, pull)
