"""What heads are to start from, how they are trained, and in batches of what size: ten seeds of the split each.

    python -m tests.bench.starts [--seeds 10] [--trials 24] [--dataset stanford_dogs] [--only TEXT]

Each row (of those whose name holds what `--only` says) is searched at 0.75-224, once for each seed,
which cuts train and val anew, with the median as pruner, in batches of 128 unless a row says otherwise; each winner is
trained on train + val and tested on all test pictures. About two hours on two cores; features are made once.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile

import numpy as np
import optuna

from pipeline import datasets
from pipeline.config import SweepConfig
from pipeline.shell import cli, progress
from tests.bench import real_pictures
from tests.bench.searched import searched

TRAIN_LIMIT = {"cifar10": 12_000, "stanford_dogs": 0}  # 0: all that are there
# What most rows were measured with; fixed, so that all compare.
OLDER = {"folds": "1", "pruner": "median", "batch_size": 128}
BEST_EPOCH = {"lr_schedule": "plateau"}
ROWS = {
    "noise, best epoch, no L2, batch 32": {"head_init": "random", **BEST_EPOCH, "batch_size": 32},
    "noise, last epoch, no L2": {"head_init": "random"},
    "noise, last epoch, L2 0.1": {"head_init": "random", "l2": 0.1},
    "discriminant, best epoch, no L2": {"head_init": "discriminant", **BEST_EPOCH, "l2": 0.0},
    "discriminant, best epoch, L2 0.1": {"head_init": "discriminant", **BEST_EPOCH, "l2": 0.1},
    "discriminant, last epoch, no L2": {"head_init": "discriminant", "l2": 0.0},
    **{
        f"discriminant, last epoch, L2 0.1, batch {size}": {"head_init": "discriminant", "l2": 0.1, "batch_size": size}
        for size in (32, 64, 128, 256)
    },
    **{
        f"{name}, last epoch, {f'L2 {l2}' if l2 else 'no L2'}{', five folds' * (folds == '5')}": {
            **{"head_init": start, "l2": l2, "folds": folds}
        }
        for start, name in (("discriminant", "discriminant"), ("imagenet", "ImageNet's columns"))
        for folds in ("1", "5")
        for l2 in (0.0, 0.01, 0.1)
        if start == "imagenet" or folds == "5"
    },
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--only", default="")
    parser.add_argument("--dataset", default="stanford_dogs", choices=list(TRAIN_LIMIT))
    asked = parser.parse_args()
    real_pictures.require()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"{asked.dataset}, {asked.seeds} seeds of the split, {asked.trials} trials each: top-1 in %")
    print("| start, what counts, L2, batch | test | above the untrained | val | seconds |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, progress.no_bars():
        for name, settings in ROWS.items():
            if asked.only not in name or (asked.dataset != "stanford_dogs" and settings["head_init"] == "imagenet"):
                continue
            row = _row(_config(asked.dataset, folder, {"trials": asked.trials, **settings}), asked.seeds)
            print(f"| {name} | {' | '.join(row)} |", flush=True)


def _config(dataset: str, folder: str, settings: dict[str, object]) -> SweepConfig:
    return SweepConfig(
        **real_pictures.at_075_224(folder),
        **{"dataset": dataset, "train_limit": TRAIN_LIMIT[dataset], **OLDER, **settings},
    )


def _row(config: SweepConfig, seeds: int) -> list[str]:
    """Mean test top-1, what it is above the untrained start with its 95 % interval, mean val top-1, mean seconds."""
    dataset = datasets.load(config)  # the same for every seed; the cut, the order and the draws are not
    folds = config.fold_count(len(dataset.train), is_dealt=False)
    found = np.array([searched(dataclasses.replace(config, seed=seed), dataset, folds) for seed in range(seeds)])
    (test, val, seconds, untrained), gain = found.T, 100 * (found[:, 0] - found[:, 3])
    mean, low, high = real_pictures.mean_interval(gain)
    above = "-" if np.isnan(untrained).any() else f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
    return [f"{100 * test.mean():.1f}", above, f"{100 * val.mean():.1f}", f"{seconds.mean():.1f}"]


if __name__ == "__main__":
    cli.run(main)
