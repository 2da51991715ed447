"""Accuracy against what it costs: our cells with their intervals and Pareto front, beside the published rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from pipeline.networks import costs
from pipeline.scoring.published import Published, load_published
from reports.figures import scatter, style
from reports.figures.chart import Chart
from reports.figures.frames import rows
from reports.figures.labels import cell_label, inert, lines, millions, pct, plain, points
from reports.figures.scatter import Front, Point, Scatter, Series

Cost = Literal["mult_adds", "params_total"]

_WORDS: dict[Cost, str] = {"mult_adds": "mult-adds", "params_total": "parameters"}
_PUBLISHED = {"paper": ("diamond-open", style.GREY), "replication": ("x-thin-open", style.GREY)}


class TradeoffInfo(NamedTuple):
    cost: Cost
    ours: list[Series]
    fronts: list[list[Point]]  # of each of ours, its points that no other of them beats, the cheapest first
    published: list[Series]


def tradeoff_info(cells: pd.DataFrame, sweeps: pd.DataFrame, cost: Cost = "mult_adds") -> TradeoffInfo | None:
    """The tested cells of every sweep, and what was published for the sweeps' data sets; None without a tested cell."""
    tested = cells[cells["test_top1"].notna() & cells[cost].notna()]
    if tested.empty:
        return None
    datasets = [str(name) for name in sweeps["dataset"].drop_duplicates()]
    groups = tested.groupby("sweep", sort=False)  # in the order that was asked for
    ours = [Series(str(name), [_ours(row, cost) for row in rows(group)]) for name, group in groups]
    return TradeoffInfo(cost, ours, [scatter.front(series.points) for series in ours], _published(datasets, cost))


def tradeoff_figure(info: TradeoffInfo) -> go.Figure:
    """Top-1 in % over the cost in millions."""
    fronts = [Front(found, style.mark(index)[0]) for index, found in enumerate(info.fronts)]
    beside = [(series, _PUBLISHED[series.name]) for series in info.published]
    return scatter.drawn(Scatter(1e6, f"{_WORDS[info.cost]}, millions", info.ours, fronts, beside))


def tradeoff_alt(info: TradeoffInfo) -> str:
    """In one or two sentences, for those who cannot see the figure."""
    ours = zip(info.ours, info.fronts, strict=True)
    parts = [_in_words(info.cost, series, len(front), len(info.ours) > 1) for series, front in ours]
    if info.published:
        sources = " and ".join(f"{len(series.points)} rows of the {series.name}" for series in info.published)
        parts.append(f"Beside them {sources}.")
    return " ".join(parts)


TRADEOFF = Chart(tradeoff_info, tradeoff_figure, tradeoff_alt)


def _in_words(cost: Cost, series: Series, on_front: int, is_one_of_many: bool) -> str:
    count, ordered = len(series.points), sorted(series.points, key=lambda point: point.cost)
    first, last = ordered[0], ordered[-1]
    whose = f" of {plain(series.name)}" if is_one_of_many else ""
    if count == 1:
        return f"Test top-1 of 1 cell{whose}: {pct(first.top1)} at {millions(first.cost)} {_WORDS[cost]}."
    return (
        f"Test top-1 of {count} cells{whose} against {_WORDS[cost]}: from {pct(first.top1)} at {millions(first.cost)} "
        f"to {pct(last.top1)} at {millions(last.cost)}; {on_front} on the Pareto front."
    )


def _ours(row: Any, cost: Cost) -> Point:
    interval = f"[{pct(row.test_top1_low)}, {pct(row.test_top1_high)}]"
    trials = f"{row.trials_complete:.0f} complete, {row.trials_pruned:.0f} pruned, {row.trials_failed:.0f} failed"
    hover = lines(
        f"<b>{inert(cell_label(row.cell))}</b> · {inert(row.sweep)}",
        f"test {pct(row.test_top1)} {interval}, top-5 {pct(row.test_top5)}",
        f"val {pct(row.val_top1)}",
        _published_line("paper", row.paper_top1, row.delta_paper),
        _published_line("replication", row.replication_top1, row.delta_replication),
        f"{millions(row.params_total)} parameters, {millions(row.mult_adds)} mult-adds",
        f"trials: {trials}",
        "" if math.isnan(row.seconds) else f"{row.seconds:,.0f} s",
    )
    return Point(cell_label(row.cell), getattr(row, cost), row.test_top1, row.test_top1_low, row.test_top1_high, hover)


def _published_line(source: str, top1: float, delta: float) -> str:
    return "" if math.isnan(top1) else f"{source} {pct(top1)}, ours {points(delta)} points"


def _published(datasets: Sequence[str], cost: Cost) -> list[Series]:
    """One series a source; rows whose cost cannot be told are left out."""
    known = [row for row in load_published() if row.dataset in datasets]
    found: dict[str, list[Point]] = {}
    for row in known:
        count, origin = _published_cost(row, known, cost)
        if count is not None:
            hover = lines(
                f"<b>{inert(row.name)}</b> · {inert(row.dataset)}",
                f"test {pct(row.top1)}",
                f"{millions(count)} {_WORDS[cost]}{origin}",
                f"{inert(row.head)} head",
            )
            nan = math.nan
            found.setdefault(row.source, []).append(Point(cell_label(row.model), count, row.top1, nan, nan, hover))
    return [Series(source, points) for source, points in found.items()]


def _published_cost(row: Published, known: Sequence[Published], cost: Cost) -> tuple[float | None, str]:
    """The count, and where it is from if the row itself does not say: the closed form, or the model's other row."""
    if (own := getattr(row, cost)) is not None:
        return own, ""
    if row.cell is not None:
        formula = costs.mobilenet_mult_adds if cost == "mult_adds" else costs.mobilenet_params
        return formula(row.cell, int(row.head.removesuffix("-way"))), " (closed form)"
    others = [other for other in known if other.model == row.model and getattr(other, cost) is not None]
    return (getattr(others[0], cost), f" (of the {others[0].source})") if others else (None, "")
