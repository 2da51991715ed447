"""What the numbers of a sweep rest on: data, protocol, machine and versions, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.figures.frames import rows
from reports.tables import Tables

UNKNOWN = "not recorded"
# The settings that a reader needs who wants to do it again, in the order in which they are read.
PROTOCOL = (
    *("weights", "freeze_conv", "head_init", "epochs", "batch_size", "lr_schedule", "dropout", "augment"),
    *("seed", "val_fraction", "test_fraction", "train_limit", "wave", "pruner", "report_params"),
)


def facts(tables: Tables) -> list[tuple[str, list[tuple[str, str]]]]:
    """(sweep, [(term, text), ...]) for each sweep."""
    return [(row.sweep, _facts(row, tables.cells[tables.cells["sweep"] == row.sweep])) for row in rows(tables.sweeps)]


def _facts(sweep: Any, cells: pd.DataFrame) -> list[tuple[str, str]]:
    begun = UNKNOWN if pd.isna(sweep.started) else sweep.started.strftime("%Y-%m-%d %H:%M UTC")
    return [
        ("data", _data(sweep, cells)),
        ("protocol", _protocol(sweep.settings)),
        ("machine", sweep.device or UNKNOWN),
        ("versions", sweep.versions or UNKNOWN),
        ("begun", f"{begun}; {sweep.status.lower()}"),
        ("computing time", f"{duration(cells['seconds'].sum(min_count=1))} for {len(cells)} cells"),
        ("MLflow run", sweep.run_id),
    ]


def _data(sweep: Any, cells: pd.DataFrame) -> str:
    """ "digits, 10 classes, 1,437 pictures to train and validate on (15 % of them val), 360 to test, digest 4e..." """
    share = sweep.settings.get("val_fraction", "")
    val = f" ({100 * float(share):.3g} % of them val)" if share else ""
    parts = [
        sweep.dataset,
        _counted(sweep.classes, "classes"),
        _counted(sweep.pictures_train_and_val, f"pictures to train and validate on{val}"),
        _counted(cells["test_pictures"].max(), "to test"),
        f"digest {sweep.digest}" if sweep.digest else "",
    ]
    return ", ".join(part for part in parts if part)


def _counted(count: float, what: str) -> str:
    return f"{count:,.0f} {what}" if math.isfinite(count) else ""


def _protocol(settings: Mapping[str, str]) -> str:
    known = [f"{name} {settings[name]}" for name in PROTOCOL if settings.get(name)]
    return ", ".join(known) or UNKNOWN


def duration(seconds: float) -> str:
    """ "72 s", "12 min", "3.6 h"."""
    if not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
