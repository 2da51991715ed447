"""Accuracy per class with its interval, the worst classes on top."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from pipeline.scoring.metrics import wilson_interval
from reports.figures import style
from reports.figures.chart import Chart
from reports.figures.labels import inert, lines, pct, plain

ALL = 130  # classes that are all shown; of more, only the two ends
WORST, BEST = 60, 20
_ROW = 16  # px
_NAME = 24  # letters of a name beside its row


class ClassRow(NamedTuple):
    """One class with at least one test picture; top1, low and high are fractions."""

    name: str
    pictures: int
    correct: int
    top1: float
    low: float
    high: float


class ClassesInfo(NamedTuple):
    worst: list[ClassRow]  # ascending; all of them where `best` is empty
    best: list[ClassRow]  # ascending
    classes: int  # those left out included


def per_class_info(per_class: pd.DataFrame) -> ClassesInfo | None:
    """From the classes of one cell; None where none was tested."""
    tested = per_class[per_class["pictures"].fillna(0) > 0]
    rows = [_row(str(name), int(n), int(hits)) for name, n, hits in zip(*_columns(tested), strict=True)]
    rows.sort(key=lambda row: (row.top1, row.high))
    if not rows:
        return None
    if len(rows) <= ALL:
        return ClassesInfo(rows, [], len(rows))
    return ClassesInfo(rows[:WORST], rows[-BEST:], len(rows))


def per_class_figure(info: ClassesInfo) -> go.Figure:
    """A row for each class; rows are numbered and have texts as ticks, since names may be alike once cut."""
    rows = [*info.worst, *info.best]
    gap = 2 if info.best else 0
    ys = [*range(len(info.worst)), *range(len(info.worst) + gap, len(rows) + gap)]
    trace = go.Scatter(
        x=[100 * row.top1 for row in rows],
        y=ys,
        error_x={
            "array": [100 * (row.high - row.top1) for row in rows],
            "arrayminus": [100 * (row.top1 - row.low) for row in rows],
            "color": style.GREY,
            "symmetric": False,
            "thickness": 1,
            "width": 0,
        },
        hovertext=[_hover(row) for row in rows],
        hovertemplate="%{hovertext}<extra></extra>",
        marker={"color": style.COLORS[0], "size": 7},
        mode="markers",
    )
    yaxis = {
        "range": [ys[-1] + 0.7, -0.7],
        "tickfont": {"size": 11},
        "ticktext": [inert(row.name, _NAME) for row in rows],
        "tickvals": ys,
    }
    xaxis = {"range": [-2, 102], "side": "top", "title": {"text": "test top-1, %"}}
    left_out = {"text": _left_out(info), "x": 50, "y": len(info.worst) + 0.5}
    height = max(160, _ROW * (len(rows) + gap) + 70)
    return style.figure([trace], height, xaxis=xaxis, yaxis=yaxis, annotations=[left_out] if gap else [])


def per_class_alt(info: ClassesInfo) -> str:
    worst, best = info.worst[0], [*info.worst, *info.best][-1]
    ends = f"from {pct(worst.top1)}, {plain(worst.name)}, to {pct(best.top1)}, {plain(best.name)}"
    text = f"Test top-1 of {info.classes} classes: {ends}."
    return f"{text} {_left_out(info).capitalize()}." if info.best else text


PER_CLASS = Chart(per_class_info, per_class_figure, per_class_alt)


def _columns(tested: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series]:
    return tested["class_name"], tested["pictures"], tested["correct"].fillna(0)


def _row(name: str, pictures: int, correct: int) -> ClassRow:
    return ClassRow(name, pictures, correct, correct / pictures, *wilson_interval(correct, pictures))


def _left_out(info: ClassesInfo) -> str:
    hidden = info.classes - len(info.worst) - len(info.best)
    return f"{hidden} classes between these are not shown"


def _hover(row: ClassRow) -> str:
    return lines(
        f"<b>{inert(row.name)}</b>",
        f"{pct(row.top1)} [{pct(row.low)}, {pct(row.high)}]",
        f"{row.correct} of {row.pictures} pictures",
    )
