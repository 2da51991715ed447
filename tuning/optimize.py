"""For every cell a search, then its best model is trained and tested.

    python tuning/optimize.py --trials 40

The trials are a total for each cell, so the same command goes on where it was stopped, and does nothing when all is
done. It ends with files of the best cell for a device, with a table of the cells beside the published numbers, and
with the page report.html.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):  # started by its path, as in the example: make the project importable
    sys.path[0] = str(Path(__file__).parents[1])

from pipeline.config import ReportConfig, SweepConfig
from pipeline.shell import cli, progress
from pipeline.shell.errors import UserError, first_line
from pipeline.shell.patience import masked
from tuning.executors import InlineExecutor, TaskExecutor
from tuning.storage import driver_lock, explained, open_storage

if TYPE_CHECKING:
    from pipeline.tracking import Tracker


def main(argv: Sequence[str] | None = None) -> None:
    """A sweep by the flags; ends with its table, and with exit code 2 where a cell came to nothing."""
    config = cli.parse(SweepConfig, argv)
    if config.plan:
        _show_plan(config)
        return
    with driver_lock(config.storage) as lock, explained(config.storage):
        storage = open_storage(config.storage)
        trials = f"up to {config.most_trials}" if config.trials == "auto" else config.trials
        several = "s" if len(config.cells) > 1 else ""
        progress.note(f"{len(config.cells)} cell{several} x {trials} trials of {config.dataset}, in {config.storage}")
        # These import mlflow and tensorflow, which takes many seconds: what is wrong with the flags was said before.
        from pipeline import tracking
        from pipeline.networks import devices

        devices.set_up()
        from tuning.handover import hand_over
        from tuning.summary import show
        from tuning.sweep import sweep

        tracker = tracking.connect(config.experiment)
        with _executor(config) as executor:
            run_id, cells, failures = sweep(config, storage, lock, tracker, executor)
        show(config, cells)
        line = hand_over(config, tracker, run_id)
        _report(tracker, run_id, config.margin)
        if line:
            print(line)
    if failures:
        raise UserError("; ".join(failures))


def _executor(config: SweepConfig) -> TaskExecutor:
    """Raises UserError where Ray's cluster will not do."""
    if config.executor == "inline":
        return InlineExecutor()
    from tuning.cluster import RayExecutor

    return RayExecutor(config)


def _show_plan(config: SweepConfig) -> None:
    from pipeline.networks import devices

    devices.set_up()
    from tuning.estimate import plan

    with explained(config.storage):
        plan.show(config)


def _report(tracker: Tracker, run_id: str, margin: float) -> None:
    """Makes the page, and prints what it says first; the sweep is done, and well, where it cannot be made."""
    from reports.build import build

    try:
        page, answers = build(tracker, [run_id], Path(ReportConfig.output), margin)
    except (UserError, OSError) as error:
        progress.note(f"no report was made: {first_line(error)}")
    else:
        print("\n".join([*answers, f"The report: {page}"]))


def resume_hint(words: Sequence[str]) -> str:
    """What a person is told who broke a sweep off; `words` are of the command, of which no password is repeated."""
    return f"To go on: {shlex.join(['python', *map(masked, words)])}"


if __name__ == "__main__":
    cli.run(main, resume_hint(sys.argv))
