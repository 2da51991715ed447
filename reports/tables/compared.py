"""Cells against each other, picture by picture: which is the best, which is enough, and what the tests can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.scoring import compare
from pipeline.tracking.runs import ANSWERS, VALIDATION
from reports.tables.detail import joined
from reports.tables.rows import NUMBER, TEXT, WHOLE, Row

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

VAL, TEST = "val", "test"
UNTRAINED = "untrained"  # stands for what the first cell's heads start from

GAIN = ("gain", "gain_low", "gain_high")  # of a cell over what its heads start from, on test pictures

PAIRS = {
    **dict.fromkeys(("sweep", "split", "first", "second"), TEXT),
    **dict.fromkeys(("difference", "low", "high", "p", "p_holm", "effective"), NUMBER),
    **dict.fromkeys(("only_first", "only_second", "pictures"), WHOLE),
}


def pairs(tracker: Tracker, cells: Sequence[Row]) -> pd.DataFrame:
    """What `cells`, the tested ones of one sweep, answered to the same pictures.

    A row for each two cells and split; and for each cell against what its heads start from. Cells whose answers were
    not kept, or are to other pictures than those of the first cell, have none.
    """
    sweep = cells[0]["sweep"] if cells else ""
    val = _alike({cell["cell"]: tracker.read_frame(cell["run_id"], VALIDATION) for cell in cells})
    test = _alike({cell["cell"]: tracker.read_frame(cell["run_id"], ANSWERS) for cell in cells})
    groups = next((frame["group"].to_numpy() for frame in test.values()), None)
    right = {cell: (frame["truth"] == frame["answer"]).to_numpy() for cell, frame in test.items()}
    before = {
        cell: compare.pairs({cell: right[cell], UNTRAINED: (frame["truth"] == frame["untrained"]).to_numpy()}, groups)
        for cell, frame in test.items()
        if (frame["untrained"] >= 0).all()
    }
    found = [
        compare.pairs({cell: frame["right"].to_numpy() for cell, frame in val.items()}).assign(split=VAL),
        compare.pairs(right, groups).assign(split=TEST),
        *(frame.assign(split=TEST) for frame in before.values()),
    ]
    return joined([frame.assign(sweep=sweep)[list(PAIRS)] for frame in found if len(frame)], PAIRS)


def judged(cells: Sequence[Row], compared: pd.DataFrame, score: str, margin: float) -> list[Row]:
    """The cells of one sweep with is_best and is_enough, both by validation alone; and what training added.

    The best tested cell has the highest `score`, of several the fewest mult-adds. Enough is the cheapest of those that
    are cheaper than it and lose less than `margin` points of top-1 to it, at 97.5 %, one-sided.
    """
    tested = [cell for cell in cells if not np.isnan(cell["test_top1"])]
    best = max(tested, key=lambda cell: (np.nan_to_num(cell[score], nan=-1), -cell["mult_adds"]), default=None)
    loss = {} if best is None else _losses(compared, best["cell"])
    cheaper = [cell for cell in tested if best is not None and cell["mult_adds"] < best["mult_adds"]]
    enough = [cell for cell in cheaper if 100 * loss.get(cell["cell"], np.inf) < margin]
    chosen = min(enough, key=lambda cell: cell["mult_adds"], default=None)
    return [
        {**cell, "is_best": cell is best, "is_enough": cell is chosen, **_gain(compared, cell["cell"])}
        for cell in cells
    ]


def against(compared: pd.DataFrame, first: str, second: str, split: str) -> pd.Series | None:
    """The row of two cells, `first` less `second` whichever way it was compared; None where they were not."""
    of_split = compared[compared["split"] == split]
    there = of_split[(of_split["first"] == first) & (of_split["second"] == second)]
    if len(there):
        return there.iloc[0]
    turned = of_split[(of_split["first"] == second) & (of_split["second"] == first)]
    return _turned(turned.iloc[0]) if len(turned) else None


def _losses(compared: pd.DataFrame, best: str) -> dict[str, float]:
    """Cell -> the most that it may lose to the best on validation pictures, at 97.5 %, one-sided."""
    others = {*compared["first"], *compared["second"]} - {best, UNTRAINED}
    rows = {cell: against(compared, cell, best, VAL) for cell in others}
    return {cell: -row["low"] for cell, row in rows.items() if row is not None}


def _gain(compared: pd.DataFrame, cell: str) -> Row:
    row = against(compared, cell, UNTRAINED, TEST)
    found = (np.nan,) * 3 if row is None else (row["difference"], row["low"], row["high"])
    return dict(zip(GAIN, found, strict=True))


def _turned(row: pd.Series) -> pd.Series:
    """Of the second less the first."""
    swapped = {"first": "second", "second": "first", "only_first": "only_second", "only_second": "only_first"}
    renamed = row.rename(swapped)
    return pd.Series({**renamed, "difference": -row["difference"], "low": -row["high"], "high": -row["low"]})


def _alike(frames: Mapping[str, pd.DataFrame | None]) -> dict[str, pd.DataFrame]:
    """Those that are there, and of the same pictures as the first of them."""
    there = {cell: frame for cell, frame in frames.items() if frame is not None}
    pictures = [frame["picture"] for frame in there.values()]
    return {cell: frame for cell, frame in there.items() if frame["picture"].equals(pictures[0])}
