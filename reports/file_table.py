"""The page's table of files for a device, in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd

from pipeline.device.check import milliseconds
from pipeline.scoring import phones
from reports.figures import cell_label
from reports.figures.frames import rows
from reports.figures.labels import plain


class FileRows(NamedTuple):
    """What the table shows: a text for each title."""

    titles: list[str]
    rows: list[list[str]]


PHONE = "a phone, ms"
NOTHING = FileRows([], [])

_COLUMNS: dict[str, Callable[[Any], str]] = {
    "cell": lambda row: cell_label(row.cell),
    "format": lambda row: str(row.precision),
    "MB": lambda row: _known(row.bytes, lambda size: f"{size / 1e6:.2f}"),
    "test, % [95 % interval]": lambda row: _between(100 * row.top1, 100 * row.top1_low, 100 * row.top1_high),
    "loses, points": lambda row: _between(row.loss_points, row.loss_points_low, row.loss_points_high),
    "ms": lambda row: _known(row.p50_ms, milliseconds),
    "ms, 95 %": lambda row: _known(row.p95_ms, milliseconds),
    "memory, MB": lambda row: _known(row.memory_bytes, lambda size: f"{size / 1e6:.0f}"),
    PHONE: lambda row: _known(row.phone_ms, milliseconds),
}


def rows_of(files: pd.DataFrame) -> FileRows:
    """Of the frame of files; with the sweep first where there are several."""
    columns = dict(_COLUMNS)
    if files["sweep"].nunique() > 1:
        columns = {"sweep": lambda row: plain(row.sweep), **columns}
    if files["phone_ms"].isna().all():
        del columns[PHONE]
    return FileRows(list(columns), [[told(row) for told in columns.values()] for row in rows(files)])


def phone_note(files: pd.DataFrame) -> str:
    """Whose times stand in the column PHONE; empty where there are none."""
    if files["phone_ms"].isna().all():
        return ""
    known = next(iter(phones.load().values()))
    return (
        f"{PHONE}: what others published of the same cell ({known.phone}, {known.threads} threads; {known.reference})."
    )


def processors(files: pd.DataFrame) -> str:
    """Where the files were checked."""
    return " and ".join(sorted({str(name) for name in files["processor"] if name})) or "the machine that checked them"


def _known(value: float, told: Callable[[float], str]) -> str:
    return told(value) if math.isfinite(value) else "-"


def _between(value: float, low: float, high: float) -> str:
    return _known(value, lambda known: f"{known:z.1f} [{low:z.1f}, {high:z.1f}]")
