"""What heads start from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import TrainConfig
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
    return start(FEATURES[known], LABELS[known], folds)


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
    assert starts.kind_of(config, backbone, names) == kind
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
    assert starts.kind_of(config, without, HALF_KNOWN) == "random"


def test_imagenet_columns_that_are_not_there_are_refused(backbone, without):
    config = dataclasses.replace(CONFIG, head_init="imagenet")
    with pytest.raises(UserError, match="no class with a WordNet id"):
        starts.start_of(config, backbone, ("zero", "one"))
    for protocol in ("paper", "replication"):
        with pytest.raises(UserError, match="weights tiny, which have none"):
            starts.start_of(dataclasses.replace(config, protocol=protocol), without, HALF_KNOWN)


def test_the_pull_is_towards_a_start_that_knows_the_classes():
    assert starts.pull_of(CONFIG, "discriminant") == starts.pull_of(CONFIG, "imagenet") == starts.PULL
    assert starts.pull_of(CONFIG, "random") == 0
    assert starts.pull_of(dataclasses.replace(CONFIG, protocol="replication"), "imagenet") == 0
    assert starts.pull_of(dataclasses.replace(CONFIG, l2=0.5), "random") == 0.5
