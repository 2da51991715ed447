"""The MLflow runs of one cell's trials: one for each that ended, written from what Optuna's database holds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from optuna.trial import FrozenTrial

from pipeline.config import TrainConfig
from pipeline.tracking import Outage, RunRecord, Tracker
from tuning import outcomes
from tuning.study import CellStudy

_OWN_DELIVERY_SECONDS = 2.0  # a wave of 8 takes a quarter of a second on a quiet machine
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 60.0  # s, between attempts to deliver while the search goes on


class Ledger:
    """Writes the runs below `cell_run`.

    While MLflow does not answer, trials go on; what they found waits in Optuna's database and is delivered later.
    """

    def __init__(
        self, study: CellStudy, tracker: Tracker, cell_run: str, base: TrainConfig, costs: Mapping[str, float]
    ) -> None:
        self._study, self._tracker, self._cell_run = study, tracker, cell_run
        self._base, self._costs = base, costs
        self._waiting: list[int] = []
        self._wait, self._not_before = _FIRST_WAIT, 0.0

    def deliver(self, numbers: Iterable[int]) -> None:
        """Writes the runs of these trials, and of those that wait; puts them off where MLflow does not answer."""
        self._waiting += numbers
        if time.monotonic() < self._not_before:
            return
        trials = self._study.trials()
        try:
            with self._tracker.impatient():
                while self._waiting:
                    self._publish(trials[self._waiting[0]])
                    self._waiting.pop(0)
        except Outage:
            self._not_before = time.monotonic() + self._wait
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
        else:
            self._wait = _FIRST_WAIT

    def settle(self) -> None:
        """Makes MLflow hold exactly one closed run for every trial that ended, whichever process it was of.

        Waits for MLflow. A run that was begun twice, because a process was thought dead, is left once.
        """
        if self._missing():
            time.sleep(_OWN_DELIVERY_SECONDS)  # the processes that trained them may be writing them just now
        runs = self._runs()
        for doubles in runs.values():
            for superfluous in doubles[1:]:
                self._tracker.delete(superfluous.run_id)
        for trial in self._missing():
            found = runs.get(self._key(trial))
            self._publish(trial, found[0].run_id if found else "")
        self._waiting = []

    def _runs(self) -> dict[str, list[RunRecord]]:
        """The cell's trial runs by their key, the one to keep first."""
        found: dict[str, list[RunRecord]] = {}
        for run in sorted(self._tracker.children(self._cell_run), key=lambda run: run.run_id):
            found.setdefault(run.key, []).append(run)
        return found

    def _missing(self) -> list[FrozenTrial]:
        """Trials that ended and have no run, or one that is not closed."""
        runs = self._runs()
        ended = [trial for trial in self._study.trials() if trial.state.is_finished()]
        return [trial for trial in ended if not (found := runs.get(self._key(trial))) or found[0].status == "RUNNING"]

    def _key(self, trial: FrozenTrial) -> str:
        return outcomes.key(self._study.identity, trial.number)

    def _publish(self, trial: FrozenTrial, run_id: str = "") -> None:
        run = outcomes.trial_run(self._study.identity, trial, self._base, self._costs)
        self._tracker.publish(run, self._cell_run, run_id)
