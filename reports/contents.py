"""All that the page shows, as plain values: which figures there are, what stands under them, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports import figures
from reports.figures.frames import rows
from reports.figures.labels import plain
from reports.tables import Tables

Info = TypeVar("Info")


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
    asked = (("mult_adds", "Accuracy against mult-adds"), ("params_total", "Accuracy against parameters"))
    found = [
        _plot(
            f"tradeoff-{cost.replace('_', '-')}",
            title,
            figures.tradeoff_info(tables.cells, tables.sweeps, cost),  # type: ignore[arg-type]
            figures.tradeoff_figure,
            figures.tradeoff_alt,
        )
        for cost, title in asked
    ]
    return [plot for plot in found if plot is not None]


def cells(tables: Tables) -> list[CellContents]:
    """Every cell of every sweep, in the order of the table."""
    classes = dict(zip(tables.sweeps["sweep"], tables.sweeps["classes"], strict=True))
    several = tables.cells["sweep"].nunique() > 1
    found = []
    for number, row in enumerate(rows(tables.cells)):
        label = figures.cell_label(row.cell)
        found.append(
            _cell(tables, row, f"c{number}", f"{plain(row.sweep)}, {label}" if several else label, classes[row.sweep])
        )
    return found


def chosen(cells: pd.DataFrame) -> int:
    """Which cell the page shows at first: the best of those tested, by its place in the table."""
    scores = cells["test_top1"].to_numpy(dtype=float)
    return 0 if np.isnan(scores).all() else int(np.nanargmax(scores))


def notices(tables: Tables) -> list[str]:
    """What a reader must know before believing the numbers."""
    found = [caveat for caveat in tables.sweeps["caveat"].unique() if caveat]
    for row in rows(tables.sweeps):
        if row.status == "RUNNING":
            found.append(f"The sweep {row.sweep} is still running: build the page again when it has ended.")
        elif row.status != "FINISHED":
            found.append(f"The sweep {row.sweep} did not end well ({row.status}): the same command goes on with it.")
    untested = tables.cells[tables.cells["test_top1"].isna()]
    if len(untested):
        names = ", ".join(figures.cell_label(cell) for cell in untested["cell"])
        found.append(f"Not tested yet, and so without a test score: {names}.")
    return found


def _cell(tables: Tables, row: Any, key: str, label: str, classes: float) -> CellContents:
    def own(frame: pd.DataFrame) -> pd.DataFrame:
        return figures.of_cell(frame, row.sweep, row.cell)

    trials, confusion = own(tables.trials), own(tables.confusion)
    curves = _curves(key, own(tables.curves), trials)
    search = _search(key, trials)
    failures = _failures(key, own(tables.per_class), confusion)
    pairs = figures.confused_pairs(confusion)
    savings = _found(
        _plot(
            f"{key}-savings",
            "Mult-adds of each block",
            figures.savings_info(row.alpha, row.resolution, classes),
            figures.savings_figure,
            figures.savings_alt,
        )
    )
    notes = {
        "curves": [] if curves else ["No curve has been recorded for this cell."],
        "search": _search_notes(search, trials),
        "failures": [] if failures else ["This cell has not been tested, so there is nothing to show."],
        "savings": [] if savings else ["The number of classes or the cell's multipliers are not recorded."],
    }
    return CellContents(key, label, curves, search, failures, savings, list(rows(pairs)), notes)


def _curves(key: str, curves: pd.DataFrame, trials: pd.DataFrame) -> list[Plot]:
    return _found(
        *(
            _plot(
                f"{key}-{family}",
                title,
                figures.curves_info(curves, trials, family),  # type: ignore[arg-type]
                figures.curves_figure,
                figures.curves_alt,
            )
            for family, title in (("top1", "Top-1"), ("loss", "Loss"))
        )
    )


def _search(key: str, trials: pd.DataFrame) -> list[Plot]:
    slices = [
        _plot(
            f"{key}-{name.replace('_', '-')}",
            f"Slice: {title}",
            figures.slice_info(trials, name),  # type: ignore[arg-type]
            figures.slice_figure,
            figures.slice_alt,
        )
        for name, title in (("learning_rate", "learning rate"), ("beta_1", "beta_1"), ("beta_2", "beta_2"))
    ]
    return _found(
        _plot(
            f"{key}-history",
            "History of the best value",
            figures.history_info(trials),
            figures.history_figure,
            figures.history_alt,
        ),
        _plot(
            f"{key}-importances",
            "What mattered",
            figures.importances_info(trials),
            figures.importances_figure,
            figures.importances_alt,
        ),
        _plot(
            f"{key}-parallel",
            "Parallel coordinates",
            figures.parallel_info(trials),
            figures.parallel_figure,
            figures.parallel_alt,
        ),
        *slices,
        _plot(
            f"{key}-contour",
            "beta_1 x beta_2",
            figures.contour_info(trials),
            figures.contour_figure,
            figures.contour_alt,
        ),
    )


def _search_notes(search: list[Plot], trials: pd.DataFrame) -> list[str]:
    if not search:
        return ["No trial of this cell has finished yet."]
    notes = [note] if (note := figures.edge_note(trials)) else []
    drawn = {plot.key.partition("-")[2] for plot in search}
    missing = [name for name in ("importances", "contour") if name not in drawn]
    if missing:
        notes.append(f"Too few complete trials for: {', '.join(missing)}.")
    return notes


def _failures(key: str, per_class: pd.DataFrame, confusion: pd.DataFrame) -> list[Plot]:
    return _found(
        _plot(
            f"{key}-confusion",
            "Confusion matrix",
            figures.confusion_info(confusion),
            figures.confusion_figure,
            figures.confusion_alt,
        ),
        _plot(
            f"{key}-classes",
            "Accuracy of each class",
            figures.per_class_info(per_class),
            figures.per_class_figure,
            figures.per_class_alt,
        ),
    )


def _plot(
    key: str, title: str, info: Info | None, draw: Callable[[Info], go.Figure], alt: Callable[[Info], str]
) -> Plot | None:
    return None if info is None else Plot(key, title, alt(info), draw(info))


def _found(*plots: Plot | None) -> list[Plot]:
    return [plot for plot in plots if plot is not None]
