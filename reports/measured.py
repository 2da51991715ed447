"""The numbers of a cell's test, out of its run in MLflow, as results.csv has them."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.config import SweepConfig, as_params
from pipeline.shell.errors import require
from pipeline.tracking.runs import COMMIT_TAG, KIND_TAG, TRIALS_TAG
from reports.numbers import Number

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

WHERE = frozenset({"data_dir", "work_dir", "experiment", "storage"})  # settings that change no number


class Measure(NamedTuple):
    """What a column shows of a metric: `scale` times its value, with so many digits."""

    metric: str
    scale: float
    digits: int
    unit: str
    text: str = ""


TEST = Measure("test_top1", 100, 1, "%")
COLUMNS = {
    "untrained": Measure("untrained_top1", 100, 1, "%"),
    "parameters": Measure("params_total", 1e-6, 2, "M", "{value} {unit}"),
    "val": Measure("best_val_top1", 100, 1, "%"),
    "test": TEST,
    "test top-1": TEST,
    "top-5": Measure("test_top5", 100, 1, "%"),
    "seconds": Measure("seconds", 1, 0, "s"),
}


def of_cell(tracker: Tracker, run_id: str, table: str, row: str, columns: set[str]) -> list[Number]:
    """What the run of a tested cell says, as the row `row` of `table`, of those of `columns` that it knows.

    Args:
        run_id: or its beginning.

    Raises UserError where there is no such run.
    """
    cells = tracker.search(f"tags.`{KIND_TAG}` = 'cell'")
    found = [run for run in cells if run.run_id.startswith(run_id) and TEST.metric in run.metrics]
    require(len(found) == 1, "the run id of one tested cell", run_id, "copy it from `mlflow ui`")
    run = found[0]
    about = {
        **{"table": table, "row": row, "cell": run.params["cell"], "dataset": run.params["dataset"]},
        **{"command": _command(tracker, run.parent), "seed": run.params["seed"]},
        "digest": next((data.digest for data in run.data), ""),
        "commit": tracker.tags(run.parent).get(COMMIT_TAG, "")[:7],
        **{"machine": run.tags.get("device", ""), "date": f"{run.started:%Y-%m-%d}"},
    }

    def shown(measure: Measure, end: str = "") -> str:
        value = run.metrics.get(measure.metric + end)
        return "" if value is None else f"{measure.scale * value:.{measure.digits}f}"

    return [
        Number(
            **{**about, "column": column, "unit": measure.unit, "text": measure.text},
            **{"value": shown(measure), "low": shown(measure, "_low"), "high": shown(measure, "_high")},
        )
        for column, measure in COLUMNS.items()
        if column in columns and measure.metric in run.metrics
    ]


def _command(tracker: Tracker, sweep: str) -> str:
    """What a person types to have this sweep again: flags that are not as usual; of a weights file its name alone."""
    usual = as_params(SweepConfig())
    trials = tracker.tags(sweep).get(TRIALS_TAG) or f"{tracker.metrics(sweep)['trials']:.0f}"
    asked = {**tracker.params(sweep), "trials": trials}
    flags = [
        (f"--{field.name}", Path(asked[field.name]).name if field.name == "weights" else asked[field.name])
        for field in dataclasses.fields(SweepConfig)
        if field.name not in WHERE and asked.get(field.name, usual[field.name]) != usual[field.name]
    ]
    return shlex.join(["python", "tuning/optimize.py", *(word for flag in flags for word in flag)])
