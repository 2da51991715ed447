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
    base = config.train_config(config.cells[0])
    trainer, begun = HeadTrainer(base, dataset, folds=folds), time.perf_counter()
    ended: dict[int, FrozenTrial] = {}
    if start := tasks.untrained(trainer, base.aim):
        ended[0] = start.as_trial(None, 0, (0, 1))
    pruner = sampling.pruner_of(config.pruner, config.epochs)
    while current := rounds.next_round(ended, config.trials - len(ended), config.round_size, together=True):
        before = [trial for index, trial in ended.items() if index < current.begin]
        memory = sampling.round_study("bench", before, SPACE, config.seed, pruner)
        for task in current.tasks:
            trials = sampling.draw(memory, SPACE, current.asked, skip=task.first - current.begin)
            configs = [search_space.train_config(base, trial.params) for trial in trials]
            outcomes = tasks.fit_trials(trainer, configs, trials, tell=lambda _epoch: None)
            for index, trial, outcome in zip(task.indices, trials, outcomes, strict=True):
                ended[index] = outcome.as_trial(trial, index, (task.first, task.size))
    winner = studies.best(list(ended.values()), "bench")
    fit = winner.user_attrs[studies.FIT]
    rates = np.array(fit["curves"].get("learning_rate", [])[: fit["best_epoch"]])
    (head,) = trainer.refit(search_space.train_config(base, winner.params), rates).best
    seconds = time.perf_counter() - begun
    test = load_table(dataset.test, dataset.source, trainer.backbone, config.work_dir).features
    heads = (head, trainer.start[1] if trainer.start else None)
    top1, untrained = (
        float("nan") if one is None else float(np.mean((test @ one.kernel + one.bias).argmax(1) == dataset.test.labels))
        for one in heads
    )
    return Searched(top1, float(winner.value or 0), seconds, untrained)
