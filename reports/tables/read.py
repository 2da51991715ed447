"""Reads sweeps, with everything below them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.config import ReportConfig
from pipeline.shell.errors import UserError
from pipeline.tracking import RunRecord
from pipeline.tracking.runs import PROCESSOR_TAG
from reports.tables import detail, rows
from reports.tables.choice import dataset, find, labels, sweeps
from reports.tables.compared import PAIRS, judged, pairs
from reports.tables.exports import FILES, files_of
from reports.tables.rows import Row

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

CURVE_TRIALS = 40  # all of a cell, at the usual number; a chart of more shows a thicket


@dataclass(frozen=True)
class Tables:
    """What MLflow holds of some sweeps. Accuracies are fractions; what is unknown is NaN or an empty string.

    Attributes:
        sweeps: a row each. `sweep`, by which the other frames name it, is unique and short; started is in UTC; seconds
            go from the start to the last end, pauses included; settings is the dict of its params.
        cells: a row for each cell, finished or not. Deltas are ours minus what was published for the same data set;
            is_best, is_enough and gain are those of compared.judged.
        pairs: what each two tested cells of a sweep answered to the same pictures, see compared.pairs.
        trials: a row each; number is its index in the search, from 0; state is COMPLETE, PRUNED or FAIL, or RUNNING or
            KILLED for one that has not ended. val_top1 is the best epoch's; is_best marks the cell's winner.
        curves: a row for each trial, metric and epoch (from 1); number -1 is the final model.
        per_class, confusion: of the tests; confusion lists only counts above 0.
        coverage: of the tests, what is right of how many pictures if the least sure are not answered.
        files: a row for each file for a device that is of a cell's present model; loss_points are of top-1, p50_ms and
            p95_ms of one thread where it was checked, phone_ms is a published one of the same cell and precision.
        near_copies: pairs of pictures that the audit of a sweep found, with JPEGs in base64.
        importance: a row for each cell and hyperparameter, of cells with enough complete trials; mean is its share of
            the variance, as the search worked it out, and deviation the spread of that between random forests.
    """

    sweeps: pd.DataFrame
    cells: pd.DataFrame
    pairs: pd.DataFrame
    trials: pd.DataFrame
    curves: pd.DataFrame
    per_class: pd.DataFrame
    confusion: pd.DataFrame
    importance: pd.DataFrame
    coverage: pd.DataFrame
    near_copies: pd.DataFrame
    files: pd.DataFrame
    margin: float


def read(
    tracker: Tracker,
    sweep_ids: Sequence[str],
    curve_trials: int | None = CURVE_TRIALS,
    margin: float = ReportConfig.margin,
) -> Tables:
    """These sweeps, in the order given.

    Args:
        curve_trials: of how many trials per cell the curves are read: of the best one, and of others spread evenly over
            the ranks. None reads all, which takes 40 s for 5,000 trials of 30 epochs.
        margin: points of top-1 that a cell may lose and be enough.

    Raises:
        UserError: one of `sweep_ids` is not the run of a sweep.
    """
    known = sweeps(tracker)
    chosen = [find(tracker, known, run_id) for run_id in sweep_ids]
    names = labels(chosen)
    cells, compared = [], []
    for sweep in chosen:
        found, of_sweep = _read_cells(tracker, names[sweep.run_id], sweep, margin)
        cells += found
        compared.append(of_sweep)
    return Tables(
        rows.frame([rows.sweep_row(names[sweep.run_id], sweep) for sweep in chosen], rows.SWEEPS),
        rows.frame([cell for cell, _ in cells], rows.CELLS),
        detail.joined(compared, PAIRS),
        rows.frame([trial for _, trials in cells for trial in trials], rows.TRIALS),
        detail.curves(tracker, cells, curve_trials),
        **_read_artifacts(tracker, [cell for cell, _ in cells]),
        near_copies=detail.joined(
            (_near_copies(tracker, names[run.run_id], run.run_id) for run in chosen), detail.NEAR_COPIES
        ),
        files=rows.frame([file for cell, _ in cells for file in cell["files"]], FILES),
        margin=margin,
    )


def _read_cells(
    tracker: Tracker, label: str, sweep: RunRecord, margin: float
) -> tuple[list[tuple[Row, list[Row]]], pd.DataFrame]:
    """The sweep's cells, those it shares with an earlier one included: the row of each, and those of its trials.

    And the rows of Tables.pairs.

    By alpha and resolution. Of two runs of one cell the one that was tested counts, or else the newer.
    """
    found = {}
    for run in sorted(tracker.cells_of(sweep.run_id), key=lambda run: ("test_top1" in run.metrics, run.started)):
        trials = rows.trials_of(tracker.children(run.run_id))
        cell = rows.cell_of(run, trials.values())
        if cell is not None:
            row = rows.cell_row(label, cell, dataset(sweep), run, trials)
            row["files"] = files_of(label, cell.name, run.metrics, run.tags.get(PROCESSOR_TAG, ""))
            found[cell] = row, rows.trial_rows(label, cell, row["best_trial"], trials)
    ordered = [found[cell] for cell in sorted(found, key=lambda cell: (cell.alpha, cell.resolution))]
    compared = pairs(tracker, [row for row, _ in ordered if not math.isnan(row["test_top1"])])
    score = "best_val_balanced_top1" if sweep.params.get("aim") == "balanced_top1" else "val_top1"
    judged_rows = judged([row for row, _ in ordered], compared, score, margin)
    return [(row, trials) for row, (_, trials) in zip(judged_rows, ordered, strict=True)], compared


def _read_artifacts(tracker: Tracker, cells: Sequence[Row]) -> dict[str, pd.DataFrame]:
    """per_class, confusion, importance and coverage, of the cells that were tested; a missing file gives no rows."""
    tested = [cell for cell in cells if not math.isnan(cell["test_top1"])]
    wanted = {
        "per_class": (detail.per_class, detail.PER_CLASS),
        "confusion": (detail.confusion, detail.CONFUSION),
        "importance": (detail.importance, detail.IMPORTANCE),
        "coverage": (detail.coverage, detail.COVERAGE),
    }
    return {
        name: detail.joined(
            (
                _parsed(tracker, cell["run_id"], f"{name}.csv", partial(parse, cell["sweep"], cell["cell"]))
                for cell in tested
            ),
            columns,
        )
        for name, (parse, columns) in wanted.items()
    }


def _near_copies(tracker: Tracker, sweep: str, run_id: str) -> pd.DataFrame | None:
    return _parsed(tracker, run_id, "near_copies.csv", partial(detail.near_copies, sweep))


def _parsed(tracker: Tracker, run_id: str, name: str, parse: Callable[[str], pd.DataFrame]) -> pd.DataFrame | None:
    """One artifact of a run; None where there is none. Raises UserError where it cannot be read."""
    text = tracker.read_text(run_id, name)
    if not text:
        return None
    try:
        return parse(text)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"wanted {name} of the run {run_id} as alpharho writes it. Received: {error}. "
            "Try: delete that artifact; the page is then made without it."
        ) from error
