"""The answer in words and in one table: the best cell, its cost, and which cheaper one is enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from pipeline.scoring import compare
from reports.figures.frames import rows
from reports.figures.labels import cell_label, millions, points
from reports.tables import Tables
from reports.tables.compared import TEST, UNTRAINED, VAL, against

FEW_KEPT = 0.8  # of the right answers; 0.95 is what validation promises

Kind = Literal["text", "pct", "interval", "points", "gain", "millions", "count"]


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
    Column("gain", "by training [95 % interval]", "gain"),
    Column("gain_low", "", "points"),  # shown beside gain on the page
    Column("gain_high", "", "points"),
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
    "gain",
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
    if column.kind == "gain":
        return f"{points(value)} [{points(cell.gain_low)}, {points(cell.gain_high)}]"
    spelled = {"pct": 100 * value, "points": 100 * value, "millions": value / 1e6, "count": value}[column.kind]
    digits = {"pct": ".1f", "points": "+.1f", "millions": ".2f" if value < 1e7 else ",.1f", "count": ",.0f"}
    return f"{spelled:{digits[column.kind]}}"


def records(cells: pd.DataFrame) -> dict[str, Any]:
    """What the CSV holds: the columns' names, and every cell's numbers at full precision, None where unknown."""
    plain = cells[[column.name for column in COLUMNS]].astype(object)
    return {"columns": list(plain.columns), "cells": plain.where(plain.notna(), None).to_dict("records")}


def headline(tables: Tables) -> list[str]:
    """A few paragraphs, of which the first names the best cell; one paragraph a sweep where there are several."""
    cells = tables.cells
    if cells.empty:
        return ["There are no cells yet."]
    groups = [
        (sweep, _of_one(group, tables.pairs[tables.pairs["sweep"] == sweep], tables.margin))
        for sweep, group in cells.groupby("sweep", sort=False)
    ]
    if len(groups) == 1:
        return groups[0][1]
    return [f"{sweep}: {' '.join(sentences)}" for sweep, sentences in groups]


def best_cell(cells: pd.DataFrame) -> int | None:
    """The row number of the first sweep's best; None where none was tested."""
    best = cells["is_best"].to_numpy(bool)
    return int(best.argmax()) if best.any() else None


def _of_one(cells: pd.DataFrame, pairs: pd.DataFrame, margin: float) -> list[str]:
    index = best_cell(cells)
    if index is None:
        return ["No cell has been tested yet."]
    best, tested = cells.iloc[index], cells[cells["test_top1"].notna()]
    rank = f"is the best of {len(tested)} tested cells by validation" if len(tested) > 1 else "is the one tested cell"
    sentences = [
        f"{cell_label(best['cell'])} {rank}: {_score(best)} %{_pictures(best['test_pictures'])} with {_cost(best)}."
    ]
    sentences += [sentence for sentence in (_enough(tested, best, pairs, margin), _told_apart(pairs)) if sentence]
    sentences += [sentence] if (sentence := _withheld(best)) else []
    for source in ("paper", "replication"):
        deltas = tested[f"delta_{source}"].dropna()
        if len(deltas):
            low, high = f"{100 * deltas.min():+.1f}", f"{100 * deltas.max():+.1f}"
            span = low if low == high else f"{low} to {high}"
            sentences.append(f"Against the {source}: {span} points; the protocols differ, see below.")
    return sentences


def _withheld(best: pd.Series) -> str:
    """Where many right answers are none: validation promised that next to all of them are given."""
    kept = best["test_answered"] * best["test_top1_answered"] / best["test_top1"]
    if not kept < FEW_KEPT:  # NaN where nothing is told of it
        return ""
    return (
        f"Of its right test answers only {100 * kept:.0f} % are given: the others lie below a probability of "
        f"{best['reject_below']:.2f} and count as none of these. --reject 0 gives all."
    )


def _enough(tested: pd.DataFrame, best: pd.Series, pairs: pd.DataFrame, margin: float) -> str:
    """The cheapest cell that is enough; or the cheaper one of which the least loss is shown, where none is."""
    cheaper = tested[tested["mult_adds"] < best["mult_adds"]]
    losses = {row.cell: against(pairs, row.cell, best["cell"], VAL) for row in rows(cheaper)}
    known = {cell: row for cell, row in losses.items() if row is not None}
    if not known:
        return ""
    enough = cheaper[cheaper["is_enough"]]
    if enough.empty:
        cell = max(known, key=lambda cell: known[cell]["low"])
        return (
            f"Of no cheaper cell do the {known[cell]['pictures']:,} validation pictures show that it loses less than "
            f"{_margin(margin)}; the nearest is {cell_label(cell)}: {_difference(known[cell])} points."
        )
    small = enough.iloc[0]
    loss = known[small["cell"]]
    sentence = (
        f"{cell_label(small['cell'])} is enough: on {loss['pictures']:,} validation pictures it has "
        f"{_difference(loss)} points, so that it loses less than {_margin(margin)}, with {_cost(small)}, "
        f"{best['mult_adds'] / small['mult_adds']:.1f} times fewer"
    )
    on_test = against(pairs, small["cell"], best["cell"], TEST)
    return f"{sentence}." if on_test is None else f"{sentence}; on the test pictures, {_difference(on_test)}."


def _margin(points: float) -> str:
    return f"{points:g} point{'' if points == 1 else 's'}"


def _told_apart(pairs: pd.DataFrame) -> str:
    """What the test can tell: by the median over pairs of cells."""
    cells = pairs[(pairs["split"] == TEST) & (pairs["second"] != UNTRAINED)]
    if cells.empty:
        return ""
    flips = (cells["only_first"] + cells["only_second"]) / cells["pictures"]
    least = compare.detectable(float(flips.median()), float(cells["effective"].median()))
    return f"Two cells must differ by about {100 * least:.1f} points for these test pictures to tell them apart."


def _difference(row: pd.Series) -> str:
    """ "-0.4 [-1.3, +0.5]" """
    return f"{points(row['difference'])} [{points(row['low'])}, {points(row['high'])}]"


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
