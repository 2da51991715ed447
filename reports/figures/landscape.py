"""The complete trials of one cell over all hyperparameters at once: parallel coordinates, and a map of the betas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy.interpolate import griddata
from scipy.spatial import QhullError

from reports.figures import style
from reports.figures.axes import RANGES, TITLES, TOP1, Hyperparameter, Ranges, log_axis, log_ticks, searched
from reports.figures.chart import Chart
from reports.figures.frames import best, complete
from reports.figures.labels import number_or_none, pct, short

FEWEST = 4  # trials; through fewer a map is a guess
_GRID = 40  # points along each axis of the map
_DARKEST = 0.2  # quantile of the values from which the colours start, so that one failure does not take them all


class ParallelInfo(NamedTuple):
    """Columns of equal length, an item for each complete trial; values are fractions."""

    numbers: list[int]
    drawn: dict[Hyperparameter, list[float]]  # learning rate, 1 - beta_1, 1 - beta_2
    values: list[float]
    best: int | None  # the index of the cell's winner; None where it lacks a hyperparameter
    ranges: Ranges  # in which they were searched


class ContourInfo(NamedTuple):
    """A map over 1 - beta_1 (x) and 1 - beta_2 (y); values are fractions, None outside of the trials' hull."""

    x: list[float]
    y: list[float]
    grid: list[list[float | None]]  # a row for each y
    dots_x: list[float]
    dots_y: list[float]
    values: list[float]
    best: int | None  # as in ParallelInfo


def parallel_info(trials: pd.DataFrame, ranges: Ranges = RANGES) -> ParallelInfo | None:
    """From the trials of one cell; None where none is complete."""
    done = _drawn(complete(trials))
    if done.empty:
        return None
    return ParallelInfo(
        numbers=[int(number) for number in done["number"]],
        drawn={name: [float(value) for value in done[TITLES[name]]] for name in RANGES},
        values=[float(value) for value in done["val_top1"]],
        best=_winner(done),
        ranges=ranges,
    )


def parallel_figure(info: ParallelInfo) -> go.Figure:
    """The better trials have the colour farther from the background."""
    dimensions: list[dict[str, Any]] = [_dimension(name, info.drawn[name], info.ranges[name]) for name in info.drawn]
    percents = [100 * value for value in info.values]
    dimensions.append({"label": TOP1, "values": percents, "tickformat": ".1f"})
    trace = go.Parcoords(
        dimensions=dimensions,
        labelside="top",
        line={"color": percents, "coloraxis": "coloraxis"},
        unselected={"line": {"color": style.GREY, "opacity": 0.15}},
    )
    coloraxis = {**_color_range(percents), "showscale": False}  # the last axis is the scale
    return style.figure([trace], 360, coloraxis=coloraxis, margin={"l": 52, "r": 46, "t": 46, "b": 24})


def parallel_alt(info: ParallelInfo) -> str:
    text = f"{len(info.values)} complete trials."
    if info.best is None:
        return text
    drawn = ", ".join(f"{TITLES[name]} {short(values[info.best])}" for name, values in info.drawn.items())
    return f"{text} The best, {pct(info.values[info.best])} on validation, has {drawn}."


PARALLEL = Chart(parallel_info, parallel_figure, parallel_alt)


def contour_info(trials: pd.DataFrame) -> ContourInfo | None:
    """Linear between the complete trials of one cell; None where fewer than four, or all on one line."""
    done = _drawn(complete(trials))
    logs = np.log10(done[[TITLES["beta_1"], TITLES["beta_2"]]].to_numpy(dtype=float))
    values = done["val_top1"].to_numpy(dtype=float)
    if len(np.unique(logs, axis=0)) < FEWEST:
        return None
    axes = [np.linspace(column.min(), column.max(), _GRID) for column in logs.T]
    try:
        grid = griddata(logs, values, tuple(np.meshgrid(*axes)), method="linear", rescale=True)
    except (QhullError, ValueError):  # no triangle to be made: they lie on one line
        return None
    if not np.isfinite(grid).any():
        return None
    x, y = ([float(value) for value in 10**axis] for axis in axes)
    rows = [[number_or_none(round(value, 5)) for value in row] for row in grid.tolist()]
    dots_x, dots_y = (10**logs.T).tolist()
    return ContourInfo(x, y, rows, dots_x, dots_y, values.tolist(), _winner(done))


def contour_figure(info: ContourInfo) -> go.Figure:
    """Validation top-1 as a surface over both betas, with a dot for each trial."""
    percents = [100 * value for value in info.values]
    surface = go.Contour(
        x=info.x,
        y=info.y,
        z=[[None if value is None else 100 * value for value in row] for row in info.grid],
        coloraxis="coloraxis",
        contours={"coloring": "heatmap"},
        hoverinfo="skip",
        line={"width": 0},
    )
    dots = go.Scatter(
        x=info.dots_x,
        y=info.dots_y,
        customdata=percents,
        hovertemplate="val %{customdata:.2f} %<br>1 - β₁ %{x:.3~g}, 1 - β₂ %{y:.3~g}<extra></extra>",
        marker={"color": percents, "coloraxis": "coloraxis", "line": {"color": style.GREY, "width": 1.5}, "size": 9},
        mode="markers",
        showlegend=False,
    )
    bar = {"title": {"text": TOP1, "side": "right"}}
    return style.figure(
        [surface, dots],
        400,
        coloraxis={**_color_range(percents), "colorbar": bar},
        xaxis=log_axis(min(info.dots_x), max(info.dots_x), TITLES["beta_1"]),
        yaxis=log_axis(min(info.dots_y), max(info.dots_y), TITLES["beta_2"]),
    )


def contour_alt(info: ContourInfo) -> str:
    text = f"Validation top-1 of {len(info.values)} trials over the betas"
    if info.best is None:
        return f"{text}."
    where = f"1 - β₁ = {short(info.dots_x[info.best])} and 1 - β₂ = {short(info.dots_y[info.best])}"
    return f"{text}: best {pct(info.values[info.best])} at {where}."


CONTOUR = Chart(contour_info, contour_figure, contour_alt)


def _drawn(trials: pd.DataFrame) -> pd.DataFrame:
    """With a column for each hyperparameter as it was searched, under its title; without trials that lack one."""
    columns = {TITLES[name]: searched(trials, name) for name in RANGES}
    known = trials.assign(**columns)
    return known[(known[list(columns)] > 0).all(axis=1)]


def _winner(done: pd.DataFrame) -> int | None:
    """Its index among the rows of `done`; None where nothing was drawn for it."""
    winner, numbers = best(done), done["number"].tolist()
    return None if winner is None or winner["number"] not in numbers else numbers.index(winner["number"])


def _dimension(name: Hyperparameter, values: Sequence[float], span: tuple[float, float]) -> dict[str, Any]:
    """One axis of parallel coordinates, in powers of ten since Plotly has no log axis there."""
    low, high = min(*values, *span), max(*values, *span)
    ticks = log_ticks(low, high)
    return {
        "label": TITLES[name],
        "range": [math.log10(low), math.log10(high)],
        "ticktext": [short(tick) for tick in ticks],
        "tickvals": [math.log10(tick) for tick in ticks],
        "values": [math.log10(value) for value in values],
    }


def _color_range(percents: Sequence[float]) -> dict[str, float]:
    low, high = float(np.quantile(percents, _DARKEST)), max(percents)
    return {"cmin": low if low < high else high - 1, "cmax": high}
