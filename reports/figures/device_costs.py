"""Accuracy against what a device pays: cells as files, each format a series."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from pipeline.device.check import milliseconds
from reports.figures import scatter, style
from reports.figures.chart import Chart
from reports.figures.frames import rows
from reports.figures.labels import cell_label, inert, lines, pct
from reports.figures.scatter import Front, Point, Scatter, Series

Payment = Literal["bytes", "p50_ms"]

_WORDS: dict[Payment, str] = {"bytes": "size of the file, MB", "p50_ms": "ms a picture, one thread, here"}
_PER: dict[Payment, float] = {"bytes": 1e6, "p50_ms": 1.0}


class FilesInfo(NamedTuple):
    payment: Payment
    formats: list[Series]
    front: list[Point]  # of all formats


def files_info(files: pd.DataFrame, payment: Payment = "bytes") -> FilesInfo | None:
    """None where there is no file."""
    known = files[files["top1"].notna() & (files[payment] > 0)]
    if known.empty:
        return None
    several = known["sweep"].nunique() > 1
    groups = known.groupby(["sweep", "precision"] if several else ["precision"], sort=False)
    formats = [Series(" ".join(map(str, key)), [_point(row, payment) for row in rows(group)]) for key, group in groups]
    return FilesInfo(payment, formats, scatter.front([point for series in formats for point in series.points]))


def files_figure(info: FilesInfo) -> go.Figure:
    """Top-1 in % over megabytes or milliseconds."""
    front = Front(info.front, style.GREY)
    return scatter.drawn(Scatter(_PER[info.payment], _WORDS[info.payment], info.formats, [front], []))


def files_alt(info: FilesInfo) -> str:
    """In a sentence, for those who cannot see the figure."""
    every = [point for series in info.formats for point in series.points]
    count = f"{len(every)} file{'s' if len(every) > 1 else ''}"
    ends = [f"{pct(point.top1)} at {_told(point.cost, info.payment)}" for point in info.front]
    between = ends[0] if len(ends) == 1 else f"from {ends[0]} to {ends[-1]}"
    return f"Test top-1 of {count}; on the Pareto front {len(ends)}, {between}."


FILES = Chart(files_info, files_figure, files_alt)


def _point(row: Any, payment: Payment) -> Point:
    hover = lines(
        f"<b>{inert(cell_label(row.cell))}</b> · {inert(row.precision)} · {inert(row.sweep)}",
        f"test {pct(row.top1)} [{pct(row.top1_low)}, {pct(row.top1_high)}]",
        f"loses {row.loss_points:z.1f} points [{row.loss_points_low:z.1f}, {row.loss_points_high:z.1f}]",
        f"{_told(row.bytes, 'bytes')}, {_told(row.p50_ms, 'p50_ms')} a picture",
    )
    return Point(cell_label(row.cell), getattr(row, payment), row.top1, row.top1_low, row.top1_high, hover)


def _told(value: float, payment: Payment) -> str:
    return f"{value / 1e6:.2f} MB" if payment == "bytes" else f"{milliseconds(value)} ms"
