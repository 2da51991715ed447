"""Learning curves of one cell: all its trials are faint, the best one and the final model strong."""

from __future__ import annotations

import statistics
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports.figures import style
from reports.figures.axes import log_axis
from reports.figures.chart import Chart
from reports.figures.frames import best
from reports.figures.labels import number_or_none, pct, short

Family = Literal["top1", "loss"]

FINAL = -1  # the number of the final model's curves
POINTS = 200  # of one line, at most: more than a phone has px to show
_SMOOTH = 0.8  # share of the epochs that begin with a lower learning rate; from it on the falls mark nothing
_ABOVE = 10  # times the losses that matter; up to there goes the axis
_HEIGHT = 360  # px


class Line(NamedTuple):
    """One metric over the epochs, 1 ..; None is a gap, between two trials or where the value was not finite."""

    epochs: list[int | None]
    values: list[float | None]


class CurvesInfo(NamedTuple):
    """Accuracies are fractions; a line without points was not recorded.

    Attributes:
        trials: how many have a curve.
        of_trials: how many there are, without those that were killed, which are done again.
        others_train, others_val: all trials but the best, one behind the other with gaps between.
        best_number: the best trial's, None before any is complete.
        final: the final model on train + val, which has no validation.
        best_epoch: of the best trial, up to which the final model replays it.
        rate_drops: the epochs that began with a lower learning rate than the one before, in the best trial.
    """

    family: Family
    trials: int
    of_trials: int
    others_train: Line
    others_val: Line
    best_number: int | None
    best_train: Line
    best_val: Line
    final: Line
    best_epoch: int | None
    rate_drops: list[int]


def thin(curves: pd.DataFrame, points: int = POINTS) -> pd.DataFrame:
    """At most `points` (>= 3) evenly spaced rows of each trial and metric, the first, last and best among them."""
    groups = curves.sort_values("epoch").groupby(["number", "metric"], sort=False)
    kept = [group.iloc[_kept(group, points)] for _, group in groups]
    return pd.concat(kept) if kept else curves


def curves_info(curves: pd.DataFrame, trials: pd.DataFrame, family: Family) -> CurvesInfo | None:
    """From the curves and trials of one cell; None where none of the family would be drawn."""
    train, val = f"train_{family}", f"val_{family}"
    killed = trials["state"] == "KILLED"
    is_shown = curves["metric"].isin([train, val]) & ~curves["number"].isin(trials.loc[killed, "number"])
    shown = thin(curves[is_shown])
    winner = best(trials)
    number = None if winner is None else int(winner["number"])
    others = shown[~shown["number"].isin([FINAL, number])]
    info = CurvesInfo(
        family=family,
        trials=shown.loc[shown["number"] != FINAL, "number"].nunique(),
        of_trials=int((~killed).sum()),
        others_train=_line(others, train),
        others_val=_line(others, val),
        best_number=number,
        best_train=_line(shown[shown["number"] == number], train),
        best_val=_line(shown[shown["number"] == number], val),
        final=_line(shown[shown["number"] == FINAL], train),
        best_epoch=int(winner["best_epoch"]) if winner is not None and winner["best_epoch"] > 0 else None,
        rate_drops=_rate_drops(curves[curves["number"] == number]),
    )
    drawn = _finite(info.others_train, info.others_val, info.best_train, info.best_val, info.final)
    return info if drawn else None


def curves_figure(info: CurvesInfo) -> go.Figure:
    """Top-1 in %, or the loss on a log axis, since that of a bad trial is far above the others."""
    best_color, final_color = style.COLORS[0], style.COLORS[1]
    faint = {"color": style.FAINT, "width": 1}
    traces = [
        _trace(info, info.others_train, "other trials, train", stroke={**faint, "dash": "dot"}, visible="legendonly"),
        _trace(info, info.others_val, "other trials, val", stroke=faint),
        _trace(info, info.best_train, "best, train", stroke={"color": best_color, "dash": "dash", "width": 2}),
        _trace(info, info.best_val, "best, val", stroke={"color": best_color, "width": 2.5}),
        _trace(info, info.final, "final, train + val", stroke={"color": final_color, "dash": "dashdot", "width": 2.5}),
    ]
    yaxis: dict[str, Any] = {"title": {"text": "top-1, %"}}
    if info.family == "loss":
        yaxis = _loss_axis(info)
    return style.figure(
        [trace for trace in traces if trace is not None],
        _HEIGHT,
        xaxis={"title": {"text": "epoch"}, "rangemode": "tozero"},
        yaxis=yaxis,
        shapes=_marks(info),
    )


def curves_alt(info: CurvesInfo) -> str:
    """Of how many trials, and what the best of them reached."""
    what = "top-1" if info.family == "top1" else "loss"
    count = f"{info.trials}" if info.trials == info.of_trials else f"{info.trials} of {info.of_trials}"
    text = f"Curves of {what} over the epochs for {count} trials."
    finite = _finite(info.best_val)
    if not finite or info.best_number is None:
        return text
    peak = pct(max(finite)) if info.family == "top1" else short(min(finite))
    return f"{text} The best, trial {info.best_number}, reaches a validation {what} of {peak}."


CURVES = Chart(curves_info, curves_figure, curves_alt)


def _kept(group: pd.DataFrame, points: int) -> list[int]:
    count, values = len(group), group["value"].astype(float)
    if count <= points:
        return list(range(count))
    kept = {round(index) for index in np.linspace(0, count - 1, points - 1)}
    if values.notna().any():
        is_loss = str(group["metric"].iloc[0]).endswith("loss")
        kept.add(int(np.nanargmin(values) if is_loss else np.nanargmax(values)))
    return sorted(kept)


def _line(curves: pd.DataFrame, metric: str) -> Line:
    """All trials of the frame one behind the other."""
    line = Line([], [])
    for _, group in curves[curves["metric"] == metric].groupby("number"):
        if line.epochs:
            line.epochs.append(None)
            line.values.append(None)
        line.epochs.extend(int(epoch) for epoch in group["epoch"])
        line.values.extend(number_or_none(value) for value in group["value"])
    return line


def _finite(*lines: Line) -> list[float]:
    """All that is drawn of the lines, gaps left out."""
    return [value for line in lines for value in line.values if value is not None]


def _rate_drops(curves: pd.DataFrame) -> list[int]:
    """Those of a schedule in steps; a smooth one falls all the time and has none to mark."""
    rates = curves[curves["metric"] == "learning_rate"].sort_values("epoch")
    is_drop = rates["value"].astype(float).diff() < 0
    drops = [int(epoch) for epoch in rates.loc[is_drop, "epoch"]]
    return drops if len(drops) < _SMOOTH * (len(rates) - 1) else []


def _trace(info: CurvesInfo, line: Line, name: str, stroke: dict[str, Any], **how: Any) -> go.Scatter | None:
    """None for a line that was not recorded."""
    if not line.epochs:
        return None
    factor, unit = (100, " %") if info.family == "top1" else (1, "")
    is_faint = name.startswith("other")
    return go.Scatter(
        x=line.epochs,
        y=[None if value is None else round(factor * value, 5) for value in line.values],
        hoverinfo="skip" if is_faint else None,
        hovertemplate=None if is_faint else f"{name}<br>epoch %{{x}}: %{{y:.4~g}}{unit}<extra></extra>",
        line=stroke,
        mode="lines" if sum(value is not None for value in line.values) > 1 else "markers",
        name=name,
        **how,
    )


def _loss_axis(info: CurvesInfo) -> dict[str, Any]:
    """Over what matters, the strong lines or else half of the faint ones: one that diverged would flatten all."""
    strong = [loss for loss in _finite(info.best_train, info.best_val, info.final) if loss > 0]
    faint = [loss for loss in _finite(info.others_val) if loss > 0]
    if not strong and not faint:
        return log_axis(1, 1, "loss")
    matters = max(strong) if strong else statistics.median(faint)
    return log_axis(min(strong + faint), min(max(strong + faint), _ABOVE * matters), "loss")


def _marks(info: CurvesInfo) -> list[dict[str, Any]]:
    """Upright lines where the best trial's learning rate fell, and at its best epoch."""
    shapes = [_upright(epoch, "learning rate falls", style.COLORS[2], "dot") for epoch in info.rate_drops]
    if info.best_epoch is not None:
        shapes.append(_upright(info.best_epoch, "best epoch", style.COLORS[0], "dash"))
    for index, shape in enumerate(shapes):
        shape["showlegend"] = index == 0 or shape["name"] != shapes[index - 1]["name"]
    return shapes


def _upright(epoch: int, name: str, color: str, dash: str) -> dict[str, Any]:
    return {
        "type": "line",
        "layer": "below",
        "legendgroup": name,
        "line": {"color": color, "dash": dash, "width": 1},
        "name": name,
        "x0": epoch,
        "x1": epoch,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
    }
