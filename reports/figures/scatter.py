"""Points over a cost: accuracies with their intervals and Pareto fronts, on a logarithmic axis."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from reports.figures import placing, style
from reports.figures.axes import log_axis
from reports.figures.labels import inert, number_or_none

_HEIGHT = 420  # px


class Point(NamedTuple):
    """A cell, or a file of one; the accuracies are fractions, NaN where there is no interval."""

    label: str
    cost: float
    top1: float
    low: float
    high: float
    hover: str


class Series(NamedTuple):
    """What shares a colour and a marker."""

    name: str
    points: list[Point]


class Front(NamedTuple):
    """Points that no other of theirs beats, the cheapest first."""

    points: list[Point]
    color: str


class Scatter(NamedTuple):
    """What is drawn.

    Attributes:
        per: cost of one unit of the axis.
        title: of the axis, with its unit.
        ours: labelled, with intervals; beside: behind them, with open markers (marker, color, of each).
    """

    per: float
    title: str
    ours: list[Series]
    fronts: list[Front]
    beside: list[tuple[Series, tuple[str, str]]]


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


def front(found: Sequence[Point]) -> list[Point]:
    """Those on the Pareto front, the cheapest first."""
    is_on = pareto([point.cost for point in found], [point.top1 for point in found])
    return sorted(itertools.compress(found, is_on), key=lambda point: point.cost)


def drawn(scatter: Scatter) -> go.Figure:
    """Top-1 in % over the cost; the axis is logarithmic, since the largest may cost twenty times as much as a cell."""
    every = [point for series in scatter.ours for point in series.points]
    every += [point for series, _look in scatter.beside for point in series.points]
    xaxis = log_axis(
        min(point.cost for point in every) / scatter.per,
        max(point.cost for point in every) / scatter.per,
        scatter.title,
        margin=0.15,
    )
    span = _span(every)
    texts = _texts(scatter, xaxis["range"], span)
    traces: list[Any] = [_front_trace(one, scatter.per, index == 0) for index, one in enumerate(scatter.fronts)]
    for index, series in enumerate(scatter.ours):
        traces.append(_ours_trace(series, index, scatter.per, texts[index]))
    # Open markers, which hide nothing behind them.
    traces += [_beside_trace(series, look, scatter.per) for series, look in scatter.beside]
    yaxis = {"title": {"text": "test top-1, %, with 95 % interval"}, "range": span}
    return style.figure(traces, _HEIGHT, xaxis=xaxis, yaxis=yaxis)


def _span(every: Sequence[Point]) -> tuple[float, float]:
    """Bottom and top of the axis in %, with room for labels."""
    lows = [point.top1 if math.isnan(point.low) else point.low for point in every]
    highs = [point.top1 if math.isnan(point.high) else point.high for point in every]
    spare = max(0.08 * (max(highs) - min(lows)), 0.005)
    return 100 * (min(lows) - spare), 100 * (max(highs) + spare)


def _texts(scatter: Scatter, across: Sequence[float], up: Sequence[float]) -> list[list[str]]:
    """The textposition of each of our points, "" where its label finds no room.

    Args:
        across, up: the ranges of the axes, log10 of the cost in units, and %.
    """

    def at(point: Point, top1: float) -> placing.Position:
        x = (math.log10(point.cost / scatter.per) - across[0]) / (across[1] - across[0])
        return x, (100 * top1 - up[0]) / (up[1] - up[0])

    keys = [(s, p) for s, series in enumerate(scatter.ours) for p in range(len(series.points))]
    ours = [scatter.ours[s].points[p] for s, p in keys]
    others = [at(point, point.top1) for series, _look in scatter.beside for point in series.points]
    strokes = [placing.stroke(at(point, point.low), at(point, point.high)) for point in ours if point.low == point.low]
    for one in scatter.fronts:
        strokes += [placing.stroke(at(a, a.top1), at(b, a.top1)) for a, b in itertools.pairwise(one.points)]
    names = placing.place([at(point, point.top1) for point in ours], [point.label for point in ours], others, strokes)
    placed = dict(zip(keys, names, strict=True))
    return [[placed[s, p] for p in range(len(series.points))] for s, series in enumerate(scatter.ours)]


def _ours_trace(series: Series, index: int, per: float, positions: list[str]) -> go.Scatter:
    color, marker = style.mark(index)
    found = series.points
    return go.Scatter(
        x=[point.cost / per for point in found],
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


def _front_trace(front: Front, per: float, is_named: bool) -> go.Scatter:
    """Steps: what the best cell within a budget reaches."""
    return go.Scatter(
        x=[point.cost / per for point in front.points],
        y=[100 * point.top1 for point in front.points],
        hoverinfo="skip",
        line={"color": front.color, "dash": "dot", "shape": "hv", "width": 1.5},
        mode="lines",
        name="Pareto front",
        showlegend=is_named,
    )


def _beside_trace(series: Series, look: tuple[str, str], per: float) -> go.Scatter:
    marker, color = look
    return go.Scatter(
        x=[point.cost / per for point in series.points],
        y=[100 * point.top1 for point in series.points],
        hovertext=[point.hover for point in series.points],
        hovertemplate="%{hovertext}<extra></extra>",
        marker={"color": color, "line": {"color": color, "width": 2}, "size": 9, "symbol": marker},
        mode="markers",
        name=series.name,
    )
