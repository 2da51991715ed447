"""One process's part in a sweep: every cell is searched and tested, by this process or by another that is at it too."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Sequence

from optuna.storages import RDBStorage

from pipeline import datasets
from pipeline.config import Cell, SweepConfig, as_params, spell
from pipeline.datasets import Dataset
from pipeline.networks import backbones
from pipeline.scoring.published import load_published
from pipeline.shell import progress, signals
from pipeline.shell.errors import UserError, first_line
from pipeline.tracking import Tracker, records
from pipeline.tracking.runs import ERROR_TAG, Status
from tuning import claims, plan
from tuning import study as studies
from tuning.results import CellResult
from tuning.search import CellSearch, is_finished, read_result
from tuning.storage import GRACE_SECONDS, OUTAGES, LockedElsewhereError, exclusive, impatient, shown
from tuning.study import CellStudy

SWEEP_KEY = "mlflow_sweep_key"  # a user attribute of a study: by what MLflow knows the sweep's run
LOOK_AGAIN_SECONDS = 1.0  # while only other processes have something to do
Studies = dict[Cell, CellStudy]


def sweep(
    config: SweepConfig, storage: RDBStorage, tracker: Tracker, first: int = 0
) -> tuple[list[CellResult], list[str]]:
    """Takes part until every cell is done; returns what came of them, and why others came to nothing.

    Args:
        first: the cell to begin with, so that processes that start together begin with different ones.
    """
    backbones.require_file(config.cells, config.weights)
    dataset = datasets.load(config)
    if dataset.skipped and first == 0:
        progress.note(f"pictures left out: {len(dataset.skipped)}, the first {dataset.skipped[0]}")
    cells = open_studies(config, storage, dataset)
    sweeper = _Sweeper(config, dataset, cells, tracker)
    failures: list[str] = []
    if tracker.adopts or not all(is_finished(study, config.trials, tracker) for study in cells.values()):
        if first == 0:  # the others of this command would say the same
            _tell_plan(config, storage, dataset, cells, tracker)
        tracker.ensure_published([row.as_run() for row in load_published()])
        try:
            failures = sweeper.search(storage, first)
        except BaseException as error:
            sweeper.leave(error)
            raise
    elif run_id := earlier_sweep(config, cells, tracker):
        sweeper.mend(run_id)
    finished = {cell: study for cell, study in cells.items() if is_finished(study, config.trials, tracker)}
    return [read_result(cell, study, tracker) for cell, study in finished.items()], failures


def _tell_plan(config: SweepConfig, storage: RDBStorage, dataset: Dataset, cells: Studies, tracker: Tracker) -> None:
    """One line about what is to come. What cannot be measured is refused when its turn comes."""
    with contextlib.suppress(UserError, LockedElsewhereError), exclusive(storage.engine, "plan", wait=False):
        finished = [cell for cell, study in cells.items() if is_finished(study, config.trials, tracker)]
        if found := plan.make(config, dataset, cells, finished, thorough=False):
            progress.note(found.line(config.workers))


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
    run_id, *others = {study.attributes().get(studies.SWEEP_RUN, "") for study in cells.values()}
    if others or not tracker.has(run_id):
        return ""
    asked = tracker.params(run_id)
    same = all(asked.get(name) == spell(getattr(config, name)) for name in ("alphas", "resolutions"))
    return run_id if same else ""


def _open_run(config: SweepConfig, storage: RDBStorage, tracker: Tracker, dataset: Dataset, cells: Studies) -> str:
    """The sweep's run in MLflow: the first process makes it, others find it by what the studies say."""
    with exclusive(storage.engine, "sweep"):
        earlier = earlier_sweep(config, cells, tracker)
        if not earlier:
            _close_replaced(cells, tracker)
        key = _key(cells, tracker, earlier)
        for study in cells.values():  # first, so that a run whose maker dies now is found again
            study.keep(SWEEP_KEY, key)
        run_id = tracker.open(f"sweep {config.dataset}", "sweep", resume=earlier, key=key)
        for study in cells.values():
            study.keep(studies.SWEEP_RUN, run_id)
        shared = as_params(config) | {"storage": shown(config.storage)}
        del shared["plan"]  # which ends before there is a run
        tracker.log_metrics(run_id, {"trials": float(shared.pop("trials"))})  # a later call may ask for more
        tracker.log_params(run_id, shared)
    records.log_dataset(tracker, run_id, config, dataset)
    return run_id


def _key(cells: Studies, tracker: Tracker, earlier: str) -> str:
    """By which MLflow knows the sweep's run: the studies' own, unless that run was of other cells."""
    kept = {study.attributes().get(SWEEP_KEY, "") for study in cells.values()}
    if len(kept) == 1 and "" not in kept and (earlier or not _has_params(tracker, *kept)):
        return kept.pop()
    return uuid.uuid4().hex


def _has_params(tracker: Tracker, key: str) -> bool:
    """Whether the run with this key got as far as to say which cells it is of."""
    run_id = tracker.with_key(key)
    return bool(run_id) and "alphas" in tracker.params(run_id)


class _Sweeper:
    """The cells that are not done yet, and what this process has of them."""

    def __init__(self, config: SweepConfig, dataset: Dataset, cells: Studies, tracker: Tracker) -> None:
        self.config, self.dataset, self.cells, self.tracker = config, dataset, cells, tracker
        self.sweep_run = ""
        self.searches: dict[Cell, CellSearch] = {}
        self.failures: list[str] = []
        self._said_waiting = False

    def search(self, storage: RDBStorage, first: int) -> list[str]:
        """Works until all cells are done; returns why some came to nothing."""
        self.sweep_run = _open_run(self.config, storage, self.tracker, self.dataset, self.cells)
        cells = list(self.cells)
        remaining = [*cells[first:], *cells[:first]]
        seen: set[Cell] = set()  # since there was nothing to do in any
        while remaining:
            cell = min(remaining, key=lambda cell: (cell in seen, self._running(cell)))
            seen.add(cell)
            if self._visit(cell):
                remaining.remove(cell)
            if remaining and seen.issuperset(remaining):
                self._wait(remaining)
                seen.clear()
        self.tracker.close(self.sweep_run)
        return self.failures

    def mend(self, sweep_run: str) -> None:
        """Completes the runs of a sweep that is done, where a process died near its end."""
        self.sweep_run = sweep_run
        for cell in self.cells:
            self._search_of(cell).mend()
        if self.tracker.is_open(sweep_run):
            self.tracker.close(sweep_run)

    def _running(self, cell: Cell) -> int:
        return studies.count(self.cells[cell].trials())["running"]

    def _visit(self, cell: Cell) -> bool:
        """Does what there is to do for a cell; whether it is done for good."""
        study, total = self.cells[cell], self.config.trials
        if is_finished(study, total, self.tracker):
            self._search_of(cell).mend()
            return True
        claims.free_stale(study)
        if studies.left(study.trials(), total) and not studies.places(study.trials(), total):
            return False
        search = self._search_of(cell)
        search.run_waves()
        if studies.left(study.trials(), total):
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

    def _wait(self, remaining: Sequence[Cell]) -> None:
        running = sum(map(self._running, remaining))
        if running and not self._said_waiting:
            progress.note(
                f"waiting for {running} trials of other processes; those of a dead one are free after {GRACE_SECONDS} s"
            )
            self._said_waiting = True
        time.sleep(LOOK_AGAIN_SECONDS)

    def leave(self, error: BaseException) -> None:
        """Closes the runs of what was broken off, unless other processes have trials in training.

        Tries once, and leaves what cannot be done now to the next start.
        """
        try:
            with signals.uninterrupted(), impatient(), self.tracker.impatient():
                unfinished = [
                    study for study in self.cells.values() if not is_finished(study, self.config.trials, self.tracker)
                ]
                for search in self.searches.values():
                    if search.run_id and search.study in unfinished:
                        search.ledger.settle()
                if not any(map(self._running, self.cells)):
                    self._close([study.attributes().get(studies.CELL_RUN, "") for study in unfinished], error)
        except (UserError, *OUTAGES) as outage:
            progress.note(f"the sweep's runs could not be closed ({first_line(outage)}); the next start does it")

    def _close(self, cell_runs: Sequence[str], error: BaseException) -> None:
        status: Status = "KILLED" if isinstance(error, (KeyboardInterrupt, SystemExit)) else "FAILED"
        what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}".rstrip(": ")
        tags = {ERROR_TAG: what.partition("\n")[0][:500]}
        for run_id in [*cell_runs, self.sweep_run]:
            if self.tracker.has(run_id) and self.tracker.is_open(run_id):
                self.tracker.close(run_id, status, tags)


def _close_replaced(cells: Studies, tracker: Tracker) -> None:
    """An earlier sweep of some of the cells that died, and that nobody will go on with."""
    for run_id in {study.attributes().get(studies.SWEEP_RUN, "") for study in cells.values()}:
        if tracker.has(run_id) and tracker.is_open(run_id):
            tracker.close(run_id, "KILLED")
