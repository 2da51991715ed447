"""One search without databases, as a benchmark repeats it: rounds, the winner trained on train + val, its test."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from optuna.trial import FrozenTrial

from pipeline.config import SweepConfig
from pipeline.datasets import Dataset
from pipeline.features.table import load_table
from pipeline.training.frozen import HeadTrainer
from pipeline.training.heads import Head
from tuning import rounds, sampling, search_space, studies, tasks

SPACE = search_space.distributions(finetunes=False)


class Searched(NamedTuple):
    """Top-1 are fractions.

    Attributes:
        test, val: of the winner.
        seconds: of the search and the final training.
        untrained: test top-1 of what heads start from; NaN where that does not know the classes.
    """

    test: float
    val: float
    seconds: float
    untrained: float


def searched(config: SweepConfig, dataset: Dataset, folds: int = 1) -> Searched:
    """The search of the one cell of `config`, whose features are made where there are none yet."""
    trainer, begun = HeadTrainer(config.train_config(config.cells[0]), dataset, folds=folds), time.perf_counter()
    winner = studies.best(list(trials_of(config, trainer, dataset, folds).values()), "bench")
    head = refitted(config, trainer, winner)
    seconds = time.perf_counter() - begun
    untrained = top1(config, trainer, dataset, trainer.start[1]) if trainer.start else float("nan")
    return Searched(top1(config, trainer, dataset, head), float(winner.value or 0), seconds, untrained)


def trials_of(config: SweepConfig, trainer: HeadTrainer, dataset: Dataset, folds: int = 1) -> dict[int, FrozenTrial]:
    """All trials of a search, by index."""
    base = config.train_config(config.cells[0])
    ended: dict[int, FrozenTrial] = {}
    if start := tasks.untrained(trainer, base.aim):
        ended[0] = start.as_trial(None, 0, (0, 1))
    kind = config.pruner_kind(len(dataset.train), config.outputs(dataset.num_classes), folds)
    pruner = sampling.pruner_of(kind, config.epochs)
    while current := rounds.next_round(ended, config.trials - len(ended), config.round_size, together=True):
        before = [trial for index, trial in ended.items() if index < current.begin]
        memory = sampling.round_study("bench", before, SPACE, config.seed, pruner)
        for task in current.tasks:
            trials = sampling.draw(memory, SPACE, current.asked, skip=task.first - current.begin)
            configs = [search_space.train_config(base, trial.params) for trial in trials]
            outcomes = tasks.fit_trials(trainer, configs, trials, tell=lambda _epoch: None)
            for index, trial, outcome in zip(task.indices, trials, outcomes, strict=True):
                ended[index] = outcome.as_trial(trial, index, (task.first, task.size))
    return ended


def refitted(config: SweepConfig, trainer: HeadTrainer, winner: FrozenTrial) -> Head:
    """The winner's head, trained on train + val."""
    fit = winner.user_attrs[studies.FIT]
    rates = np.array(fit["curves"].get("learning_rate", [])[: fit["best_epoch"]])
    (head,) = trainer.refit(search_space.train_config(config.train_config(config.cells[0]), winner.params), rates).best
    return head


def top1(config: SweepConfig, trainer: HeadTrainer, dataset: Dataset, head: Head) -> float:
    """On all test pictures."""
    features = load_table(dataset.test, dataset.source, trainer.backbone, config.work_dir).features
    return float(np.mean((features @ head.kernel + head.bias).argmax(1) == dataset.test.labels))
