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

from rich.console import Console

from pipeline import baselines, cli, datasets, tracking
from pipeline.config import SweepConfig, as_params
from pipeline.tracking import Tracker
from tuning import results
from tuning import study as studies
from tuning.search import search_cell

SWEEP_RUN = "mlflow_sweep_run_id"  # user attribute of a study


def sweep(config: SweepConfig, tracker: Tracker) -> list[results.CellResult]:
    """Searches every cell, one after another; returns what each came to."""
    storage = studies.open_storage(config.storage)
    dataset = datasets.load(config)
    tracker.ensure_baselines([row.as_run() for row in baselines.load()])
    open_studies = {
        cell: studies.open_study(
            storage, studies.study_name(config, cell.name), config.train_config(cell), dataset.train.digest
        )
        for cell in config.cells
    }
    earlier = next((study.user_attrs.get(SWEEP_RUN, "") for study in open_studies.values()), "")
    with tracker.run(f"sweep {config.dataset}", kind="sweep", resume=earlier) as sweep_run:
        shared = as_params(config)
        tracker.log_metrics(sweep_run, {"trials": float(shared.pop("trials"))})  # a later call may ask for more
        tracker.log_params(sweep_run, shared)
        for study in open_studies.values():
            study.set_user_attr(SWEEP_RUN, sweep_run)
        return [search_cell(config, cell, dataset, study, tracker, sweep_run) for cell, study in open_studies.items()]


def main() -> None:
    config = cli.parse(SweepConfig)
    tracker = tracking.connect(config.experiment)
    with studies.explained(config.storage):
        cells = sweep(config, tracker)
    title = f"{config.dataset}, {config.weights} weights, {'head' if config.freeze_conv else 'whole network'} trained"
    Console().print(results.table(title, cells))


if __name__ == "__main__":
    cli.run(main, resume_hint=f"To go on: {shlex.join(['python', *sys.argv])}")
