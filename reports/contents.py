"""All that the page shows, as plain values: its figures, their captions, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reports import figures
from reports.figures.axes import Hyperparameter
from reports.figures.chart import Chart, Frames, Info
from reports.figures.curves import Family
from reports.figures.device_costs import Payment
from reports.figures.frames import outputs, rows
from reports.figures.labels import plain
from reports.figures.tradeoff import Cost
from reports.tables import Tables

COSTS: dict[Cost, str] = {"mult_adds": "mult-adds", "params_total": "parameters"}
PAYMENTS: dict[Payment, str] = {"bytes": "the size of the file", "p50_ms": "the time of a picture"}
FAMILIES: dict[Family, str] = {"top1": "Top-1", "loss": "Loss"}
SLICES: dict[Hyperparameter, str] = {"learning_rate": "learning rate", "beta_1": "beta_1", "beta_2": "beta_2"}


@dataclass(frozen=True)
class Plot:
    """One figure of the page.

    Attributes:
        key: unique on the page; letters, digits and hyphens.
        alt: what it shows, in words.
    """

    key: str
    title: str
    alt: str
    figure: go.Figure


@dataclass(frozen=True)
class CellContents:
    """What the page shows of one cell; `notes` say what is missing or to be minded, by section."""

    key: str
    label: str
    curves: list[Plot]
    search: list[Plot]
    failures: list[Plot]
    savings: list[Plot]
    pairs: list[Any]
    notes: dict[str, list[str]] = field(default_factory=dict)


def tradeoff(tables: Tables) -> list[Plot]:
    """Accuracy against both costs."""
    cells, sweeps = tables.cells, tables.sweeps
    return _found(
        *(
            _plot(f"tradeoff-{_key(cost)}", f"Accuracy against {words}", figures.TRADEOFF, cells, sweeps, cost)
            for cost, words in COSTS.items()
        )
    )


def files(tables: Tables) -> list[Plot]:
    """Accuracy of files against what a device pays."""
    return _found(
        *(
            _plot(f"files-{_key(payment)}", f"Accuracy against {words}", figures.FILES, tables.files, payment)
            for payment, words in PAYMENTS.items()
        )
    )


def differences(tables: Tables) -> list[Plot]:
    """Of the cells of each sweep."""
    several, found = len(tables.sweeps) > 1, []
    for number, sweep in enumerate(tables.sweeps["sweep"]):
        own, pairs = (frame[frame["sweep"] == sweep] for frame in (tables.cells, tables.pairs))
        title = f"Test top-1, row less column, points{f': {plain(sweep)}' if several else ''}"
        found.append(_plot(f"differences-{number}", title, figures.DIFFERENCES, own, pairs))
    return _found(*found)


def cells(tables: Tables) -> list[CellContents]:
    """Every cell of every sweep, in the order of the table."""
    sweeps = {row.sweep: row for row in rows(tables.sweeps)}
    several = tables.cells["sweep"].nunique() > 1
    found = []
    for number, row in enumerate(rows(tables.cells)):
        label = figures.cell_label(row.cell)
        found.append(
            _cell(tables, row, f"c{number}", f"{plain(row.sweep)}, {label}" if several else label, sweeps[row.sweep])
        )
    return found


def _cell(tables: Tables, row: Any, key: str, label: str, sweep: Any) -> CellContents:
    def own(frame: pd.DataFrame) -> pd.DataFrame:
        return figures.of_cell(frame, row.sweep, row.cell)

    trials, confusion = own(tables.trials), own(tables.confusion)
    curves = _curves(key, own(tables.curves), trials)
    ranges = figures.ranges(sweep.settings)
    search = _search(key, trials, own(tables.importance), ranges)
    failures = _failures(key, own(tables.per_class), confusion, own(tables.coverage), own(tables.cells))
    pairs = figures.confused_pairs(confusion)
    savings = _found(
        _plot(f"{key}-savings", "Mult-adds of each block", figures.SAVINGS, row.alpha, row.resolution, outputs(sweep))
        if row.backbone == "mobilenet"
        else None
    )
    notes = {
        "curves": [] if curves else ["No curves have been recorded for this cell."],
        "search": _search_notes(search, trials, ranges),
        "failures": [] if failures else ["This cell has not been tested, so there is nothing to show."],
        "savings": [] if savings else [_no_savings(row.backbone)],
    }
    return CellContents(key, label, curves, search, failures, savings, list(rows(pairs)), notes)


def _curves(key: str, curves: pd.DataFrame, trials: pd.DataFrame) -> list[Plot]:
    return _found(
        *(_plot(f"{key}-{family}", title, figures.CURVES, curves, trials, family) for family, title in FAMILIES.items())
    )


def _search(key: str, trials: pd.DataFrame, importance: pd.DataFrame, ranges: figures.Ranges) -> list[Plot]:
    return _found(
        _plot(f"{key}-history", "History of the best value", figures.HISTORY, trials),
        _plot(f"{key}-importances", "What mattered", figures.IMPORTANCES, importance),
        _plot(f"{key}-parallel", "Parallel coordinates", figures.PARALLEL, trials, ranges),
        *(
            _plot(f"{key}-{_key(name)}", f"Slice: {words}", figures.SLICE, trials, name, ranges)
            for name, words in SLICES.items()
        ),
        _plot(f"{key}-contour", "beta_1 x beta_2", figures.CONTOUR, trials),
    )


def _no_savings(backbone: str) -> str:
    if backbone != "mobilenet":
        return "Shown for MobileNet v1 alone, whose layers the paper lists."
    return "The number of classes, or the cell's multipliers, were not recorded."


def _search_notes(search: list[Plot], trials: pd.DataFrame, ranges: figures.Ranges) -> list[str]:
    if not search:
        return ["No trial of this cell has finished yet."]
    notes = [note] if (note := figures.edge_note(trials, ranges)) else []
    drawn = {plot.key.partition("-")[2] for plot in search}
    missing = [name for name in ("importances", "contour") if name not in drawn]
    if missing:
        notes.append(f"Too few complete trials for: {', '.join(missing)}.")
    return notes


def _failures(
    key: str, per_class: pd.DataFrame, confusion: pd.DataFrame, coverage: pd.DataFrame, cell: pd.DataFrame
) -> list[Plot]:
    return _found(
        _plot(f"{key}-coverage", "None of these", figures.COVERAGE, coverage, cell),
        _plot(f"{key}-confusion", "Confusion matrix", figures.CONFUSION, confusion),
        _plot(f"{key}-classes", "Accuracy of each class", figures.PER_CLASS, per_class),
    )


def _plot(key: str, title: str, chart: Chart[Frames, Info], *args: Frames.args, **kwargs: Frames.kwargs) -> Plot | None:
    """None where the chart has nothing to show."""
    info = chart.info(*args, **kwargs)
    return None if info is None else Plot(key, title, chart.alt(info), chart.figure(info))


def _key(name: str) -> str:
    return name.replace("_", "-")


def _found(*plots: Plot | None) -> list[Plot]:
    return [plot for plot in plots if plot is not None]
