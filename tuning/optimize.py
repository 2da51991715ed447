"""For every cell a search, then its best model is trained and tested.

    python tuning/optimize.py --trials 40

The trials are a total for each cell, so the same command goes on where it was stopped, and does nothing when all is
done; on a further machine, with the same --storage, it joins in. It ends with a table of the cells beside the published
numbers, and with the page report.html.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

if __package__ in (None, ""):  # started by its path, as in the example: make the project importable
    sys.path[0] = str(Path(__file__).parents[1])

from optuna.storages import RDBStorage

from pipeline.config import ReportConfig, SweepConfig
from pipeline.scoring.published import imagenet_note
from pipeline.shell import cli, progress
from pipeline.shell.errors import UserError, first_line
from tuning import results
from tuning import study as studies
from tuning.results import CellResult
from tuning.storage import explained, open_storage, patiently, shown
from tuning.study import CellStudy
from tuning.workers import Crew


def main() -> None:
    """A sweep by the flags; ends with its table, and with exit code 2 where a cell came to nothing."""
    config = cli.parse(SweepConfig)
    if config.plan:
        from tuning import plan  # imports tensorflow, as below

        with explained(config.storage):
            plan.show(config)
        return
    crew = Crew(config, work) if config.workers > 1 else None
    with explained(config.storage):
        storage = open_storage(config.storage)
        done, total = _done(config, storage), config.trials * len(config.cells)
        with_workers = f", {config.workers} workers" if crew else ""
        progress.note(f"{len(config.cells)} cells x {config.trials} trials: {done} of {total} done{with_workers}")
        if crew:
            cells, failures = _with_workers(crew, config, storage)
        else:
            cells, failures = take_part(config, int(os.environ.get("JOB_COMPLETION_INDEX", 0)))  # Kubernetes' own
    _show(config, cells)
    with explained(config.storage):
        _report(config, storage)
    if failures:
        raise UserError("; ".join(failures))


def take_part(config: SweepConfig, first: int) -> tuple[list[CellResult], list[str]]:
    """One process's part in the sweep, which begins with the cell at the place `first`."""
    # These import mlflow and tensorflow, which takes many seconds: what is wrong with the flags was said before.
    from pipeline import tracking
    from tuning.sweep import sweep

    storage = open_storage(config.storage)
    return sweep(config, storage, tracking.connect(config.experiment), first % len(config.cells))


def work(config: SweepConfig, first: int) -> None:
    """What a worker does."""
    with explained(config.storage):
        _cells, failures = take_part(config, first)
    if failures:
        raise UserError("; ".join(failures))


def _show(config: SweepConfig, cells: list[CellResult]) -> None:
    trained = "head" if config.freeze_conv else "whole network"
    if config.unfreeze != "all":
        trained = f"last {config.unfreeze} blocks and head"
    title = f"{config.dataset}, weights {Path(config.weights).name}, {trained} trained"
    title += "" if config.protocol == "paper" else f", protocol {config.protocol}"
    title += "" if config.views == "none" else f", views {config.views}"
    progress.show(results.table(title, cells))
    if caveat := imagenet_note(config.dataset, config.weights):
        print(caveat)


def _report(config: SweepConfig, storage: RDBStorage) -> None:
    """Makes the page; the sweep is done, and well, where it cannot be made."""
    from pipeline import tracking
    from reports.build import build

    found = [_found(storage, name) for name in _names(config)]
    runs = dict.fromkeys(study.attributes().get(studies.SWEEP_RUN, "") for study in found if study)
    try:
        page = build(tracking.connect(config.experiment), list(runs), Path(ReportConfig.output))
    except (UserError, OSError) as error:
        progress.note(f"no report was made: {first_line(error)}")
    else:
        print(f"The report: {page}")


def _done(config: SweepConfig, storage: RDBStorage) -> int:
    """Trials of all cells that are complete or pruned, by anybody."""
    return patiently(lambda: studies.count_done(storage, _names(config), config.trials))


def _names(config: SweepConfig) -> list[str]:
    return [studies.study_name(config, cell.name) for cell in config.cells]


def _with_workers(crew: Crew, config: SweepConfig, storage: RDBStorage) -> tuple[list[CellResult], list[str]]:
    """Lets worker processes do all of it, under one bar; what came of it is read from the databases."""
    from pipeline import tracking

    tracker = tracking.connect(config.experiment)  # so that the store and the experiment are there before any worker
    total, shown = config.trials * len(config.cells), 0
    with progress.bar("trials", total=total, unit="trials") as advance:

        def watch() -> None:
            nonlocal shown
            done = _done(config, storage)
            advance(done - shown)
            shown = done

        crew.run(watch)
    found = []
    for cell, name in zip(config.cells, _names(config), strict=True):
        study = _found(storage, name)
        if study and study.is_tested(config.trials) and tracker.has(run_id := study.attributes()[studies.CELL_RUN]):
            found.append(CellResult(cell, tracker.metrics(run_id)))
    # A worker that ends well has seen every cell done, by these settings: then another's refusal, such as of a server
    # that was away as it began, is no failure.
    return found, [] if crew.succeeded else crew.errors


def _found(storage: RDBStorage, name: str) -> CellStudy | None:
    try:
        return studies.find_study(storage, name, {})
    except KeyError:
        return None


if __name__ == "__main__":
    typed = [shown(word) if "//" in word else word for word in sys.argv]  # without a password
    cli.run(main, resume_hint=f"To go on: {shlex.join(['python', *typed])}")
