"""For every cell a search, then its best model is trained and tested.

    python tuning/optimize.py --trials 40

The trials are a total for each cell, so the same command goes on where it was stopped, and does nothing when all is
done. It ends with a table of the cells beside the published numbers.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

if __package__ in (None, ""):  # started by its path, as in the example: make the project importable
    sys.path[0] = str(Path(__file__).parents[1])

import optuna
from rich.console import Console

from pipeline import backbones, baselines, cli, datasets, records, scoring, tracking
from pipeline.config import Cell, SweepConfig, as_params, spell
from pipeline.datasets import Dataset
from pipeline.errors import UserError
from pipeline.tracking import Tracker
from tuning import results
from tuning import study as studies
from tuning.search import is_finished, read_result, search_cell

SWEEP_RUN = "mlflow_sweep_run_id"  # user attribute of a study
Studies = dict[Cell, optuna.Study]


def sweep(config: SweepConfig, tracker: Tracker) -> tuple[list[results.CellResult], list[str]]:
    """Searches every cell, one after another; returns what came of them, and why others came to nothing."""
    dataset = datasets.load(config)
    cells = open_studies(config, dataset)
    earlier = earlier_sweep(config, cells, tracker)
    if earlier and not tracker.adopts and all(is_finished(study, config.trials, tracker) for study in cells.values()):
        return [read_result(cell, study, tracker) for cell, study in cells.items()], []
    tracker.ensure_baselines([row.as_run() for row in baselines.load()])
    found, failures = [], []
    with tracker.run(f"sweep {config.dataset}", kind="sweep", resume=earlier) as sweep_run:
        shared = as_params(config)
        tracker.log_metrics(sweep_run, {"trials": float(shared.pop("trials"))})  # a later call may ask for more
        tracker.log_params(sweep_run, shared)
        records.log_dataset(tracker, sweep_run, config, dataset)
        for cell, study in cells.items():
            study.set_user_attr(SWEEP_RUN, sweep_run)
            try:
                found.append(search_cell(config, cell, dataset, study, tracker, sweep_run))
            except studies.NoFinishedTrialError as error:
                failures.append(str(error))
    return found, failures


def open_studies(config: SweepConfig, dataset: Dataset) -> Studies:
    """The study of every cell, found or begun."""
    storage = studies.open_storage(config.storage)
    return {
        cell: studies.open_study(
            storage,
            studies.study_name(config, cell.name),
            config.train_config(cell),
            pictures=dataset.train.digest,
            weights=backbones.weights_identity(cell, config.weights),
        )
        for cell in config.cells
    }


def earlier_sweep(config: SweepConfig, cells: Studies, tracker: Tracker) -> str:
    """The run of the sweep that searched exactly these cells before, or an empty id."""
    run_id, *others = {study.user_attrs.get(SWEEP_RUN, "") for study in cells.values()}
    if others or not tracker.has(run_id):
        return ""
    asked = tracker.params(run_id)
    same = all(asked.get(name) == spell(getattr(config, name)) for name in ("alphas", "resolutions"))
    return run_id if same else ""


def main() -> None:
    """A sweep by the flags; ends with its table, and with exit code 2 where a cell came to nothing."""
    config = cli.parse(SweepConfig)
    tracker = tracking.connect(config.experiment)
    with studies.explained(config.storage):
        cells, failures = sweep(config, tracker)
    trained = "head" if config.freeze_conv else "whole network"
    title = f"{config.dataset}, weights {Path(config.weights).name}, {trained} trained"
    Console().print(results.table(title, cells))
    if caveat := scoring.caveat(config.dataset, config.weights):
        print(caveat)
    if failures:
        raise UserError("; ".join(failures))


if __name__ == "__main__":
    cli.run(main, resume_hint=f"To go on: {shlex.join(['python', *sys.argv])}")
