"""Finds or downloads a data set, checks every picture, prints its splits and logs it in MLflow.

A right run on `--dataset digits` prints a row for each class, and ends with

    │ all   │  1221 │ 216 │  360 │
    10 classes, 0 pictures left out
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from pipeline import tracking
from pipeline.config import DataConfig, as_params
from pipeline.networks import devices
from pipeline.shell import cli, progress

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.datasets import Dataset
    from pipeline.tracking import Tracker


def prepare(config: DataConfig, tracker: Tracker, run_id: str) -> Dataset:
    """Checks and logs the data set. Raises UserError where a picture cannot be decoded."""
    from pipeline import datasets
    from pipeline.datasets import audit
    from pipeline.tracking import records

    dataset = datasets.load(config)
    if not config.skip_unreadable:  # with it, `load` has looked at every picture already
        audit.require_readable(dataset, config.work_dir)
    counts = audit.count_classes(dataset, config.val_fraction, config.seed)
    found = audit.look(dataset)
    _print(dataset, counts, found.lines())
    tracker.log_params(run_id, as_params(config))
    tracker.log_table(run_id, counts, "classes.csv")
    totals = {f"pictures_{split}": float(counts[split].sum()) for split in ("train", "val", "test")}
    tracker.log_metrics(run_id, {**totals, "pictures_skipped": len(dataset.skipped), "pictures_shared": found.shared})
    records.log_dataset(tracker, run_id, config, dataset)
    return dataset


def _print(dataset: Dataset, counts: pd.DataFrame, cautions: Sequence[str]) -> None:
    table = Table(title=dataset.source)
    for column in counts.columns:
        table.add_column(column, justify="left" if column == "class" else "right")
    for row in counts.itertuples(index=False):
        table.add_row(*map(str, row))
    table.add_section()
    table.add_row("all", *(str(counts[name].sum()) for name in counts.columns[1:]))
    progress.show(table)
    print(f"{dataset.num_classes} classes, {len(dataset.skipped)} pictures left out")
    for caution in cautions:
        print(f"caution: {caution}")
    for reason in dataset.skipped:
        print(f"  left out: {reason}")


def main(argv: Sequence[str] | None = None) -> None:
    """One data set by the flags, in an MLflow run of its own."""
    config = cli.parse(DataConfig, argv)
    devices.set_up()
    tracker = tracking.connect(config.experiment)
    with tracker.run(f"prepare {config.dataset}", kind="prepare") as run_id:
        prepare(config, tracker, run_id)


if __name__ == "__main__":
    cli.run(main)
