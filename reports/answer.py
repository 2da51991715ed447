"""The answer in words and in one table: the best cell, its cost, and which cheaper one may be as good."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from reports.figures.frames import rows
from reports.figures.labels import cell_label, millions

Kind = Literal["text", "pct", "interval", "points", "millions", "count"]


@dataclass(frozen=True)
class Column:
    """One column: `name` in the frame of cells and in the CSV; `title` in the page's table, empty where it has none."""

    name: str
    title: str
    kind: Kind


COLUMNS = (
    Column("cell", "cell", "text"),
    Column("sweep", "sweep", "text"),
    Column("params_total", "params, M", "millions"),
    Column("mult_adds", "mult-adds, M", "millions"),
    Column("val_top1", "val, %", "pct"),
    Column("test_top1", "test, % [95 % interval]", "interval"),
    Column("test_top1_low", "", "pct"),  # shown beside test_top1 on the page
    Column("test_top1_high", "", "pct"),
    Column("best_val_balanced_top1", "val balanced, %", "pct"),
    Column("test_balanced_top1", "test balanced, %", "pct"),
    Column("test_top5", "top-5, %", "pct"),
    Column("reject_below", "", "pct"),  # these three are in a figure of their own
    Column("test_answered", "", "pct"),
    Column("test_top1_answered", "", "pct"),
    Column("untrained_top1", "untrained, %", "pct"),
    Column("paper_top1", "paper, %", "pct"),
    Column("delta_paper", "vs. paper", "points"),
    Column("replication_top1", "replication, %", "pct"),
    Column("delta_replication", "vs. replication", "points"),
    Column("seconds", "seconds", "count"),
    Column("pictures_per_second", "pictures/s", "count"),
    Column("trials_complete", "trials done", "count"),
    Column("trials_pruned", "pruned", "count"),
    Column("trials_failed", "failed", "count"),
)
_OPTIONAL = {
    "best_val_balanced_top1",
    "test_balanced_top1",
    "untrained_top1",
    "paper_top1",
    "delta_paper",
    "replication_top1",
    "delta_replication",
}  # left out where all unknown


def columns(cells: pd.DataFrame) -> list[Column]:
    """Those that have something to say about these cells."""
    known = {name for name in _OPTIONAL if cells[name].notna().any()}
    one_sweep = cells["sweep"].nunique() < 2
    return [
        column
        for column in COLUMNS
        if column.title
        and (column.name not in _OPTIONAL or column.name in known)
        and not (column.name == "sweep" and one_sweep)
    ]


def shown(cell: Any, column: Column) -> str:
    """What the table says of a cell, a row of the frame; "-" where it is unknown."""
    value = getattr(cell, column.name)
    if column.kind == "text":
        return cell_label(str(value))
    if not math.isfinite(value):
        return "-"
    if column.kind == "interval":
        return _score(cell)
    spelled = {"pct": 100 * value, "points": 100 * value, "millions": value / 1e6, "count": value}[column.kind]
    digits = {"pct": ".1f", "points": "+.1f", "millions": ".2f" if value < 1e7 else ",.1f", "count": ",.0f"}
    return f"{spelled:{digits[column.kind]}}"


def records(cells: pd.DataFrame) -> dict[str, Any]:
    """What the CSV holds: the columns' names, and every cell's numbers at full precision, None where unknown."""
    plain = cells[[column.name for column in COLUMNS]].astype(object)
    return {"columns": list(plain.columns), "cells": plain.where(plain.notna(), None).to_dict("records")}


def headline(cells: pd.DataFrame) -> list[str]:
    """A few paragraphs, of which the first names the best cell; one paragraph a sweep where there are several."""
    if cells.empty:
        return ["There are no cells yet."]
    groups = list(cells.groupby("sweep", sort=False))
    if len(groups) == 1:
        return _of_one(cells)
    return [f"{sweep}: {' '.join(_of_one(group))}" for sweep, group in groups]


def best_cell(cells: pd.DataFrame) -> int | None:
    """The row number of the most accurate; of ties, that with the fewest mult-adds. None where none was tested."""
    if cells["test_top1"].isna().all():
        return None
    return int(np.lexsort((cells["mult_adds"], -cells["test_top1"]))[0])


def _of_one(cells: pd.DataFrame) -> list[str]:
    index = best_cell(cells)
    if index is None:
        return ["No cell has been tested yet."]
    best, tested = cells.iloc[index], cells[cells["test_top1"].notna()]
    rank = f"is the most accurate of {len(tested)} tested cells" if len(tested) > 1 else "is the one tested cell"
    sentences = [
        f"{cell_label(best['cell'])} {rank}: {_score(best)} %{_pictures(best['test_pictures'])} with {_cost(best)}."
    ]
    if cheaper := _as_good(tested, best):
        sentences.append(cheaper)
    for source in ("paper", "replication"):
        deltas = tested[f"delta_{source}"].dropna()
        if len(deltas):
            low, high = f"{100 * deltas.min():+.1f}", f"{100 * deltas.max():+.1f}"
            span = low if low == high else f"{low} to {high}"
            sentences.append(f"Against the {source}: {span} points; the protocols differ, see below.")
    return sentences


def _as_good(tested: pd.DataFrame, best: pd.Series) -> str:
    """The cell with the fewest mult-adds whose interval overlaps that of the best."""
    near = tested[(tested["test_top1_high"] >= best["test_top1_low"]) & (tested["mult_adds"] < best["mult_adds"])]
    if near.empty:
        return ""
    small = near.iloc[int(near["mult_adds"].to_numpy(dtype=float).argmin())]
    times = best["mult_adds"] / small["mult_adds"]
    return (
        f"The cheapest whose interval overlaps that one is {cell_label(small['cell'])}: {_score(small)} % with "
        f"{_cost(small)}, {times:.1f} times fewer."
    )


def _score(cell: Any) -> str:
    """ "94.7 [91.9, 96.6]" """
    low, high = cell.test_top1_low, cell.test_top1_high
    known = math.isfinite(low) and math.isfinite(high)
    return f"{100 * cell.test_top1:.1f}" + (f" [{100 * low:.1f}, {100 * high:.1f}]" if known else "")


def _pictures(count: float) -> str:
    return "" if math.isnan(count) else f" of {count:,.0f} test pictures"


def _cost(cell: pd.Series) -> str:
    return f"{millions(cell['params_total'])} parameters and {millions(cell['mult_adds'])} mult-adds"


def table(cells: pd.DataFrame) -> list[list[tuple[Any, str]]]:
    """The table's rows: for each of `columns` the value to sort by, and what is shown."""
    chosen = columns(cells)
    return [
        [(_key(row, column, index), shown(row, column)) for column in chosen] for index, row in enumerate(rows(cells))
    ]


def _key(cell: Any, column: Column, index: int) -> Any:
    """What its column is sorted by: cells come by alpha and resolution, which their names would not sort by."""
    return index if column.name == "cell" else getattr(cell, column.name)
