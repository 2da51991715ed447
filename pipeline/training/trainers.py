"""Which way a configuration is trained: the head on cached features, or the whole network on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import keras
import numpy as np

from pipeline.config import Cell, TrainConfig
from pipeline.datasets import Dataset
from pipeline.features.table import Run, here
from pipeline.networks import devices
from pipeline.networks.backbones import Backbone
from pipeline.training.finetune import NetworkTrainer
from pipeline.training.fit import Fit, Watch
from pipeline.training.frozen import HeadTrainer
from pipeline.training.heads import Head


class Trainer(Protocol):
    """One cell of one data set, ready to be trained.

    Attributes:
        backbone: as it was loaded.
        untrained: what fits start from, validated; None where that does not know the classes, or is trained itself.
    """

    backbone: Backbone

    @property
    def untrained(self) -> Fit[Any] | None: ...

    @property
    def start(self) -> tuple[Backbone, Head] | None:
        """Frozen convolutions, and the head that is trained first, of train + val; None where it knows no classes."""

    def fit(self, configs: Sequence[TrainConfig], watch: Watch = ...) -> list[Fit[Any]]:
        """One fit for each of `configs`, on `train`, scored on `val`; `watch` says after every epoch which go on."""

    def refit(self, config: TrainConfig, rates: np.ndarray) -> Fit[Any]:
        """On train + val, with the learning rates (epochs,) of an earlier fit; nothing is validated."""

    def validated(self, trained: Any) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, C), or log probabilities, of the pictures that a fit's `best` was validated on; labels (n,)."""

    def spread(self, trained: Any) -> float:
        """How far the logits of training pictures lie apart, 0 where they do not.

        A temperature of one fit is multiplied by how much larger that is of another.
        """

    def model(self, trained: Any, temperature: float = 1.0) -> keras.Model:
        """Of a refit's `best`, or of a fit's without folds: uint8 pictures of any size -> probabilities."""


def trainer_for(
    config: TrainConfig, dataset: Dataset, beside: Sequence[Cell] = (), run: Run = here, folds: int = 1
) -> Trainer:
    """Loads the cell's backbone, and where its weights are trained ones its feature table.

    Args:
        beside: cells that will be trained, too; where a table must be made, theirs are made in the same pass.
        run: where features are computed.
        folds: of heads; see HeadTrainer.

    Raises UserError where this machine does not compute in the precision asked for, unless others are to do it.
    """
    if run is here:
        devices.require_for(config.precision)
    if config.freeze_conv:
        return HeadTrainer(config, dataset, beside, run, folds)
    return NetworkTrainer(config, dataset, beside, run)
