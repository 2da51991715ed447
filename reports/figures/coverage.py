"""What is right of the test pictures that are answered, if "none of these" is the answer to the least sure ones."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from reports.figures import style
from reports.figures.chart import Chart
from reports.figures.labels import lines, pct


class CoveragePoint(NamedTuple):
    """Fractions; `below` is the probability below which none is answered."""

    below: float
    coverage: float
    top1: float


class CoverageInfo(NamedTuple):
    points: list[CoveragePoint]  # from few pictures to all
    chosen: CoveragePoint | None  # what validation has chosen


def coverage_info(coverage: pd.DataFrame, cell: pd.DataFrame) -> CoverageInfo | None:
    """From the rows of one cell; None where it was not tested.

    Args:
        cell: its row in the frame of cells.
    """
    known = coverage.dropna().sort_values("coverage")
    if known.empty:
        return None
    points = [
        CoveragePoint(*map(float, row)) for row in known[["reject_below", "coverage", "top1"]].itertuples(index=False)
    ]
    return CoverageInfo(points, _chosen(cell))


def coverage_figure(info: CoverageInfo) -> go.Figure:
    """A line, and a mark on it."""
    traces = [
        go.Scatter(
            x=[100 * point.coverage for point in info.points],
            y=[100 * point.top1 for point in info.points],
            hovertext=[_hover(point) for point in info.points],
            hovertemplate="%{hovertext}<extra></extra>",
            line={"color": style.COLORS[0]},
            mode="lines",
            name="all thresholds",
        )
    ]
    if info.chosen:
        traces.append(
            go.Scatter(
                x=[100 * info.chosen.coverage],
                y=[100 * info.chosen.top1],
                hovertext=[_hover(info.chosen)],
                hovertemplate="%{hovertext}<extra></extra>",
                marker={"color": style.COLORS[1], "size": 11},
                mode="markers",
                name="chosen on val",
            )
        )
    xaxis = {"range": [-2, 102], "title": {"text": "answered, % of the test pictures"}}
    return style.figure(traces, 320, xaxis=xaxis, yaxis={"title": {"text": "right of these, %"}})


def coverage_alt(info: CoverageInfo) -> str:
    """The figure's message in words."""
    whole = info.points[-1]
    text = f"Of {pct(whole.coverage)} of the test pictures {pct(whole.top1)} are answered right."
    if info.chosen is None:
        return text
    return (
        f'{text} With "none of these" below a probability of {info.chosen.below:.2f}, chosen on val, '
        f"{pct(info.chosen.coverage)} are answered, {pct(info.chosen.top1)} of them right."
    )


COVERAGE = Chart(coverage_info, coverage_figure, coverage_alt)


def _chosen(cell: pd.DataFrame) -> CoveragePoint | None:
    if cell.empty:
        return None
    row = cell.iloc[0]
    point = CoveragePoint(float(row["reject_below"]), float(row["test_answered"]), float(row["test_top1_answered"]))
    return point if all(map(math.isfinite, point)) else None


def _hover(point: CoveragePoint) -> str:
    return lines(
        f"{pct(point.coverage)} answered",
        f"{pct(point.top1)} of them right",
        f"none below {point.below:.2f}",
    )
