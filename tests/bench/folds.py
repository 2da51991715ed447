"""Whether folds choose better heads than one val part: searches on small draws of real pictures, and their tests.

    python -m tests.bench.folds [--draws 20]

Each draw is searched twice with the same seed, with one val and with five folds, 40 trials, at 0.75-224; each winner is
trained on all pictures of the draw and tested on the whole test split. An hour on two cores; features are made once.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile

import numpy as np
import optuna
from rich.console import Console
from rich.table import Table

from pipeline import datasets
from pipeline.config import SweepConfig
from pipeline.datasets import Dataset, splits
from pipeline.shell import cli, progress
from pipeline.training.frozen import HeadTrainer
from tests.bench import real_pictures
from tests.bench.searched import searched

DRAWN = (("cifar10", 300), ("cifar10", 1000), ("stanford_dogs", 300), ("stanford_dogs", 1000))
POOL = {"cifar10": 12_000, "stanford_dogs": 0}  # training pictures that are drawn from; 0: all
FIRST_DRAW = 1000  # seed of the first draw of pictures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=20)
    draws = parser.parse_args().draws
    real_pictures.require()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = Table(title=f"{draws} draws each, test top-1 in %")
    for column in ("pictures", "one val", "five folds", "difference", "its val, their val", "seconds"):
        table.add_column(column, justify="left" if column == "pictures" else "right")
    with tempfile.TemporaryDirectory() as folder, progress.no_bars():
        for name, count in DRAWN:
            table.add_row(f"{name}, {count:,}", *_row(name, count, draws, folder))
    Console().print(table)


def _row(name: str, count: int, draws: int, folder: str) -> list[str]:
    config = SweepConfig(**real_pictures.at_075_224(folder), dataset=name, train_limit=POOL[name])
    pool = datasets.load(config)
    HeadTrainer(config.train_config(config.cells[0]), pool)  # makes the table that all draws take their rows from
    found = np.array([_pair(config, pool, count, draw) for draw in range(draws)])  # (draws, 2, [test, val, seconds])
    one, five = found[:, 0, 0], found[:, 1, 0]
    mean, low, high = real_pictures.mean_interval(100 * (five - one))
    means = found.mean(axis=0)
    return [
        f"{100 * means[0, 0]:.1f}",
        f"{100 * means[1, 0]:.1f}",
        f"{mean:+.1f} [{low:.1f}, {high:.1f}]",
        f"{100 * means[0, 1]:.1f}, {100 * means[1, 1]:.1f}",
        f"{means[0, 2]:.1f}, {means[1, 2]:.1f}",
    ]


def _pair(config: SweepConfig, pool: Dataset, count: int, draw: int) -> list[tuple[float, ...]]:
    rows = splits.draw(pool.train.labels, count, FIRST_DRAW + draw)
    drawn = dataclasses.replace(pool, train=pool.train.subset(rows))
    return [searched(dataclasses.replace(config, seed=draw), drawn, folds)[:3] for folds in (1, 5)]


if __name__ == "__main__":
    cli.run(main)
