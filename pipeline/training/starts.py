"""What heads on frozen features start from: ImageNet's own columns, a discriminant of the pictures, or noise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from pipeline.config import TrainConfig
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone
from pipeline.shell.errors import UserError
from pipeline.training import closed_form, heads
from pipeline.training.heads import Head, Heads

PULL = 0.1  # of l2 auto, towards a start that knows the classes: the score hardly hangs on the rate then

Start = Callable[[np.ndarray, np.ndarray, np.ndarray | None], Heads]
"""Plain features float32 (n, d) that are trained on, their labels int (n,), and their folds int (n,) or None -> a head
for each fold, none of which has seen the rows of its own, or one head."""


def kind_of(config: TrainConfig, backbone: Backbone, class_names: tuple[str, ...]) -> str:
    """ "imagenet", "discriminant" or "random": what config.head_init comes to.

    Raises UserError where it is imagenet, and the weights bring no classifier, or ImageNet has none of the classes.
    """
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


def start_of(config: TrainConfig, backbone: Backbone, class_names: tuple[str, ...]) -> Start:
    """The heads that every trial starts from. Raises UserError, as `kind_of` does."""
    kind, width = kind_of(config, backbone, class_names), backbone.model.output_shape[-1]
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


def pull_of(config: TrainConfig, kind: str) -> float:
    """How strongly weights are drawn back to a start of this kind."""
    if config.l2 != "auto":
        return config.l2
    return 0.0 if kind == "random" or config.protocol == "replication" else PULL


def _same(head: Head, features: np.ndarray, labels: np.ndarray, folds: np.ndarray | None) -> Heads:
    """One that has seen no picture of ours."""
    return (head,) * (1 if folds is None else int(folds.max()) + 1)


def _discriminants(
    config: TrainConfig, classes: int, features: np.ndarray, labels: np.ndarray, folds: np.ndarray | None
) -> Heads:
    balanced = config.class_weights == "balanced"
    return closed_form.discriminants(features, labels, classes, folds, balanced, config.aim)
