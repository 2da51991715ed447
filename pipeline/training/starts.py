"""What heads on frozen features start from: ImageNet's own columns, a discriminant of the pictures, or noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.config import TrainConfig
from pipeline.datasets import Dataset
from pipeline.features.table import load_table
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone
from pipeline.shell.errors import UserError
from pipeline.training import closed_form, heads
from pipeline.training.heads import Head, Heads

PULL = 0.1  # of l2 auto, towards a start that knows the classes: the score hardly hangs on the rate then

Make = Callable[[np.ndarray, np.ndarray, np.ndarray | None], Heads]
"""Plain features float32 (n, d) that are trained on, their labels int (n,), and their folds int (n,) or None -> a head
for each fold, none of which has seen the rows of its own, or one head."""


@dataclass(frozen=True)
class Start:
    """What the heads of a cell start from.

    Attributes:
        kind: "imagenet", "discriminant" or "random".
        knows_classes: whether it tells the classes apart before it is trained. The replication's does not: the columns
            that it has for the classes are those of other ones.
        pull: how strongly weights are drawn back to it, see compiled.train_epoch.
    """

    kind: str
    knows_classes: bool
    pull: float
    make: Make


def start_of(config: TrainConfig, backbone: Backbone, class_names: tuple[str, ...]) -> Start:
    """The heads that every trial starts from.

    Raises UserError where these are to be ImageNet's columns, and the weights bring no classifier, or ImageNet has none
    of the classes.
    """
    kind = _kind_of(config, backbone, class_names)
    knows = kind != "random" and config.protocol != "replication"
    pull = config.l2 if config.l2 != "auto" else PULL if knows else 0.0
    return Start(kind, knows, pull, _make(kind, config, backbone, class_names))


def untrained(config: TrainConfig, dataset: Dataset) -> tuple[Backbone, Head] | None:
    """The backbone, and what heads start from by all training pictures; None where that does not know the classes."""
    if config.weights == "none":
        return None
    backbone = backbones.load(config.cell, config.weights)
    start = start_of(config, backbone, dataset.class_names)
    if not start.knows_classes:
        return None
    features, labels = np.zeros((0, backbone.model.output_shape[-1]), np.float32), np.zeros(0, np.int32)
    if start.kind == "discriminant":
        features = load_table(dataset.train, dataset.source, backbone, config.work_dir, config.engine).features
        labels = dataset.train.labels
    return backbone, start.make(features, labels, None)[0]


def _kind_of(config: TrainConfig, backbone: Backbone, class_names: tuple[str, ...]) -> str:
    known, there = int((backbones.imagenet_columns(class_names) >= 0).sum()), backbone.classifier is not None
    replicates = config.protocol == "replication"
    if config.head_init == "auto":
        if replicates:
            return "imagenet" if there else "random"
        return "imagenet" if there and 2 * known >= len(class_names) else "discriminant"
    if config.head_init == "imagenet" and not (there and (known or replicates)):
        raise UserError(
            "wanted an ImageNet classifier that knows the classes, for head_init imagenet. Received: "
            + ("no class with a WordNet id" if there else f"weights {backbone.weights}, which have none")
            + ". Try: --head_init auto"
        )
    return config.head_init


def _make(kind: str, config: TrainConfig, backbone: Backbone, class_names: tuple[str, ...]) -> Make:
    width = backbone.model.output_shape[-1]
    if kind == "discriminant":
        return partial(_discriminants, config, len(class_names))
    if kind == "random" or backbone.classifier is None:
        return partial(_same, heads.random_head(width, config.outputs(len(class_names)), config.seed))
    if config.protocol == "replication":
        # 1000 outputs, of which the first are the data set's classes: class 0 starts from the column of ImageNet's
        # class 0, a tench, whatever it is.
        return partial(_same, Head(backbone.classifier.kernel, backbone.classifier.bias))
    columns = backbones.imagenet_columns(class_names)
    return partial(_same, heads.imagenet_head(backbone.classifier, columns, config.seed))


def _same(head: Head, features: np.ndarray, labels: np.ndarray, folds: np.ndarray | None) -> Heads:
    """One that has seen no picture of ours."""
    return (head,) * (1 if folds is None else int(folds.max()) + 1)


def _discriminants(
    config: TrainConfig, classes: int, features: np.ndarray, labels: np.ndarray, folds: np.ndarray | None
) -> Heads:
    balanced = config.class_weights == "balanced"
    return closed_form.discriminants(features, labels, classes, folds, balanced, config.aim)
