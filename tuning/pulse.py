"""What a process says of its trials while it trains them: that it lives, and every epoch's validation top-1."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy
from optuna.storages._rdb.models import TrialIntermediateValueModel as Reported

from tuning.claims import Claimed
from tuning.storage import HEARTBEAT_SECONDS, OUTAGES, TransactionLostError, transaction
from tuning.study import CellStudy


class Pulse:
    """Keeps what is reported, and writes it beat by beat in one transaction.

    Optuna's own `report` is a transaction for each trial and epoch, which on a sqlite file takes as long as the epoch.
    """

    def __init__(self, study: CellStudy, trials: Sequence[Claimed]) -> None:
        self._storage, self._trials = study.storage, trials
        self._name = f"{study.name} pulse {trials[0].trial_id}"  # beats of other processes go on beside this one's
        self._reports: list[dict] = []
        self._lock = threading.Lock()

    def report(self, trial: Claimed, epoch: int, val_top1: float) -> None:
        """`epoch` is 1-based; it becomes the step of an intermediate value."""
        value, kind = Reported.intermediate_value_to_stored_repr(val_top1)
        columns = (trial.trial_id, epoch, value, kind)
        names = ("trial_id", "step", "intermediate_value", "intermediate_value_type")
        with self._lock:
            self._reports.append(dict(zip(names, columns, strict=True)))

    def beat(self) -> None:
        """Writes what was reported since, and that the trials are alive."""
        with self._lock:
            rows, self._reports = self._reports, []
        try:
            with transaction(self._storage, self._name) as storage:
                for trial in self._trials:
                    storage.record_heartbeat(trial.trial_id)
                if rows:
                    storage.scoped_session().execute(sqlalchemy.insert(Reported), rows)
        except (*OUTAGES, TransactionLostError):
            # The next beat may find the database back; without it the trials are taken for dead, as they should be.
            # Curves stand in the outcome too.
            return


@contextmanager
def beating(study: CellStudy, trials: Sequence[Claimed]) -> Iterator[Pulse]:
    """Beats in the background until the block ends, and once more then."""
    pulse, done = Pulse(study, trials), threading.Event()

    def run() -> None:
        pulse.beat()  # at once: on PostgreSQL the first heartbeat is as old as the wait for the lock
        while not done.wait(HEARTBEAT_SECONDS):
            pulse.beat()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield pulse
    finally:
        done.set()
        thread.join()
        pulse.beat()
