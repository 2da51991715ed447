"""Trains the head alone: the convolutions are frozen, so every trial reads one feature table."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from pipeline import datasets
from pipeline.config import Cell, TrainConfig
from pipeline.datasets import Dataset
from pipeline.features.table import Run, here, load_table
from pipeline.networks import backbones
from pipeline.shell.errors import UserError
from pipeline.training import heads, schedules, starts
from pipeline.training.calibration import Calibration, calibrate
from pipeline.training.fit import Fit, Watch, go_on
from pipeline.training.heads import Heads, Samples
from pipeline.training.scaling import Scaling

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
        # Refused before anything is extracted.
        self._pull = starts.pull_of(config, starts.kind_of(config, self.backbone, dataset.class_names))
        self._start_of = starts.start_of(config, self.backbone, dataset.class_names)
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
        self._starts = self._start(plain, self._labels[train], self._folds)
        self.train_samples, self.val_samples = (
            dataclasses.replace(self._samples(rows, views), folds=self._folds_of(rows, views))
            for rows, views in ((train, self._views), (val, self._views[:1]))
        )

    def fit(self, configs: Sequence[TrainConfig], watch: Watch = go_on) -> list[Fit[Heads]]:
        """Trains one head for each of `configs` on `train`, or one for each fold; all of them together."""
        samples = self.train_samples, self.val_samples
        fits = heads.fit(*samples, self._starts, configs, schedules.of(configs), watch, self._pull)
        return [self._on_plain(fit) for fit in fits]

    def refit(self, config: TrainConfig, rates: np.ndarray) -> Fit[Heads]:
        """Trains on train + val, replaying `rates` (epochs,), the learning rates of an earlier fit.

        Raises UserError where the loss stops being a number.
        """
        config = dataclasses.replace(config, epochs=len(rates))
        whole = self._samples(np.arange(len(self._labels)), self._views)
        start = self._start(self.table.features, self._labels)
        (fit,) = heads.fit(whole, None, start, [config], schedules.Fixed(rates[:, None]), pull=self._pull)
        fit.require_finite()
        return self._on_plain(fit)

    def calibrate(self, trained: Heads) -> Calibration:
        """Of a fit's `best`, by the pictures that it was validated on."""
        scaled = [self._scaling.onto_scaled(head) for head in trained]
        parts = self.val_samples.by_fold()
        logits = [part.features @ head.kernel + head.bias for part, head in zip(parts, scaled, strict=True)]
        return calibrate(np.concatenate(logits), np.concatenate([part.labels for part in parts]))

    def model(self, trained: Heads, temperature: float = 1.0) -> keras.Model:
        """Of the one head: uint8 pictures of any size -> probabilities, of logits divided by `temperature`."""
        (head,) = trained
        return backbones.with_head(self.backbone, head.kernel / temperature, head.bias / temperature)

    def _start(self, features: np.ndarray, labels: np.ndarray, folds: np.ndarray | None = None) -> Heads:
        """On scaled features."""
        return tuple(self._scaling.onto_scaled(head) for head in self._start_of(features, labels, folds))

    def _on_plain(self, fit: Fit[Heads]) -> Fit[Heads]:
        return dataclasses.replace(fit, best=tuple(self._scaling.onto_plain(head) for head in fit.best))

    def _folds_of(self, rows: np.ndarray, views: Sequence[np.ndarray]) -> np.ndarray | None:
        return None if self._folds is None else np.tile(self._folds[rows], len(views))

    def _samples(self, rows: np.ndarray, views: Sequence[np.ndarray]) -> Samples:
        """These pictures in each of the views, one view after the other; on the device for as long as they are held."""
        seen = [self._scaling.apply(view[rows]) for view in views]
        features = np.concatenate(seen) if len(seen) > 1 else seen[0]  # which would be copied
        return Samples(features, np.tile(self._labels[rows], len(seen))).on_device()


def _loadable(cells: Sequence[Cell], config: TrainConfig) -> Iterator[backbones.Backbone]:
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
