"""Finds or downloads a data set, checks every picture, prints its splits and logs it in MLflow.

A right run on `--dataset digits` prints a row for each class, and ends with

    │ all   │  1221 │ 216 │  360 │
    10 classes, 0 pictures left out
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from rich.table import Table

from pipeline import datasets, tracking
from pipeline.config import DataConfig, as_params
from pipeline.datasets import Dataset, Split
from pipeline.shell import cli, progress
from pipeline.shell.errors import UserError
from pipeline.tracking import records

if TYPE_CHECKING:
    from pipeline.tracking import Tracker


def prepare(config: DataConfig, tracker: Tracker, run_id: str) -> Dataset:
    """Checks and logs the data set. Raises UserError where a picture cannot be decoded."""
    dataset = datasets.load(config)
    if not config.skip_unreadable:  # with it, `load` has looked at every picture already
        for split in (dataset.train, dataset.test):
            _require_readable(split)
    counts = count_classes(config, dataset)
    shared = count_shared(dataset)
    _print(dataset, counts, shared)
    tracker.log_params(run_id, as_params(config))
    tracker.log_table(run_id, counts, "classes.csv")
    totals = {f"pictures_{split}": float(counts[split].sum()) for split in ("train", "val", "test")}
    tracker.log_metrics(run_id, {**totals, "pictures_skipped": len(dataset.skipped), "pictures_shared": shared})
    records.log_dataset(tracker, run_id, config, dataset)
    return dataset


def count_classes(config: DataConfig, dataset: Dataset) -> pd.DataFrame:
    """One row for each class: class, and the numbers of its pictures in train, val and test."""
    parts = datasets.cut(dataset.train, config.val_fraction, config.seed)
    labels = {
        "train": dataset.train.labels[parts[0]],
        "val": dataset.train.labels[parts[1]],
        "test": dataset.test.labels,
    }
    counts = {name: np.bincount(values, minlength=dataset.num_classes) for name, values in labels.items()}
    return pd.DataFrame({"class": dataset.class_names, **counts})


def count_shared(dataset: Dataset) -> int:
    """How many test pictures are training pictures to the last bit."""
    trained_on = {row.tobytes() for row in dataset.train.hashes}
    return sum(row.tobytes() in trained_on for row in dataset.test.hashes)


def _require_readable(split: Split) -> None:
    with progress.bar(f"checking {split.name}", total=len(split), unit="img") as advance:
        unreadable = datasets.check_readable(split, advance)
    if unreadable:
        named = "; ".join(f"{name} ({reason})" for name, reason in unreadable[:5])
        raise UserError(
            f"wanted pictures that can be decoded. Received {len(unreadable)} that cannot: {named}"
            + ("; ..." if len(unreadable) > 5 else "")
            + ". Try: mend or remove them, or leave them out with --skip_unreadable"
        )


def _print(dataset: Dataset, counts: pd.DataFrame, shared: int) -> None:
    table = Table(title=dataset.source)
    for column in counts.columns:
        table.add_column(column, justify="left" if column == "class" else "right")
    for row in counts.itertuples(index=False):
        table.add_row(*map(str, row))
    table.add_section()
    table.add_row("all", *(str(counts[name].sum()) for name in counts.columns[1:]))
    progress.show(table)
    print(f"{dataset.num_classes} classes, {len(dataset.skipped)} pictures left out")
    if shared:
        print(f"caution: {shared} test pictures are training pictures, too")
    for reason in dataset.skipped:
        print(f"  left out: {reason}")


def main() -> None:
    config = cli.parse(DataConfig)
    tracker = tracking.connect(config.experiment)
    with tracker.run(f"prepare {config.dataset}", kind="prepare") as run_id:
        prepare(config, tracker, run_id)


if __name__ == "__main__":
    cli.run(main)
