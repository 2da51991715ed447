"""A sweep: every cell is searched, and its best model tested, one cell after another."""

from __future__ import annotations

import hashlib
import shutil
from collections import deque
from collections.abc import Collection
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.storages import RDBStorage

from pipeline import datasets
from pipeline.config import OF_EXECUTOR, Cell, SweepConfig, as_params
from pipeline.datasets import Dataset, audit, contact_sheet
from pipeline.features import kept
from pipeline.networks import backbones, sizes
from pipeline.scoring.published import load_published
from pipeline.shell import progress
from pipeline.shell.errors import UserError, require
from pipeline.tracking import records
from pipeline.tracking.runs import AUDIT_TAG, DATABASE_TAG, ERROR_TAG, TRIALS_TAG
from tuning import enqueued, search_space, stopping, studies
from tuning.driver import Driver, Steps
from tuning.executors import TaskExecutor
from tuning.publish import DIED, is_finished, run_of
from tuning.search import CellSearch, validated
from tuning.storage import DriverLock, LockLostError
from tuning.studies import CellFailedError, CellStudy
from tuning.summary import CellResult

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

Studies = dict[Cell, CellStudy]

_BYTES = 4  # of a float32
_HASH_BYTES = 32  # of a picture, kept beside its features


def sweep(
    config: SweepConfig, storage: RDBStorage, lock: DriverLock, tracker: Tracker, executor: TaskExecutor
) -> tuple[str, list[CellResult], list[str]]:
    """Works until every cell is done.

    Returns the sweep's run in MLflow, what came of the cells, and why others came to nothing.

    Raises UserError before the first trial where something is not as it must be.
    """
    backbones.require_file(config.cells, config.weights)
    dataset = datasets.load(config)
    if dataset.skipped:
        progress.note(f"pictures left out: {len(dataset.skipped)}, the first {dataset.skipped[0]}")
    audit.require_whole(dataset, config.work_dir)
    found = audit.look(dataset)
    for line in found.lines():
        progress.note(f"caution: {line}")
    _require_disk(config, dataset)
    tracker.check_artifacts()
    cells = open_studies(config, storage, dataset)
    totals = {cell: study.total(config) for cell, study in cells.items()}
    done = sum(min(stopping.done(study.trials), totals[cell]) for cell, study in cells.items())
    progress.note(f"{done} of {'at most ' if config.trials == 'auto' else ''}{sum(totals.values())} trials done")
    tracker.ensure_published([row.as_run() for row in load_published()])
    try:
        sweep_run = _open_run(config, tracker, dataset, cells)
        tracker.set_tags(sweep_run, {AUDIT_TAG: "\n".join(found.lines()), TRIALS_TAG: config.trials})
        if len(pairs := contact_sheet.near_copies(dataset)):
            tracker.log_table(sweep_run, pairs, "near_copies.csv")
        failures = _search(Driver(config, dataset, tracker, executor, lock, sweep_run), cells)
    except LockLostError:
        raise
    except BaseException as error:
        # What cannot be closed now the next start closes.
        tracker.abort(lambda: [run.run_id for run in tracker.running(_database(cells))], error)
        raise
    finished = {cell: study for cell, study in cells.items() if is_finished(study, config, tracker)}
    results = [CellResult(cell, tracker.metrics(run_of(study, tracker))) for cell, study in finished.items()]
    return sweep_run, results, failures


def open_studies(config: SweepConfig, storage: RDBStorage, dataset: Dataset) -> Studies:
    """The study of every cell, found or begun. Raises UserError where one cannot be used."""
    database, cells = studies.database_of(storage), {}
    for cell in config.cells:
        name, settings = studies.named(config, cell, dataset)
        cells[cell] = study = studies.open_study(storage, name, settings, database)
        enqueued.admit(study, search_space.distributions(config.finetunes))
        study.keep(studies.JUDGES, len(validated(config, dataset)))
        study.keep(studies.TOTAL, study.total(config))
        waiting, _refused = enqueued.look(study, search_space.distributions(config.finetunes))
        if waiting and not study.left(config):
            progress.note(f"{study.name}: {len(waiting)} enqueued trials wait for a larger --trials")
    return cells


def _search(driver: Driver, cells: Studies) -> list[str]:
    """Every cell; returns why some came to nothing."""
    config, tracker = driver.config, driver.tracker
    todo: deque[CellSearch] = deque()
    for cell, study in cells.items():
        search = CellSearch(driver, cell, study)
        if is_finished(study, config, tracker):
            search.mend()
        else:
            todo.append(search)
    failures = _side_by_side(todo, driver.executor)
    _link(driver, cells)
    if failures:
        tracker.close(driver.sweep_run, "FAILED", {ERROR_TAG: failures[0]})
    elif tracker.status(driver.sweep_run) != "FINISHED":
        tracker.close(driver.sweep_run)
    return failures


def _side_by_side(todo: deque[CellSearch], executor: TaskExecutor) -> list[str]:
    """As many searches at once as tasks run, each going on when one of its own has ended; see `_search`."""
    failures: list[str] = []
    going: dict[Steps[None], Collection[Future[Any]]] = {}  # what each waits for
    try:
        while todo or going:
            while todo and len(going) < executor.at_once:
                going[todo.popleft().steps()] = ()
            executor.wait([future for futures in going.values() for future in futures] if all(going.values()) else ())
            for steps, futures in list(going.items()):
                if futures and not any(future.done() for future in futures):
                    continue
                try:
                    going[steps] = next(steps)
                except StopIteration:
                    del going[steps]
                except CellFailedError as error:
                    del going[steps]
                    failures.append(str(error))
    finally:
        for steps in going:  # of a sweep that is broken off: bars end
            steps.close()
    return failures


def _link(driver: Driver, cells: Studies) -> None:
    """Shows under this sweep the cells that an earlier one began: their runs stay where they are."""
    own = {run.run_id for run in driver.tracker.children(driver.sweep_run)}
    found = (run_of(study, driver.tracker) for study in cells.values())
    elsewhere = [run_id for run_id in found if run_id and run_id not in own]
    if elsewhere:
        driver.tracker.link(driver.sweep_run, elsewhere)


def _open_run(config: SweepConfig, tracker: Tracker, dataset: Dataset, cells: Studies) -> str:
    """The sweep's run in MLflow, the same for the same cells; what a dead driver left open is closed."""
    identities = sorted(study.identity for study in cells.values())
    key = f"sweep {hashlib.sha256(' '.join(identities).encode()).hexdigest()[:16]}"
    there = "" if tracker.adopts else tracker.with_key(key)
    finished = all(is_finished(study, config, tracker) for study in cells.values())
    if there and finished and tracker.status(there) == "FINISHED":
        run_id = there
    else:
        tags = {DATABASE_TAG: _database(cells)}
        run_id = tracker.open(f"sweep {config.dataset}", "sweep", tags=tags, resume=there, key=key)
        shared = as_params(config)
        # The first ends before there is a run, the others are of what comes after the search.
        del shared["plan"], shared["margin"], shared["export"]
        for flag in OF_EXECUTOR:  # may be others when the sweep goes on
            del shared[flag]
        # A later call may ask for more.
        more = {"trials": float(config.most_trials), "repeats": float(config.repeats)}
        del shared["trials"], shared["repeats"]
        tracker.log_metrics(run_id, more)
        tracker.log_params(run_id, shared)
        records.log_dataset(tracker, run_id, config, dataset, studies.fold_count(config, dataset))
    for run in tracker.running(_database(cells)):
        if run.run_id != run_id:
            tracker.close(run.run_id, "KILLED", {ERROR_TAG: DIED})
    return run_id


def _is_test(one: kept.Kept, dataset: Dataset) -> bool:
    """By name: the test pictures' digest is not known before they are read."""
    return one.about.get("split") == "test" and one.about.get("data") == dataset.source


def _database(cells: Studies) -> str:
    return next(iter(cells.values())).database


def _require_disk(config: SweepConfig, dataset: Dataset) -> None:
    """Raises UserError where the feature tables that are still to be made would not find room."""
    if config.weights == "none":
        return
    rows = (len(dataset.train) + (dataset.num_test or 0)) * (2 if config.views == "flip" else 1)
    wanted = {cell.name: rows * (sizes.of(cell).features * _BYTES + _HASH_BYTES) for cell in config.cells}
    for one in kept.tables(config.work_dir):
        of_ours = one.about.get("pictures") == dataset.train.digest
        if (of_ours or _is_test(one, dataset)) and one.about.get("cell") in wanted:
            wanted[one.about["cell"]] -= one.bytes
    missing, folder = sum(max(0, size) for size in wanted.values()), Path(config.work_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"wanted a folder for feature tables at {folder.absolute()}. Received: {error.strerror}. "
            "Try: --work_dir FOLDER that can be written"
        ) from error
    free = shutil.disk_usage(folder).free
    require(
        free >= missing,
        f"{missing / 1e6:,.1f} MB of free disk for feature tables in {folder.absolute()}",
        f"{free / 1e6:,.1f} MB",
        "--work_dir FOLDER on another disk, or `python -m tuning.prune` to remove old tables",
    )
