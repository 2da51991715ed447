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
from pipeline.training import heads, schedules
from pipeline.training.calibration import Calibration, calibrate
from pipeline.training.fit import Fit, Watch, go_on
from pipeline.training.heads import Head, Heads, Samples
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
        start = start_head(config, self.backbone, dataset.class_names)  # refused before anything is extracted
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
        self._scaling = Scaling.of(self.table.features[train])
        self._start = self._scaling.onto_scaled(start)
        self.train_samples, self.val_samples = (
            dataclasses.replace(self._samples(rows, views), folds=self._folds_of(rows, views))
            for rows, views in ((train, self._views), (val, self._views[:1]))
        )

    def fit(self, configs: Sequence[TrainConfig], watch: Watch = go_on) -> list[Fit[Heads]]:
        """Trains one head for each of `configs` on `train`, or one for each fold; all of them together."""
        fits = heads.fit(self.train_samples, self.val_samples, self._start, configs, schedules.of(configs), watch)
        return [self._on_plain(fit) for fit in fits]

    def refit(self, config: TrainConfig, rates: np.ndarray) -> Fit[Heads]:
        """Trains on train + val, replaying `rates` (epochs,), the learning rates of an earlier fit.

        Raises UserError where the loss stops being a number.
        """
        config = dataclasses.replace(config, epochs=len(rates))
        whole = self._samples(np.arange(len(self._labels)), self._views)
        (fit,) = heads.fit(whole, None, self._start, [config], schedules.Fixed(rates[:, None]))
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


def start_head(config: TrainConfig, backbone: backbones.Backbone, class_names: tuple[str, ...]) -> Head:
    """The head that every trial starts from, as config.head_init says.

    Raises:
        UserError: head_init is imagenet and the weights bring no classifier, or ImageNet has none of the classes.
    """
    if config.protocol == "replication":
        return _whole_head(config, backbone, len(class_names))
    columns = backbones.imagenet_columns(class_names)
    classifier, known = backbone.classifier, int((columns >= 0).sum())
    if config.head_init == "imagenet" and (classifier is None or known == 0):
        raise UserError(
            "wanted an ImageNet classifier that knows the classes, for head_init imagenet. Received: "
            + (_no_classifier(backbone) if classifier is None else "no class with a WordNet id")
            + ". Try: --head_init random"
        )
    enough = known > 0 if config.head_init == "imagenet" else 2 * known >= len(columns)
    if classifier is not None and config.head_init != "random" and enough:
        return heads.imagenet_head(classifier, columns, config.seed)
    return heads.random_head(backbone.model.output_shape[-1], len(columns), config.seed)


def _whole_head(config: TrainConfig, backbone: backbones.Backbone, class_count: int) -> Head:
    """The replication's: 1000 outputs, of which the first are the data set's classes.

    It starts from ImageNet's classifier as it is, where the weights bring one: class 0 from the column of ImageNet's
    class 0, a tench, whatever it is.
    """
    outputs = config.outputs(class_count)
    if config.head_init == "random" or (config.head_init == "auto" and backbone.classifier is None):
        return heads.random_head(backbone.model.output_shape[-1], outputs, config.seed)
    if backbone.classifier is None:
        raise UserError(
            "wanted an ImageNet classifier, for protocol replication with head_init imagenet. Received: "
            f"{_no_classifier(backbone)}. Try: --head_init random"
        )
    return Head(backbone.classifier.kernel, backbone.classifier.bias)


def _no_classifier(backbone: backbones.Backbone) -> str:
    return f"weights {backbone.weights}, which have none"


def _require_trained(features: np.ndarray, weights: str) -> None:
    if np.ptp(features, axis=0).max() < SMALLEST_SPREAD:
        raise UserError(
            f"wanted a trained backbone, for its convolutions are frozen. Received: weights {weights}, by which every "
            "picture has the same features. Try: --weights imagenet, or a file of trained weights"
        )
