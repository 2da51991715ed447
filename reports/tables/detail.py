"""The long frames: learning curves, and the artifacts of a cell's run."""

from __future__ import annotations

import base64
import io
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.scoring import metrics
from reports.tables.rows import DRAWN, NUMBER, TEXT, WHOLE, Row, frame

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

FINAL = -1  # the number of the final model's curves
CURVE_NAMES = ("train_loss", "train_top1", "val_loss", "val_top1", "learning_rate")

CURVES = {"sweep": TEXT, "cell": TEXT, "number": WHOLE, "epoch": WHOLE, "metric": TEXT, "value": NUMBER}
PER_CLASS = {
    **dict.fromkeys(("sweep", "cell", "class_name"), TEXT),
    **{"pictures": WHOLE, "correct": WHOLE, "top1": NUMBER},
}
CONFUSION = {**dict.fromkeys(("sweep", "cell", "truth", "answer"), TEXT), "count": WHOLE}
COVERAGE = {**dict.fromkeys(("sweep", "cell"), TEXT), **dict.fromkeys(("reject_below", "coverage", "top1"), NUMBER)}
NEAR_COPIES = dict.fromkeys(("sweep", "one", "other", "where", "one_jpeg", "other_jpeg"), TEXT)
IMPORTANCE = {**dict.fromkeys(("sweep", "cell", "hyperparameter"), TEXT), "mean": NUMBER, "deviation": NUMBER}


def curves(tracker: Tracker, cells: Sequence[tuple[Row, Sequence[Row]]], curve_trials: int | None) -> pd.DataFrame:
    """Of each cell's final model and of `curve_trials` of its trials, see `shown`.

    Args:
        cells: their rows, each with those of its trials.
    """
    owners = {
        owner["run_id"]: (cell["sweep"], cell["cell"], owner.get("number", FINAL))
        for cell, trials in cells
        for owner in (cell, *shown(trials, cell["best_trial"], curve_trials))
    }
    # Points after a cell's best epoch were left by an earlier final training, which was longer.
    last = {cell["run_id"]: cell["best_epoch"] for cell, _ in cells if math.isfinite(cell["best_epoch"])}
    found = tracker.curves(owners, CURVE_NAMES)
    columns: dict[str, list] = {name: [] for name in CURVES}
    for run_id, metric in itertools.product(owners, CURVE_NAMES):
        curve = found.get((run_id, metric), {})
        epochs = sorted(epoch for epoch in curve if epoch <= last.get(run_id, math.inf))
        for column, value in zip(("sweep", "cell", "number", "metric"), (*owners[run_id], metric), strict=True):
            columns[column] += [value] * len(epochs)
        columns["epoch"] += epochs
        columns["value"] += [curve[epoch] for epoch in epochs]
    return pd.DataFrame(columns).astype(CURVES)


def shown(trials: Sequence[Row], best: float, count: int | None) -> list[Row]:
    """`count` of a cell's trials, by number: the winner, and others that are spread evenly over the ranks.

    All where `count` is None or not below their number. Those without val_top1 rank last.

    Args:
        best: the winner's number, NaN where there is none.
    """
    if count is None or count >= len(trials):
        return list(trials)

    def badness(trial: Row) -> tuple[bool, bool, float]:
        known = math.isfinite(trial["val_top1"])
        return trial["number"] != best, not known, -trial["val_top1"] if known else 0.0

    ranked = sorted(trials, key=badness)
    chosen = np.linspace(0, len(ranked) - 1, count).round().astype(int)
    return sorted((ranked[rank] for rank in chosen), key=lambda trial: trial["number"])


def per_class(sweep: str, cell: str, text: str) -> pd.DataFrame:
    """`text` is what the test left as per_class.csv."""
    table = metrics.read_table(io.StringIO(text))
    return pd.DataFrame(
        {
            **{"sweep": sweep, "cell": cell, "class_name": table["class"], "pictures": table["test_count"]},
            **{"correct": table["correct"], "top1": table["top1_pct"] / 100},
        }
    ).astype(PER_CLASS)


def confusion(sweep: str, cell: str, text: str) -> pd.DataFrame:
    """`text` is what the test left as confusion.csv."""
    table = metrics.read_table(io.StringIO(text)).rename(columns={"predicted": "answer"})
    return table.assign(sweep=sweep, cell=cell)[list(CONFUSION)].astype(CONFUSION)


def importance(sweep: str, cell: str, text: str) -> pd.DataFrame:
    """`text` is what the search left as importance.csv. Raises ValueError where it names another hyperparameter."""
    table = pd.read_csv(io.StringIO(text), dtype={"hyperparameter": str})
    if unknown := set(table["hyperparameter"]) - {*DRAWN}:
        raise ValueError(f"the hyperparameter {min(unknown)!r}")
    return table.assign(sweep=sweep, cell=cell)[list(IMPORTANCE)].astype(IMPORTANCE)


def coverage(sweep: str, cell: str, text: str) -> pd.DataFrame:
    """`text` is what the test left as coverage.csv."""
    table = pd.read_csv(io.StringIO(text))
    percent = {name: table[f"{name}_pct"] / 100 for name in ("coverage", "top1")}
    return table.assign(sweep=sweep, cell=cell, **percent)[list(COVERAGE)].astype(COVERAGE)


def near_copies(sweep: str, text: str) -> pd.DataFrame:
    """`text` is what the sweep left as near_copies.csv. Raises ValueError where a picture is no base64."""
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False).assign(sweep=sweep)[list(NEAR_COPIES)]
    for name in ("one_jpeg", "other_jpeg"):
        for picture in table[name]:
            base64.b64decode(picture, validate=True)
    return table.astype(NEAR_COPIES)


def joined(parts: Iterable[pd.DataFrame | None], columns: Mapping[str, str]) -> pd.DataFrame:
    """One frame of all that are not None, with these columns even where there is none."""
    found = (part for part in parts if part is not None)
    return pd.concat([frame([], columns), *found], ignore_index=True).astype(columns)
