"""What became of the trials of every study.

python -m tuning.status                    # of optuna.db
python -m tuning.status --storage URL
"""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from rich.table import Table

from pipeline.config import StatusConfig
from pipeline.shell import cli, progress
from tuning import stopping, studies
from tuning.storage import explained, open_existing


def status_table(storage: RDBStorage) -> Table:
    """A row for each study: trials, what is left of those asked for last, what a person enqueued, the best value.

    Enqueued trials that were refused count as failed.
    """
    shown = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    shown.add_column("study", overflow="fold")
    for column in ("done", "pruned", "failed", "enqueued", "left", "val %"):
        shown.add_column(column, justify="right", no_wrap=True)
    for name in sorted(optuna.get_all_study_names(storage)):
        study = optuna.load_study(study_name=name, storage=storage)
        everything = study.get_trials(deepcopy=False)
        trials = list(filter(studies.is_own, everything))
        waiting = sum(trial.state == TrialState.WAITING for trial in everything)
        total = study.user_attrs.get(studies.TOTAL)
        counts = stopping.count(trials)
        counts["failed"] += sum(trial.state == TrialState.FAIL and not studies.is_own(trial) for trial in everything)
        values = [trial.value for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
        shown.add_row(
            name,
            *map(str, counts.values()),
            str(waiting),
            "-" if total is None else str(stopping.left(trials, total)),
            f"{100 * max(values):.1f}" if values else "-",
        )
    return shown


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the status of every study."""
    config = cli.parse(StatusConfig, argv)
    with explained(config.storage):
        progress.show(status_table(open_existing(config.storage)))


if __name__ == "__main__":
    cli.run(main)
