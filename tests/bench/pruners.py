"""What pruning saves and costs: whole searches with each of the pruners, from every start.

    python -m tests.bench.pruners [--seeds 3] [--only TEXT]

40 trials at 0.75-224, validated on one val, whose cut, the order and the draws are each seed's own; the winner is
trained on train + val and tested on all test pictures. Seconds are of the search and that training; epochs are the
share of all that were trained. Half an hour on two cores; features are made once.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from typing import get_args

import numpy as np
import optuna

from pipeline import datasets
from pipeline.config import Pruner, SweepConfig
from pipeline.datasets import Dataset
from pipeline.shell import cli, progress
from pipeline.training.frozen import HeadTrainer
from tests.bench import real_pictures
from tests.bench.searched import refitted, top1, trials_of
from tuning import studies

SEARCHES: dict[str, dict[str, object]] = {
    "dogs, ImageNet's columns": {"dataset": "stanford_dogs"},
    "dogs, discriminant": {"dataset": "stanford_dogs", "head_init": "discriminant"},
    "dogs, noise": {"dataset": "stanford_dogs", "head_init": "random"},
    "CIFAR-10, discriminant": {"dataset": "cifar10", "train_limit": 12_000},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    real_pictures.require()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print("| search | pruner | test | against none | val | epochs | seconds |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, progress.no_bars():
        for name, settings in SEARCHES.items():
            if asked.only not in name:
                continue
            config = SweepConfig(**{**real_pictures.at_075_224(folder), **settings, "folds": "1"})
            dataset = datasets.load(config)
            found = {pruner: _searches(config, dataset, pruner, asked.seeds) for pruner in reversed(get_args(Pruner))}
            for pruner, values in found.items():
                test, val, epochs, seconds = values.T
                mean, low, high = real_pictures.mean_interval(100 * (test - found["none"][:, 0]))
                print(
                    f"| {name} | {pruner} | {100 * test.mean():.1f} | {mean:+.2f} [{low:+.2f}, {high:+.2f}] "
                    f"| {100 * val.mean():.1f} | {100 * epochs.mean():.0f} % | {seconds.mean():.1f} |",
                    flush=True,
                )


def _searches(config: SweepConfig, dataset: Dataset, pruner: Pruner, seeds: int) -> np.ndarray:
    """(seeds, 4): test and val top-1 of the winner, share of the epochs that were trained, seconds."""
    return np.array([_search(dataclasses.replace(config, seed=seed, pruner=pruner), dataset) for seed in range(seeds)])


def _search(config: SweepConfig, dataset: Dataset) -> tuple[float, float, float, float]:
    trainer, begun = HeadTrainer(config.train_config(config.cells[0]), dataset), time.perf_counter()
    trials = list(trials_of(config, trainer, dataset).values())
    winner = studies.best(trials, "bench")
    head = refitted(config, trainer, winner)
    seconds = time.perf_counter() - begun
    curves = [trial.user_attrs[studies.FIT]["curves"] for trial in trials]
    epochs = sum(len(curve.get("val_loss", [])) for curve in curves) / (config.trials * config.epochs)
    return top1(config, trainer, dataset, head), float(winner.value or 0), epochs, seconds


if __name__ == "__main__":
    cli.run(main)
