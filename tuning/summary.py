"""The table that a sweep ends with: a row for each finished cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from pipeline.config import Cell, SweepConfig
from pipeline.scoring.published import imagenet_note
from pipeline.shell import progress

COLUMNS = (
    "cell",
    "params\nM",
    "mult-\nadds M",
    "val\n%",
    "test %\n[95 % interval]",
    "paper\n%",
    "replic-\nation %",
    "vs.\npaper",
    "\ns",
)


@dataclass(frozen=True)
class CellResult:
    """One cell's search and test, read from the metrics of its MLflow run; accuracies are fractions."""

    cell: Cell
    metrics: Mapping[str, float]

    def row(self) -> tuple[str, ...]:
        """As printed under COLUMNS; "-" where nothing was published for this cell and data set."""
        value = self.metrics
        top1 = value["test_top1"]
        paper, replication = (value.get(f"delta_{source}") for source in ("paper", "replication"))
        return (
            self.cell.name,
            f"{value['params_total'] / 1e6:.2f}",
            f"{value['mult_adds'] / 1e6:.1f}",
            _pct(value["best_val_top1"]),
            f"{_pct(top1)} [{_pct(value['test_top1_low'])}, {_pct(value['test_top1_high'])}]",
            _pct(None if paper is None else top1 - paper),
            _pct(None if replication is None else top1 - replication),
            "-" if paper is None else f"{100 * paper:+.1f}",
            f"{value['seconds']:.0f}",
        )


def show(config: SweepConfig, cells: Sequence[CellResult]) -> None:
    """Prints the table, and what must stand beside its scores."""
    trained = "head" if config.freeze_conv else "whole network"
    if config.unfreeze != "all":
        trained = f"last {config.unfreeze} blocks and head"
    title = f"{config.dataset}, weights {Path(config.weights).name}, {trained} trained"
    title += "" if config.protocol == "paper" else f", protocol {config.protocol}"
    title += "" if config.views == "none" else f", views {config.views}"
    progress.show(table(title, cells))
    if config.aim == "balanced_top1":
        for result in cells:
            val, test = (_pct(result.metrics.get(name)) for name in ("best_val_balanced_top1", "test_balanced_top1"))
            print(f"{result.cell.name}: balanced top-1, which was aimed at: val {val} %, test {test} %")
    if note := imagenet_note(config.dataset, config.weights):
        print(note)


def table(title: str, results: Sequence[CellResult]) -> Table:
    """The table that a sweep ends with, narrow enough for a terminal of 80 columns."""
    shown = Table(title=title, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in COLUMNS:
        shown.add_column(column, justify="left" if column == "cell" else "right", no_wrap=True)
    for result in results:
        shown.add_row(*result.row())
    return shown


def _pct(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f}"
