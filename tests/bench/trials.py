"""After how many trials a search may stop: rules tried on searches that ran to the end.

    python -m tests.bench.trials [--seeds 10]

Each search has 40 trials at 0.75-224 (digits: 0.5-96), once for each seed, which cuts train and val anew. A rule
looks at the trials of whole rounds; where it stops, the best so far is trained on train + val and tested on all test
pictures. Half an hour on two cores; features are made once.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import tempfile
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from pipeline import datasets
from pipeline.config import SweepConfig
from pipeline.datasets import Dataset
from pipeline.shell import cli, progress
from pipeline.training.frozen import HeadTrainer
from tests.bench import real_pictures
from tests.bench.searched import refitted, top1, trials_of
from tuning import studies

Stops = Callable[[Sequence[FrozenTrial], int], bool]
"""The trials of whole rounds, in order, and how many pictures they are validated on -> whether to stop."""

DOGS = {"dataset": "stanford_dogs"}
SEARCHES: dict[str, dict[str, object]] = {
    "dogs, ImageNet's columns": DOGS,
    "dogs, discriminant": {**DOGS, "head_init": "discriminant"},
    "dogs, discriminant, no L2": {**DOGS, "head_init": "discriminant", "l2": 0.0},
    "dogs, noise": {**DOGS, "head_init": "random"},
    "CIFAR-10, discriminant": {**DOGS, "dataset": "cifar10", "train_limit": 12_000},
    "digits": {"dataset": "digits", "weights": "tiny", "alphas": (0.5,), "resolutions": (96,)},
}


def stagnant(rounds: int, errors: float) -> Stops:
    """Once the last `rounds` rounds of 8 raised the best by no more than `errors` standard errors of a score."""

    def stops(trials: Sequence[FrozenTrial], pictures: int) -> bool:
        values = [trial.value or 0.0 if trial.state == TrialState.COMPLETE else 0.0 for trial in trials]
        if len(values) <= 8 * rounds:
            return False
        before, now = max(values[: -8 * rounds]), max(values)
        return now - before <= errors * math.sqrt(now * (1 - now) / pictures)

    return stops


RULES: dict[str, Stops] = {
    f"{rounds} rounds, {errors:g} standard errors": stagnant(rounds, errors)
    for rounds in (1, 2, 3)
    for errors in (0.0, 0.25, 0.5)
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    real_pictures.require()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print("| search | rule | trials | test top-1 | less than after 40 [95 %] |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, progress.no_bars():
        for name, settings in SEARCHES.items():
            config = SweepConfig(**{**real_pictures.at_075_224(folder), **settings})
            dataset = datasets.load(config)
            searches = [_stops(dataclasses.replace(config, seed=seed), dataset) for seed in range(seeds)]
            for rule in RULES:
                print(f"| {name} | {rule} | {_row(np.array([found[rule] for found in searches]))} |", flush=True)


def _stops(config: SweepConfig, dataset: Dataset) -> dict[str, tuple[float, float, float]]:
    """Rule -> trials until it stops, test top-1 of the best of them, and of the best of all."""
    folds = config.fold_count(len(dataset.train), is_dealt=False)
    trainer = HeadTrainer(config.train_config(config.cells[0]), dataset, folds=folds)
    trials = list(trials_of(config, trainer, dataset, folds).values())
    pictures = len(trainer.val_samples.labels)

    @cache
    def tested(count: int) -> float:
        """Top-1 of the best of the first `count` trials."""
        return of_winner(trials.index(studies.best(trials[:count], "bench")))

    @cache
    def of_winner(index: int) -> float:
        return top1(config, trainer, dataset, refitted(config, trainer, trials[index]))

    ends = [*range(config.round_size, config.trials, config.round_size), config.trials]
    counts = {
        name: next((end for end in ends if rule(trials[:end], pictures)), config.trials) for name, rule in RULES.items()
    }
    return {name: (count, tested(count), tested(config.trials)) for name, count in counts.items()}


def _row(found: np.ndarray) -> str:
    """Of (seeds, 3): the means of trials and of top-1 in %, and the mean difference with its 95 % interval."""
    less, low, high = real_pictures.mean_interval(100 * (found[:, 1] - found[:, 2]))
    return f"{found[:, 0].mean():.0f} | {100 * found[:, 1].mean():.1f} | {less:+.2f} [{low:+.2f}, {high:+.2f}]"


if __name__ == "__main__":
    cli.run(main)
