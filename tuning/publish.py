"""From Optuna to MLflow: one run for each trial that ended, written whenever MLflow answers.

The study holds all that a run says, curves included, so the runs that MLflow lacks may be written at any later time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, TrialState

from pipeline.config import SweepConfig, TrainConfig, as_params
from pipeline.shell.errors import UserError
from pipeline.tracking import Outage, TrialRun, records
from pipeline.tracking.runs import DATABASE_TAG, ERROR_TAG, REPEATS, STATE_TAG, Status
from tuning import search_space, stopping, studies
from tuning.studies import FIT, INDEX, CellStudy, failure
from tuning.tasks import Epoch, kept_curves

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

DIED = "its driver died"  # the tag alpharho.error of a run that a dead driver left open
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 60.0  # s, between attempts to deliver while the search goes on
_STATUS: dict[TrialState, Status] = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAIL: "FAILED",
}


class Publisher:
    """Writes the runs of one cell.

    Args:
        open_run: finds the cell's run in MLflow, or makes it; returns its id. Called when there is something to write.
        costs: metrics that all trials share.
    """

    def __init__(
        self,
        study: CellStudy,
        tracker: Tracker,
        base: TrainConfig,
        costs: Mapping[str, float],
        open_run: Callable[[], str],
    ) -> None:
        self.run_id = ""  # of the cell's run, once it is open
        self._study, self._tracker, self._base, self._costs = study, tracker, base, costs
        self._open_run = open_run
        self._whole: set[str] = set()  # keys of runs that say all
        self._broken: list[str] = []  # ids of others: half-written, or there twice
        self._live: dict[str, str] = {}  # key -> id of what shows a trial in training
        self._wait, self._not_before = _FIRST_WAIT, 0.0

    def deliver(self) -> None:
        """Writes what MLflow lacks; puts it off where MLflow does not answer."""
        if time.monotonic() < self._not_before:
            return
        try:
            with self._tracker.impatient():
                self.settle()
        except Outage:
            self.run_id = ""  # what was written is looked for anew: an answer may have been lost
            self._not_before = time.monotonic() + self._wait
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
        else:
            self._wait = _FIRST_WAIT

    def settle(self) -> None:
        """Writes what MLflow lacks; waits for it."""
        self._open()
        for trial in self._study.trials:
            if (key := self.key(trial.user_attrs[INDEX])) not in self._whole:
                shown = self._live.get(key, "")
                into = shown if self._tracker.has(shown) else ""  # a person may have deleted it
                self._tracker.publish(self._trial_run(trial), self.run_id, into)
                self._whole.add(key)

    def lacks(self, run_id: str) -> bool:
        """Whether not each trial has one whole run below the cell's run `run_id`."""
        self._look(run_id)
        whole = all(self.key(trial.user_attrs[INDEX]) in self._whole for trial in self._study.trials)
        return bool(self._broken) or not whole

    def live(self, index: int, config: TrainConfig) -> Callable[[Epoch], None]:
        """Opens the run of a trial that begins; what is returned writes an epoch to it.

        Where MLflow does not answer nothing is shown before the trial has ended.
        """
        key, answers = self.key(index), True

        def tell(epoch: Epoch) -> None:
            """Writes it, unless MLflow was away once or a person deleted the run."""
            nonlocal answers
            if not answers:
                return
            scores = {name: float(values[0]) for name, values in kept_curves(epoch.scores, self._base.aim).items()}
            try:
                with self._tracker.impatient():
                    self._tracker.log_epoch(self._live[key], epoch.number, scores, epoch.ended)
            except UserError:
                answers = False

        try:
            with self._tracker.impatient():
                self._open()
                tags = {DATABASE_TAG: self._study.database}
                self._live[key] = self._tracker.open(self._name(index), "trial", self.run_id, tags, key=key)
                self._tracker.log_params(self._live[key], _params(config))
        except Outage:
            self.run_id, answers = "", False
        return tell

    def key(self, index: int | str) -> str:
        """What MLflow knows a trial by."""
        return f"{self._study.identity}#{index}"

    def _open(self) -> None:
        """Finds out what MLflow has; what is broken goes into the trash, to be written anew.

        Not completed, since the points of a fit that is done again would stand beside the old ones.
        """
        if self.run_id:
            return
        run_id = self._open_run()
        self._look(run_id)
        while self._broken:
            self._tracker.delete(self._broken[-1])
            self._broken.pop()
        self.run_id = run_id

    def _look(self, run_id: str) -> None:
        """A run is whole that ended as its trial did: that is written last."""
        ended = {self.key(index): (_STATUS[trial.state], failure(trial)) for index, trial in self._study.ended.items()}
        self._whole, self._broken = set(), []
        for run in self._tracker.children(run_id):
            if not run.key.startswith(self.key("")) or run.run_id == self._live.get(run.key):
                continue
            if run.key not in self._whole and (run.status, run.tags.get(ERROR_TAG, "")) == ended.get(run.key):
                self._whole.add(run.key)
            else:
                self._broken.append(run.run_id)

    def _name(self, index: int) -> str:
        return f"{self._base.cell.name} trial {index}"

    def _trial_run(self, trial: FrozenTrial) -> TrialRun:
        fit, index = trial.user_attrs[FIT], trial.user_attrs[INDEX]
        known = ("best_val_top1", "best_val_balanced_top1", "best_epoch", "seconds")
        return TrialRun(
            name=self._name(index),
            key=self.key(index),
            status=_STATUS[trial.state],
            started=datetime.fromtimestamp(fit["started"], UTC),
            ended=datetime.fromtimestamp(fit["ended"], UTC),
            params=_params(search_space.train_config(self._base, trial.params), drawn=bool(trial.params)),
            metrics={**self._costs, **{name: fit[name] for name in known if name in fit}},
            curves=fit["curves"],
            epoch_ends=fit.get("epoch_ends", ()),
            tags={
                DATABASE_TAG: self._study.database,
                STATE_TAG: trial.state.name,
                "device": fit["device"],
                **({ERROR_TAG: failure(trial)} if failure(trial) else {}),
            },
        )


def is_finished(study: CellStudy, config: SweepConfig, tracker: Tracker) -> bool:
    """Whether all trials are done, the winner is tested and repeated, and the run that MLflow has says so."""
    run_id = run_of(study, tracker) if study.is_tested(config) else ""
    found = tracker.metrics(run_id) if run_id else {}
    return found.get(studies.TESTED) == stopping.done(study.trials) and found.get(REPEATS, 0) >= config.repeats


def run_of(study: CellStudy, tracker: Tracker) -> str:
    """The id of the cell's run in MLflow, or an empty one."""
    return tracker.with_key(cell_key(study))


def cell_key(study: CellStudy) -> str:
    """What MLflow knows a cell's run by."""
    return f"{study.identity} cell"


def _params(config: TrainConfig, drawn: bool = True) -> dict[str, object]:
    known = {**as_params(config), **records.cell_params(config)}
    if drawn:
        return known
    return {name: value for name, value in known.items() if name not in search_space.HYPERPARAMETERS} | {"epochs": 0}
