"""From runs to the rows of the frames: what a run does not say is NaN, 0 trials, or an empty string."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import pandas as pd

from pipeline.config import BackboneName, Cell
from pipeline.scoring.published import Source, find_published, imagenet_note
from pipeline.tracking import RunRecord
from pipeline.tracking.runs import AUDIT_TAG, ERROR_TAG, STATE_TAG
from reports.tables.choice import dataset

Row = dict[str, Any]

TEXT, WHOLE, NUMBER = "str", "int64", "float64"
TIME = "datetime64[us, UTC]"
COSTS = ("params_total", "params_trainable", "mult_adds")
DRAWN = ("learning_rate", "beta_1", "beta_2")
SCORES = (
    *("test_top1", "test_top1_low", "test_top1_high", "test_top5", "untrained_top1", "test_pictures"),
    *("pictures_per_second", "seconds", "best_trial", "best_epoch"),
)
BESIDE = (  # told where there is a reason to
    *("best_val_balanced_top1", "test_top1_unshared", "test_balanced_top1"),
    *("reject_below", "test_answered", "test_top1_answered"),
    *("repeats", "refit_top1_std", "cut_top1_std"),
)
COUNTS = {"trials_complete": "COMPLETE", "trials_pruned": "PRUNED", "trials_failed": "FAIL"}

SWEEPS = {
    **dict.fromkeys(("sweep", "run_id", "name", "status", "dataset"), TEXT),
    **{
        "started": TIME,
        "seconds": NUMBER,
        "device": TEXT,
        "versions": TEXT,
        "caveat": TEXT,
        "audit": TEXT,
        "settings": "object",
    },
    **{"digest": TEXT, "pictures_train_and_val": NUMBER, "pictures_val": NUMBER, "classes": NUMBER, "folds": NUMBER},
}
CELLS = {
    **{"sweep": TEXT, "cell": TEXT, "backbone": TEXT, "alpha": NUMBER, "resolution": WHOLE},
    **dict.fromkeys(("run_id", "study", "status", "error"), TEXT),
    **dict.fromkeys((*COSTS, "val_top1", *SCORES[:8], *BESIDE), NUMBER),
    **dict.fromkeys(COUNTS, WHOLE),
    **dict.fromkeys(("is_best", "is_enough"), "bool"),
    **dict.fromkeys(("gain", "gain_low", "gain_high"), NUMBER),
    **dict.fromkeys(
        (*SCORES[8:], *DRAWN, "paper_top1", "replication_top1", "delta_paper", "delta_replication"), NUMBER
    ),
}
TRIALS = {
    **{"sweep": TEXT, "cell": TEXT, "number": WHOLE, "run_id": TEXT, "state": TEXT},
    **dict.fromkeys(("val_top1", *DRAWN, "best_epoch", "seconds"), NUMBER),
    **{"error": TEXT, "started": TIME, "is_best": "bool"},
}

_NUMBER = re.compile(r"@[0-9a-f]{8}#(\d+)$")  # at the end of a trial's key, "<study>@<8 hex>#<index>"


def frame(rows: Sequence[Row], columns: Mapping[str, str]) -> pd.DataFrame:
    """The rows, with columns of these names and dtypes even where there are no rows."""
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def sweep_row(label: str, run: RunRecord) -> Row:
    """One row of Tables.sweeps; `label` is what the other frames call the sweep."""
    data = next((data for data in run.data if "classes" in data.profile), None)
    counts = data.profile if data else {}
    return {
        **{"sweep": label, "run_id": run.run_id, "name": run.name, "status": run.status, "dataset": dataset(run)},
        **{"started": run.started, "seconds": run.seconds, "settings": dict(run.params)},
        **{name: run.tags.get(name, "") for name in ("device", "versions")},
        "caveat": imagenet_note(dataset(run), run.params.get("weights", "imagenet")),
        "audit": run.tags.get(AUDIT_TAG, ""),
        "digest": data.digest if data else "",
        **{name: counts.get(name, math.nan) for name in ("pictures_train_and_val", "pictures_val", "classes", "folds")},
    }


def trials_of(runs: Iterable[RunRecord]) -> dict[int, RunRecord]:
    """Number -> run, ascending. Where a killed trial is done again, the new run counts.

    Runs below a cell that are not trials of ours are left out.
    """
    found: dict[int, RunRecord] = {}
    for run in sorted(runs, key=lambda run: (_state(run) == "KILLED", run.run_id)):
        if match := _NUMBER.search(run.key):
            found.setdefault(int(match[1]), run)
    return dict(sorted(found.items()))


def trial_rows(label: str, cell: Cell, best: float, trials: Mapping[int, RunRecord]) -> list[Row]:
    """One for each of `trials`.

    Args:
        best: the number of the cell's winner; where it is NaN, the highest val_top1 so far is used.
    """
    found = [_trial_row(label, cell, number, run) for number, run in trials.items()]
    done = [row for row in found if row["state"] == "COMPLETE" and not math.isnan(row["val_top1"])]
    if math.isnan(best) and done:
        best = max(done, key=lambda row: row["val_top1"])["number"]
    return [{**row, "is_best": row["number"] == best} for row in found]


def _trial_row(label: str, cell: Cell, number: int, run: RunRecord) -> Row:
    """The learning rate is the one drawn; the metric of that name ends where the schedule ended."""
    return {
        **{"sweep": label, "cell": cell.name, "number": number, "run_id": run.run_id, "state": _state(run)},
        **{name: _float(run.params.get(name)) for name in DRAWN},
        "val_top1": run.metrics.get("best_val_top1", math.nan),
        "best_epoch": run.metrics.get("best_epoch", math.nan),
        "seconds": run.metrics.get("seconds", math.nan),
        "error": run.tags.get(ERROR_TAG, ""),
        "started": run.started,
    }


def cell_of(run: RunRecord, trials: Iterable[RunRecord]) -> Cell | None:
    """Which cell a run is of: by its params, by its trials', or by its name while it has neither.

    None for a run below a sweep that is no cell of ours.
    """
    for params in (run.params, *(trial.params for trial in trials)):
        if "alpha" in params and "resolution" in params:
            backbone = cast(BackboneName, params.get("backbone", "mobilenet"))
            return Cell(float(params["alpha"]), int(params["resolution"]), backbone)
    return Cell.named_in(run.name)


def cell_row(label: str, cell: Cell, data: str, run: RunRecord, trials: Mapping[int, RunRecord]) -> Row:
    """`data` is the name of the data set."""
    states = Counter(map(_state, trials.values()))
    metrics = {**_costs(trials.values()), **run.metrics}
    top1 = metrics.get("test_top1", math.nan)
    published = {source: _published(cell, data, source) for source in ("paper", "replication")}
    return {
        **{"sweep": label, "cell": cell.name, "backbone": cell.backbone},
        **{"alpha": cell.alpha, "resolution": cell.resolution},
        **{"run_id": run.run_id, "study": run.name, "status": run.status, "error": run.tags.get(ERROR_TAG, "")},
        **{name: metrics.get(name, math.nan) for name in (*COSTS, *SCORES, *BESIDE, *DRAWN)},
        "val_top1": metrics.get("best_val_top1", math.nan),
        **{name: states[state] for name, state in COUNTS.items()},
        **{f"{source}_top1": value for source, value in published.items()},
        **{f"delta_{source}": top1 - value for source, value in published.items()},
    }


def _state(run: RunRecord) -> str:
    """Optuna's, once the run is closed; RUNNING while it is trained or written, KILLED if it was killed meanwhile."""
    return run.status if run.status == "RUNNING" else run.tags.get(STATE_TAG, run.status)


def _costs(trials: Iterable[RunRecord]) -> dict[str, float]:
    """Of the first trial that knows them."""
    known = ({name: run.metrics[name] for name in COSTS if name in run.metrics} for run in trials)
    return next((costs for costs in known if costs), {})


def _published(cell: Cell, data: str, source: Source) -> float:
    row = find_published(cell, data, source)
    return math.nan if row is None else row.top1


def _float(value: str | float | None) -> float:
    return math.nan if value is None else float(value)
