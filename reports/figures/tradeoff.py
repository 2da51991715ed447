"""Accuracy against what it costs: our cells with their intervals and Pareto front, beside the published rows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from pipeline.networks import costs
from pipeline.scoring.published import Published, load_published
from reports.figures import placing, style
from reports.figures.axes import log_axis
from reports.figures.chart import Chart
from reports.figures.frames import rows
from reports.figures.labels import cell_label, inert, lines, millions, number_or_none, pct, plain, points

Cost = Literal["mult_adds", "params_total"]

_WORDS: dict[Cost, str] = {"mult_adds": "mult-adds", "params_total": "parameters"}
_PUBLISHED = {"paper": ("diamond-open", style.GREY), "replication": ("x-thin-open", style.GREY)}
_HEIGHT = 420  # px


class Point(NamedTuple):
    """One cell; cost is a count, the accuracies are fractions, NaN where there is no interval."""

    label: str
    cost: float
    top1: float
    low: float
    high: float
    hover: str


class Series(NamedTuple):
    """What shares a colour: the cells of one sweep, or the rows of one source."""

    name: str
    points: list[Point]


class TradeoffInfo(NamedTuple):
    cost: Cost
    ours: list[Series]
    fronts: list[list[Point]]  # of each of ours, its points that no other of them beats, the cheapest first
    published: list[Series]


def pareto(costs: ArrayLike, values: ArrayLike) -> NDArray[np.bool_]:
    """Which points no other one beats, by costing no more and being no worse, and not equal in both.

    Args:
        costs: (n,), the lower the better.
        values: (n,), the higher the better.

    Returns:
        (n,); equal points are on the front together or not at all; a point with a NaN never is.
    """
    cost, value = np.asarray(costs, dtype=float), np.asarray(values, dtype=float)
    cheaper, better = cost[:, None] < cost, value[:, None] > value  # [i, j]: i beats j
    as_cheap, as_good = cost[:, None] <= cost, value[:, None] >= value
    beaten = ((cheaper & as_good) | (better & as_cheap)).any(axis=0)
    return ~beaten & np.isfinite(cost) & np.isfinite(value)


def tradeoff_info(cells: pd.DataFrame, sweeps: pd.DataFrame, cost: Cost = "mult_adds") -> TradeoffInfo | None:
    """The tested cells of every sweep, and what was published for the sweeps' data sets; None without a tested cell."""
    tested = cells[cells["test_top1"].notna() & cells[cost].notna()]
    if tested.empty:
        return None
    datasets = [str(name) for name in sweeps["dataset"].drop_duplicates()]
    groups = tested.groupby("sweep", sort=False)  # in the order that was asked for
    ours = [Series(str(name), [_ours(row, cost) for row in rows(group)]) for name, group in groups]
    return TradeoffInfo(cost, ours, [_front(series.points) for series in ours], _published(datasets, cost))


def tradeoff_figure(info: TradeoffInfo) -> go.Figure:
    """Top-1 in % over the cost in millions, on a log axis since Inception V3 costs twenty times as much as a cell."""
    every = [point for series in [*info.ours, *info.published] for point in series.points]
    xaxis = log_axis(
        min(point.cost for point in every) / 1e6,
        max(point.cost for point in every) / 1e6,
        f"{_WORDS[info.cost]}, millions",
        margin=0.15,
    )
    span = _span(every)
    texts = _texts(info, xaxis["range"], span)
    traces: list[Any] = []
    for index, (series, front) in enumerate(zip(info.ours, info.fronts, strict=True)):
        traces += [_front_trace(front, index), _ours_trace(series, index, texts[index])]
    traces += [_published_trace(series) for series in info.published]  # open markers, which hide nothing behind them
    yaxis = {"title": {"text": "test top-1, %, with 95 % interval"}, "range": span}
    return style.figure(traces, _HEIGHT, xaxis=xaxis, yaxis=yaxis)


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


def _front(found: Sequence[Point]) -> list[Point]:
    is_on = pareto([point.cost for point in found], [point.top1 for point in found])
    return sorted(itertools.compress(found, is_on), key=lambda point: point.cost)


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


def _span(every: Sequence[Point]) -> tuple[float, float]:
    """Bottom and top of the axis in %, with room for labels."""
    lows = [point.top1 if math.isnan(point.low) else point.low for point in every]
    highs = [point.top1 if math.isnan(point.high) else point.high for point in every]
    spare = max(0.08 * (max(highs) - min(lows)), 0.005)
    return 100 * (min(lows) - spare), 100 * (max(highs) + spare)


def _texts(info: TradeoffInfo, across: Sequence[float], up: Sequence[float]) -> list[list[str]]:
    """The textposition of each of our points, "" where its label finds no room.

    Args:
        across, up: the ranges of the axes, log10 of millions and %.
    """

    def at(point: Point, top1: float) -> placing.Position:
        x = (math.log10(point.cost / 1e6) - across[0]) / (across[1] - across[0])
        return x, (100 * top1 - up[0]) / (up[1] - up[0])

    keys = [(s, p) for s, series in enumerate(info.ours) for p in range(len(series.points))]
    ours = [info.ours[s].points[p] for s, p in keys]
    others = [at(point, point.top1) for series in info.published for point in series.points]
    strokes = [placing.stroke(at(point, point.low), at(point, point.high)) for point in ours if point.low == point.low]
    for front in info.fronts:
        strokes += [placing.stroke(at(a, a.top1), at(b, a.top1)) for a, b in itertools.pairwise(front)]
    names = placing.place([at(point, point.top1) for point in ours], [point.label for point in ours], others, strokes)
    placed = dict(zip(keys, names, strict=True))
    return [[placed[s, p] for p in range(len(series.points))] for s, series in enumerate(info.ours)]


def _ours_trace(series: Series, index: int, positions: list[str]) -> go.Scatter:
    color, marker = style.mark(index)
    found = series.points
    return go.Scatter(
        x=[point.cost / 1e6 for point in found],
        y=[100 * point.top1 for point in found],
        error_y={
            "array": [number_or_none(100 * (point.high - point.top1)) for point in found],
            "arrayminus": [number_or_none(100 * (point.top1 - point.low)) for point in found],
            "symmetric": False,
            "thickness": 1.5,
            "width": 3,
        },
        hovertext=[point.hover for point in found],
        hovertemplate="%{hovertext}<extra></extra>",
        marker={"color": color, "size": 10, "symbol": marker},
        mode="markers+text",
        name=inert(series.name),
        text=[inert(point.label) if position else "" for point, position in zip(found, positions, strict=True)],
        textfont={"size": 12},
        textposition=[position or "top left" for position in positions],
    )


def _front_trace(front: Sequence[Point], index: int) -> go.Scatter:
    """Steps: what the best cell within a budget reaches."""
    return go.Scatter(
        x=[point.cost / 1e6 for point in front],
        y=[100 * point.top1 for point in front],
        hoverinfo="skip",
        line={"color": style.mark(index)[0], "dash": "dot", "shape": "hv", "width": 1.5},
        mode="lines",
        name="Pareto front",
        showlegend=index == 0,
    )


def _published_trace(series: Series) -> go.Scatter:
    marker, color = _PUBLISHED[series.name]
    return go.Scatter(
        x=[point.cost / 1e6 for point in series.points],
        y=[100 * point.top1 for point in series.points],
        hovertext=[point.hover for point in series.points],
        hovertemplate="%{hovertext}<extra></extra>",
        marker={"color": color, "line": {"color": color, "width": 2}, "size": 9, "symbol": marker},
        mode="markers",
        name=series.name,
    )
