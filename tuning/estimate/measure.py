"""How fast this machine is at one configuration, measured on its own first pictures; for an estimate.

What is measured is what the sweep will run: the same pass over pictures, the same compiled epoch. A LiteRT model that
is converted here stays in the work folder, and an epoch that is compiled here is not compiled again by this process.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from pipeline import datasets
from pipeline.config import TrainConfig
from pipeline.datasets import Dataset, Split
from pipeline.features.extract import Made, Wanted, features_of
from pipeline.networks.backbones import Backbone
from pipeline.shell import progress
from pipeline.training import heads, schedules, starts
from pipeline.training.heads import Samples
from pipeline.training.trainers import trainer_for

UNSTEADY = 64  # pictures at either end of a pass, where decoding is ahead of computing or done with
LARGEST_WAVE = 1e10  # rows x features x classes x heads of a measured epoch, which two cores take a second for
STEPS = 3  # of training a whole network


def of_pictures(
    config: TrainConfig, dataset: Dataset, backbones: Sequence[Backbone], count: int
) -> tuple[float, float]:
    """A pass over the first `count` training pictures that makes features of all of `backbones`.

    Returns seconds to make their engines ready, and seconds for each picture.
    """
    split = _first(dataset.train, count)
    views = (False, True) if config.views == "flip" else (False,)
    wanted = [Wanted(backbone, mirrored) for backbone in backbones for mirrored in views]
    told: list[Made] = []
    begun = time.perf_counter()
    features_of(split, wanted, config.engine, config.work_dir, config.precision, tell=told.append)
    whole = time.perf_counter() - begun
    return max(0.0, whole - sum(made.seconds for made in told)), _steady_pace(told, len(split))


def _steady_pace(told: Sequence[Made], total: int) -> float:
    """Seconds for each picture, away from both ends of the pass where it is long enough."""
    steady = [made for made in told if made.begin >= UNSTEADY and made.begin + made.count <= total - UNSTEADY]
    counted = steady if len(steady) > 1 else told
    return sum(made.seconds for made in counted) / sum(made.count for made in counted)


def of_epochs(config: TrainConfig, rows: tuple[int, int], shape: tuple[int, int], wave: int) -> tuple[float, float]:
    """Two epochs of a wave of heads on noise.

    Args:
        rows: of train and val.
        shape: features, classes.

    Returns seconds to compile, and seconds of an epoch.
    """
    part = min(1.0, LARGEST_WAVE / (rows[0] * shape[0] * shape[1] * wave))
    rng = np.random.default_rng(0)
    train, val = (
        Samples(rng.standard_normal((count, shape[0]), np.float32), rng.integers(0, shape[1], count).astype(np.int32))
        for count in (max(1, int(part * rows[0])), max(1, int(part * rows[1])))
    )
    marks = [time.perf_counter()]
    configs = [dataclasses.replace(config, epochs=2)] * wave
    start = heads.random_head(*shape, seed=0)
    heads.fit(train, val, (start,), configs, schedules.of(configs), partial(_mark, marks), starts.PULL)
    first, second = np.diff(marks)
    return max(0.0, first - second), second / part


def of_networks(config: TrainConfig, dataset: Dataset) -> tuple[float, float]:
    """Two epochs, of a few steps, of training the whole network.

    Returns seconds till the first step, and seconds for each training picture, scored validation pictures included.
    """
    order = np.argsort(dataset.train.labels, kind="stable")  # whole classes, so that they can be cut
    count = max(int(STEPS * config.batch / (1 - config.val_fraction)), 2)
    few = dataclasses.replace(dataset, train=_whole_classes(dataset.train, order, count))
    with tempfile.TemporaryDirectory() as folder:  # for the features of these few, if heads are trained first
        config = dataclasses.replace(config, epochs=2, work_dir=folder, engine="keras")
        with progress.no_bars():
            trainer = trainer_for(config, few)
        marks = [time.perf_counter()]
        trainer.fit([config], partial(_mark, marks))
    first, second = np.diff(marks)
    train, _val = datasets.cut(few.train, config.val_fraction, config.seed)
    return max(0.0, first - second), second / len(train)


def _mark(marks: list[float], epoch: int, indices: np.ndarray, val_top1: np.ndarray) -> np.ndarray:
    """A watch that looks at the clock."""
    marks.append(time.perf_counter())
    return np.ones(len(indices), bool)


def _first(split: Split, count: int) -> Split:
    """The first pictures, without a look at those behind them."""
    return dataclasses.replace(
        split,
        labels=split.labels[:count],
        ids=split.ids[:count],
        hashes=split.hashes[:count],
        raw=lambda: split.raw().take(count),
    )


def _whole_classes(split: Split, order: np.ndarray, count: int) -> Split:
    """At least `count` pictures, where there are so many, two or more of each class that is in it."""
    chosen = order[:count]
    last = np.flatnonzero(split.labels == split.labels[chosen[-1]])[:2]
    return split.subset(np.union1d(chosen, last))
