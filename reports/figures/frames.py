"""Rows picked out of the frames of reports/tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from pipeline.config import IMAGENET_CLASSES


def of_cell(frame: pd.DataFrame, sweep: str, cell: str) -> pd.DataFrame:
    """The rows of one cell of one sweep, out of any frame that has both columns."""
    return frame[(frame["sweep"] == sweep) & (frame["cell"] == cell)]


def outputs(sweep: Any) -> float:
    """Of the heads of a row of the frame of sweeps; NaN where they are not recorded."""
    return IMAGENET_CLASSES if sweep.settings.get("protocol") == "replication" else sweep.classes


def rows(frame: pd.DataFrame) -> Iterator[Any]:
    """Each row as an object whose attributes are the columns."""
    return frame.itertuples(index=False)


def complete(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that came to their end with a value, by number."""
    return trials[(trials["state"] == "COMPLETE") & trials["val_top1"].notna()].sort_values("number")


def best(trials: pd.DataFrame) -> pd.Series | None:
    """The cell's winner; None where there is none."""
    won = complete(trials)
    won = won[won["is_best"]]
    return None if won.empty else won.iloc[0]
