"""How one cell's search went: its history, what each hyperparameter did alone, and which of them mattered."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from reports.figures import style
from reports.figures.axes import RANGES, TITLES, TOP1, Hyperparameter, Ranges, log_axis, searched
from reports.figures.chart import Chart
from reports.figures.frames import best, complete, rows
from reports.figures.labels import inert, lines, number_or_none, pct, short

EDGE = 0.05  # of a range's length on the log scale
_STATES = {"COMPLETE": ("complete", "circle", style.COLORS[0]), "PRUNED": ("pruned", "circle-open", style.GREY)}
_HEIGHT = 320  # px


class Dot(NamedTuple):
    """One trial; value is a fraction, x what the figure lays it over."""

    number: int
    x: float
    value: float
    state: str
    hover: str


class HistoryInfo(NamedTuple):
    """Trials that have not ended are left out."""

    dots: list[Dot]  # over the trial numbers
    running_best: list[tuple[int, float]]  # of the complete trials
    failed: list[tuple[int, str]]  # number, hover text
    best: Dot | None


class SliceInfo(NamedTuple):
    name: Hyperparameter
    dots: list[Dot]  # over the learning rate or 1 - beta
    best: Dot | None
    span: tuple[float, float]  # in which it was searched


class ImportancesInfo(NamedTuple):
    """Shares of 1, the greatest first; `deviations` are between the random forests that were asked."""

    names: list[Hyperparameter]
    means: list[float]
    deviations: list[float]


def history_info(trials: pd.DataFrame) -> HistoryInfo | None:
    """From the trials of one cell; None where none has ended."""
    dots = _dots(trials, trials["number"].astype(float))
    broken = trials[trials["state"] == "FAIL"]
    failed = [(int(row.number), lines(f"trial {row.number} failed", inert(row.error, 100))) for row in rows(broken)]
    done = complete(trials)
    peaks = [float(peak) for peak in done["val_top1"].astype(float).cummax()]
    running = list(zip([int(number) for number in done["number"]], peaks, strict=True))
    return HistoryInfo(dots, running, failed, _best(dots, trials)) if dots or failed else None


def history_figure(info: HistoryInfo) -> go.Figure:
    """A dot for each trial, a step line for the best so far, and the failed ones along the bottom."""
    traces = _dot_traces(info.dots)
    if info.running_best:
        numbers, peaks = zip(*info.running_best, strict=True)
        last = max([*numbers, *(dot.x for dot in info.dots)])
        line = {"color": style.COLORS[1], "shape": "hv", "width": 2}
        x, y = [*numbers, last], [100 * peak for peak in [*peaks, peaks[-1]]]
        traces.insert(0, go.Scatter(x=x, y=y, hoverinfo="skip", line=line, mode="lines", name="best so far"))
    if info.failed:
        floor = 100 * min((dot.value for dot in info.dots), default=0.0)
        traces.append(
            go.Scatter(
                x=[number for number, _ in info.failed],
                y=[floor] * len(info.failed),
                hovertext=[text for _, text in info.failed],
                hovertemplate="%{hovertext}<extra></extra>",
                marker={"color": style.COLORS[1], "size": 9, "symbol": "x"},
                mode="markers",
                name="failed (no value)",
            )
        )
    return style.figure(traces, _HEIGHT, xaxis={"title": {"text": "trial"}}, yaxis={"title": {"text": TOP1}})


def history_alt(info: HistoryInfo) -> str:
    counts = {state: sum(dot.state == state for dot in info.dots) for state in _STATES}
    text = f"{counts['COMPLETE']} complete, {counts['PRUNED']} pruned and {len(info.failed)} failed trials."
    if info.best is None:
        return text
    return f"{text} The best validation top-1, {pct(info.best.value)}, came with trial {info.best.number}."


HISTORY = Chart(history_info, history_figure, history_alt)


def slice_info(trials: pd.DataFrame, name: Hyperparameter, ranges: Ranges = RANGES) -> SliceInfo | None:
    """Validation top-1 over one hyperparameter, from the trials of one cell; None where no trial has a value."""
    values = searched(trials, name)
    dots = _dots(trials[values > 0], values[values > 0])
    return SliceInfo(name, dots, _best(dots, trials), ranges[name]) if dots else None


def slice_figure(info: SliceInfo) -> go.Figure:
    """A dot for each trial over one hyperparameter, the best one marked."""
    traces = _dot_traces(info.dots)
    if info.best is not None:
        traces.append(
            go.Scatter(
                x=[info.best.x],
                y=[100 * info.best.value],
                hovertext=[info.best.hover],
                hovertemplate="%{hovertext}<extra></extra>",
                marker={"color": style.COLORS[1], "size": 14, "symbol": "star"},
                mode="markers",
                name="best",
            )
        )
    every = [*info.span, *(dot.x for dot in info.dots)]  # an older sweep may have searched a wider range
    xaxis = log_axis(min(every), max(every), TITLES[info.name])
    return style.figure(traces, _HEIGHT, xaxis=xaxis, yaxis={"title": {"text": TOP1}})


def slice_alt(info: SliceInfo) -> str:
    text = f"Validation top-1 of {len(info.dots)} trials over {TITLES[info.name]}"
    return f"{text}." if info.best is None else f"{text}: best {pct(info.best.value)} at {short(info.best.x)}."


SLICE = Chart(slice_info, slice_figure, slice_alt)


def importances_info(importance: pd.DataFrame) -> ImportancesInfo | None:
    """From the importances of one cell; None where its trials were too few to tell."""
    known = importance[importance["mean"].notna()].sort_values("mean", ascending=False, kind="stable")
    if known.empty:
        return None
    return ImportancesInfo(*(known[column].tolist() for column in ("hyperparameter", "mean", "deviation")))


def importances_figure(info: ImportancesInfo) -> go.Figure:
    """A bar for each hyperparameter, with the deviation between random forests."""
    trace = go.Bar(
        x=[100 * mean for mean in info.means],
        y=[TITLES[name] for name in info.names],
        error_x={
            "array": [number_or_none(100 * deviation) for deviation in info.deviations],
            "color": style.COLORS[1],
            "thickness": 1.5,
            "width": 4,
        },
        hovertemplate="%{y}: %{x:.0f} ± %{error_x.array:.0f} %<extra></extra>",
        marker={"color": style.COLORS[0]},
        orientation="h",
        width=0.55,
    )
    xaxis = {"title": {"text": "share of the variance, %"}, "rangemode": "tozero"}
    return style.figure([trace], 190, xaxis=xaxis, yaxis={"autorange": "reversed", "ticks": ""}, showlegend=False)


def importances_alt(info: ImportancesInfo) -> str:
    shares = [
        f"{TITLES[name]} {pct(mean, 0)} (± {100 * deviation:.0f})"
        for name, mean, deviation in zip(info.names, info.means, info.deviations, strict=True)
    ]
    return f"Share of the variance of validation top-1 by hyperparameter: {', '.join(shares)}."


IMPORTANCES = Chart(importances_info, importances_figure, importances_alt)


def edge_note(trials: pd.DataFrame, ranges: Ranges = RANGES) -> str:
    """A sentence where the best trial of a cell sits within 5 % of an end of a range on the log scale, else ""."""
    winner = best(trials)
    if winner is None:
        return ""
    drawn = {name: searched(winner.to_frame().T, name).iloc[0] for name in ranges}
    near = [note for name in ranges if (note := _edge(name, drawn[name], ranges[name]))]
    if not near:
        return ""
    return (
        f"The best trial sits at the edge of its search range: {', and '.join(near)}. A better one may lie beyond it."
    )


def _edge(name: Hyperparameter, value: float, span: tuple[float, float]) -> str:
    if not value > 0:
        return ""
    low, high = span
    share = math.log(value / low) / math.log(high / low)  # of the way from the low end to the high one
    if EDGE < share < 1 - EDGE:
        return ""
    end, bound = ("lower", low) if share <= EDGE else ("upper", high)
    return f"{TITLES[name]} {short(value)} is near its {end} end, {short(bound)}"


def _dots(trials: pd.DataFrame, x: pd.Series) -> list[Dot]:
    """The complete and the pruned trials that have a value, by number."""
    shown = trials.assign(x=x)
    shown = shown[shown["state"].isin(list(_STATES)) & shown["val_top1"].notna() & shown["x"].notna()]
    ordered = shown.sort_values("number")
    return [Dot(int(row.number), row.x, row.val_top1, row.state, _hover(row)) for row in rows(ordered)]


def _best(dots: list[Dot], trials: pd.DataFrame) -> Dot | None:
    """The cell's winner, which need not be the first of equal value."""
    winner = best(trials)
    return None if winner is None else next((dot for dot in dots if dot.number == winner["number"]), None)


def _hover(row: Any) -> str:
    drawn = [f"{TITLES['learning_rate']} {short(row.learning_rate)}", f"β₁ {short(row.beta_1)}", f"β₂ {row.beta_2:.5g}"]
    return lines(
        f"<b>trial {row.number}</b>, {_STATES[row.state][0]}",
        f"val {pct(row.val_top1, 2)}",
        "no training" if math.isnan(row.learning_rate) else ", ".join(drawn),
    )


def _dot_traces(dots: list[Dot]) -> list[Any]:
    """One trace for each state that occurs."""
    traces = []
    for state, (name, marker, color) in _STATES.items():
        if chosen := [dot for dot in dots if dot.state == state]:
            trace = go.Scatter(
                x=[dot.x for dot in chosen],
                y=[number_or_none(100 * dot.value) for dot in chosen],
                hovertext=[dot.hover for dot in chosen],
                hovertemplate="%{hovertext}<extra></extra>",
                marker={"color": color, "opacity": 0.85, "size": 8, "symbol": marker},
                mode="markers",
                name=name,
            )
            traces.append(trace)
    return traces
