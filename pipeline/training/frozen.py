"""Trains the head alone: the convolutions are frozen, so every trial reads one feature table."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np

from pipeline import datasets
from pipeline.config import Cell, TrainConfig
from pipeline.datasets import Dataset
from pipeline.features.table import Run, here, load_table
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone
from pipeline.shell.errors import UserError
from pipeline.training import heads, schedules, starts
from pipeline.training.calibration import spread
from pipeline.training.fit import Fit, Watch, go_on, scores_of
from pipeline.training.heads import Head, Heads, Samples
from pipeline.training.scaling import Scaling

SPREAD_OF = 5000  # a sample: it is one number, and tables may have a million rows
SMALLEST_SPREAD = 1e-6  # over the pictures; the features of a freshly drawn MobileNet vary by 1e-18


class HeadTrainer:
    """One cell of one data set, ready to train heads.

    Args:
        beside: cells that will be trained, too.
        run: where features are computed.
        folds: 1, or how many heads each configuration has: each is validated on a part that it is not trained on.

    Making it loads the backbone and makes the training pictures' feature table where there is none yet; and those of
    the cells `beside` in the same pass.
    Raises UserError where the backbone's weights are no trained ones.
    """

    def __init__(
        self, config: TrainConfig, dataset: Dataset, beside: Sequence[Cell] = (), run: Run = here, folds: int = 1
    ) -> None:
        self.backbone = backbones.load(config.cell, config.weights)
        self._start = starts.start_of(
            config, self.backbone, dataset.class_names
        )  # refused before anything is extracted
        others = _loadable(beside, config)
        where = (dataset.source, self.backbone, config.work_dir)
        self.table = load_table(dataset.train, *where, config.engine, others, config.views, config.precision, run)
        _require_trained(self.table.features, config.weights)
        # To train on; a picture is validated as it is.
        self._views = [view.features for view in (self.table, self.table.mirrored) if view is not None]
        self._labels = dataset.train.labels
        everything = np.arange(len(self._labels))
        self._folds = datasets.folds(dataset.train, folds, config.seed) if folds > 1 else None
        train, val = (everything,) * 2 if folds > 1 else datasets.cut(dataset.train, config.val_fraction, config.seed)
        plain = self.table.features[train]
        self._scaling = Scaling.of(plain)
        self._starts = self._on_scaled(self._start.make(plain, self._labels[train], self._folds))
        self.train_samples, self.val_samples = (
            dataclasses.replace(self._samples(rows, views), folds=self._folds_of(rows, views))
            for rows, views in ((train, self._views), (val, self._views[:1]))
        )

    def __getstate__(self) -> dict[str, Any]:
        """What a task needs, which fits and validates: neither the backbone nor the table that samples were made of."""
        left_out = ("backbone", "table", "_views", "_whole_start")
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    @property
    def untrained(self) -> Fit[Heads] | None:
        """What every fit starts from, validated; None where that does not know the classes."""
        if not self._start.knows_classes:
            return None
        start = self._on_plain(Fit({}, 0, self._starts))
        return dataclasses.replace(start, curves=scores_of(*self.validated(start.best)))

    @property
    def start(self) -> tuple[Backbone, Head] | None:
        """The same, of all training pictures, as a refit starts from it."""
        return (self.backbone, self._whole_start[0]) if self._start.knows_classes else None

    def fit(self, configs: Sequence[TrainConfig], watch: Watch = go_on) -> list[Fit[Heads]]:
        """Trains one head for each of `configs` on `train`, or one for each fold; all of them together."""
        samples = self.train_samples, self.val_samples
        fits = heads.fit(*samples, self._starts, configs, schedules.of(configs), watch, self._start.pull)
        return [self._on_plain(fit) for fit in fits]

    def refit(self, config: TrainConfig, rates: np.ndarray) -> Fit[Heads]:
        """Trains on train + val, replaying `rates` (epochs,), the learning rates of an earlier fit; none: the start.

        Raises UserError where the loss stops being a number.
        """
        if not len(rates):
            return Fit({}, 0, self._whole_start)
        config = dataclasses.replace(config, epochs=len(rates))
        whole, start = self._samples(np.arange(len(self._labels)), self._views), self._on_scaled(self._whole_start)
        (fit,) = heads.fit(whole, None, start, [config], schedules.Fixed(rates[:, None]), pull=self._start.pull)
        fit.require_finite()
        return self._on_plain(fit)

    def validated(self, trained: Heads) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, C) of the pictures that a fit's `best` was validated on, in their order, and labels (n,)."""
        parts = self.val_samples.by_fold()
        heads_and_parts = zip(self._on_scaled(trained), parts, strict=True)
        found = np.concatenate([part.features @ head.kernel + head.bias for head, part in heads_and_parts])
        if self._folds is None:
            return found, np.asarray(self.val_samples.labels)
        logits = np.empty_like(found)
        logits[np.argsort(self._folds, kind="stable")] = found
        return logits, self._labels

    def spread(self, trained: Heads) -> float:
        """See calibration.spread: the mean over heads, each on up to SPREAD_OF pictures that it was trained on."""
        every = -(-len(self.train_samples.labels) // SPREAD_OF)
        features = np.asarray(self.train_samples.features[::every])
        folds = None if self.train_samples.folds is None or len(trained) == 1 else self.train_samples.folds[::every]
        found = []
        for fold, head in enumerate(self._on_scaled(trained)):
            own = features if folds is None else features[folds != fold]
            found.append(spread(own @ head.kernel + head.bias))
        return float(np.mean(found))

    def model(self, trained: Heads, temperature: float = 1.0) -> keras.Model:
        """Of the one head: uint8 pictures of any size -> probabilities, of logits divided by `temperature`."""
        (head,) = trained
        return backbones.with_head(self.backbone, head.kernel / temperature, head.bias / temperature)

    @cached_property
    def _whole_start(self) -> Heads:
        return self._start.make(self.table.features, self._labels, None)

    def _on_scaled(self, plain: Heads) -> Heads:
        return tuple(self._scaling.onto_scaled(head) for head in plain)

    def _on_plain(self, fit: Fit[Heads]) -> Fit[Heads]:
        return dataclasses.replace(fit, best=tuple(self._scaling.onto_plain(head) for head in fit.best))

    def _folds_of(self, rows: np.ndarray, views: Sequence[np.ndarray]) -> np.ndarray | None:
        return None if self._folds is None else np.tile(self._folds[rows], len(views))

    def _samples(self, rows: np.ndarray, views: Sequence[np.ndarray]) -> Samples:
        """These pictures in each of the views, one view after the other; on the device for as long as they are held."""
        seen = [self._scaling.apply(view[rows]) for view in views]
        features = np.concatenate(seen) if len(seen) > 1 else seen[0]  # which would be copied
        return Samples(features, np.tile(self._labels[rows], len(seen))).on_device()


def _loadable(cells: Sequence[Cell], config: TrainConfig) -> Iterator[Backbone]:
    """One after the other, when they are asked for. What cannot be loaded is refused when its own turn comes."""
    for cell in cells:
        if cell != config.cell:
            with contextlib.suppress(UserError):
                yield backbones.load(cell, config.weights)


def _require_trained(features: np.ndarray, weights: str) -> None:
    if np.ptp(features, axis=0).max() < SMALLEST_SPREAD:
        raise UserError(
            f"wanted a trained backbone, for its convolutions are frozen. Received: weights {weights}, by which every "
            "picture has the same features. Try: --weights imagenet, or a file of trained weights"
        )
