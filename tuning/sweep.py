"""One process's part in a sweep: every cell is searched and tested, by this process or by another that is at it too."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from pipeline import backbones, baselines, cli, datasets, progress, records
from pipeline.config import Cell, SweepConfig, as_params, spell
from pipeline.datasets import Dataset
from pipeline.errors import UserError
from pipeline.tracking import Outage, Tracker
from pipeline.tracking.runs import ERROR_TAG, Status
from tuning import claims
from tuning import study as studies
from tuning.results import CellResult
from tuning.search import CellSearch, is_finished, read_result
from tuning.storage import GRACE_SECONDS, exclusive, shown
from tuning.study import CellStudy

SWEEP_RUN = "mlflow_sweep_run_id"  # user attribute of a study
LOOK_AGAIN_SECONDS = 1.0  # while only other processes have something to do
Studies = dict[Cell, CellStudy]


def sweep(
    config: SweepConfig, storage: RDBStorage, tracker: Tracker, first: int = 0
) -> tuple[list[CellResult], list[str]]:
    """Takes part until every cell is done; returns what came of them, and why others came to nothing.

    Args:
        first: the cell to begin with, so that processes that start together begin with different ones.
    """
    dataset = datasets.load(config)
    cells = open_studies(config, storage, dataset)
    failures: list[str] = []
    if tracker.adopts or not all(is_finished(study, config.trials, tracker) for study in cells.values()):
        tracker.ensure_baselines([row.as_run() for row in baselines.load()])
        run_id = _open_run(config, storage, tracker, dataset, cells)
        sweeper = _Sweeper(config, dataset, cells, tracker, run_id)
        try:
            failures = sweeper.search(first)
        except BaseException as error:
            sweeper.leave(error)
            raise
        tracker.close(run_id)
    finished = {cell: study for cell, study in cells.items() if is_finished(study, config.trials, tracker)}
    return [read_result(cell, study, tracker) for cell, study in finished.items()], failures


def open_studies(config: SweepConfig, storage: RDBStorage, dataset: Dataset) -> Studies:
    """The study of every cell, found or begun."""
    cells = {
        cell: studies.open_study(
            storage,
            studies.study_name(config, cell.name),
            config.train_config(cell),
            pictures=dataset.train.digest,
            weights=backbones.weights_identity(cell, config.weights),
        )
        for cell in config.cells
    }
    for study in cells.values():
        study.keep(studies.TOTAL, config.trials)
    return cells


def earlier_sweep(config: SweepConfig, cells: Studies, tracker: Tracker) -> str:
    """The run of the sweep that searched exactly these cells before, or an empty id."""
    run_id, *others = {study.attributes().get(SWEEP_RUN, "") for study in cells.values()}
    if others or not tracker.has(run_id):
        return ""
    asked = tracker.params(run_id)
    same = all(asked.get(name) == spell(getattr(config, name)) for name in ("alphas", "resolutions"))
    return run_id if same else ""


def _open_run(config: SweepConfig, storage: RDBStorage, tracker: Tracker, dataset: Dataset, cells: Studies) -> str:
    """The sweep's run in MLflow: the first process makes it, others find it in the studies."""
    with exclusive(storage.engine, "sweep"):
        earlier = earlier_sweep(config, cells, tracker)
        run_id = tracker.open(f"sweep {config.dataset}", "sweep", resume=earlier)
        shared = as_params(config) | {"storage": shown(config.storage)}
        tracker.log_metrics(run_id, {"trials": float(shared.pop("trials"))})  # a later call may ask for more
        tracker.log_params(run_id, shared)
        for study in cells.values():
            study.keep(SWEEP_RUN, run_id)
    records.log_dataset(tracker, run_id, config, dataset)
    return run_id


class _Sweeper:
    """The cells that are not done yet, and what this process has of them."""

    def __init__(self, config: SweepConfig, dataset: Dataset, cells: Studies, tracker: Tracker, sweep_run: str) -> None:
        self.config, self.dataset, self.cells, self.tracker, self.sweep_run = config, dataset, cells, tracker, sweep_run
        self.searches: dict[Cell, CellSearch] = {}
        self.failures: list[str] = []
        self._said_waiting = False

    def search(self, first: int) -> list[str]:
        """Works until all cells are done; returns why some came to nothing."""
        cells = list(self.cells)
        remaining = [*cells[first:], *cells[:first]]
        while remaining:
            cell = min(remaining, key=self._business)
            if self._visit(cell):
                remaining.remove(cell)
            elif not any(self._places(other) for other in remaining):
                self._wait(remaining)
                remaining = [*remaining[1:], remaining[0]]
        for search in self._begun():
            search.ledger.settle()  # a process that was thought dead may have written after the others' settling
        return self.failures

    def _business(self, cell: Cell) -> tuple[bool, int]:
        """Cells go first where there is something to do, and of these those at which the fewest others are."""
        trials = self.cells[cell].trials()
        idle = studies.left(trials, self.config.trials) > 0 and not self._places(cell)
        return idle, studies.count(trials)["running"]

    def _visit(self, cell: Cell) -> bool:
        """Does what there is to do for a cell; whether it is done for good."""
        study = self.cells[cell]
        if is_finished(study, self.config.trials, self.tracker):
            run_id = study.attributes()[studies.CELL_RUN]
            self.tracker.move(run_id, self.sweep_run)
            if self.tracker.is_open(run_id):  # by a process that died as it came to a cell that others had finished
                self.tracker.close(run_id)
            return True
        claims.free_stale(study)
        if studies.left(study.trials(), self.config.trials) and not self._places(cell):
            return False
        search = self._search_of(cell)
        search.run_waves()
        if studies.left(study.trials(), self.config.trials):
            return False
        try:
            return search.finish()
        except studies.NoFinishedTrialError as error:
            self.failures.append(str(error))
            return True

    def _search_of(self, cell: Cell) -> CellSearch:
        """Its search; the others' backbones and tables leave the memory."""
        for other, search in self.searches.items():
            if other != cell:
                search.rest()
        if cell not in self.searches:
            study = self.cells[cell]
            self.searches[cell] = CellSearch(self.config, cell, self.dataset, study, self.tracker, self.sweep_run)
        return self.searches[cell]

    def _places(self, cell: Cell) -> int:
        return studies.places(self.cells[cell].trials(), self.config.trials)

    def _wait(self, remaining: Sequence[Cell]) -> None:
        running = sum(studies.count(self.cells[cell].trials())["running"] for cell in remaining)
        if running and not self._said_waiting:
            progress.note(
                f"waiting for {running} trials of other processes; those of a dead one are free after {GRACE_SECONDS} s"
            )
            self._said_waiting = True
        time.sleep(LOOK_AGAIN_SECONDS)

    def _begun(self) -> list[CellSearch]:
        """Those that have written to MLflow."""
        return [search for search in self.searches.values() if search.run_id]

    def leave(self, error: BaseException) -> None:
        """Closes the runs of what was broken off, unless other processes go on with it."""
        status: Status = "KILLED" if isinstance(error, (KeyboardInterrupt, SystemExit)) else "FAILED"
        what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}".rstrip(": ")
        tags = {ERROR_TAG: what.partition("\n")[0][:500]}
        with cli.uninterrupted(), contextlib.suppress(Outage, StorageInternalError), self.tracker.impatient():
            unfinished = [
                search for search in self._begun() if not is_finished(search.study, self.config.trials, self.tracker)
            ]
            for search in unfinished:
                search.ledger.settle()
            if any(studies.count(study.trials())["running"] for study in self.cells.values()):
                return
            for search in unfinished:
                self.tracker.close(search.run_id, status, tags)
            self.tracker.close(self.sweep_run, status, tags)
