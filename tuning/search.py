"""The search of one cell: waves of trials until the total is reached, then its best model is trained and tested."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from pipeline.config import Cell, SweepConfig, as_params
from pipeline.datasets import Dataset
from pipeline.evaluate import evaluate
from pipeline.shell import progress
from pipeline.tracking import Tracker, records
from pipeline.tracking.runs import ERROR_TAG
from pipeline.training.trainers import Trainer, trainer_for
from tuning import claims, search_space
from tuning import study as studies
from tuning.claims import Claimed
from tuning.ledger import Ledger
from tuning.outcomes import outcome, replayed_rates, train_seconds
from tuning.pulse import Pulse, beating
from tuning.results import CellResult
from tuning.storage import LockedElsewhereError, exclusive
from tuning.study import CellStudy


class CellSearch:
    """What one process does for one cell; any number of others may do the same at once.

    Args:
        sweep_run: the MLflow run above the cell's.
    """

    def __init__(
        self, config: SweepConfig, cell: Cell, dataset: Dataset, study: CellStudy, tracker: Tracker, sweep_run: str
    ) -> None:
        self.config, self.dataset, self.study, self.tracker = config, dataset, study, tracker
        self.base = config.train_config(cell)
        # Whole networks are trained one by one, so that each draw knows what came of the one before.
        self.wave = config.wave if config.freeze_conv else 1
        self.costs = records.cell_costs(self.base, dataset.num_classes)
        self.run_id = ""  # of the cell's run, once there is something to write
        self._sweep_run = sweep_run
        self._trainer: Trainer | None = None
        self._seconds = 0.0  # of this process: to make the trainer, and to train and test the winner

    @cached_property
    def ledger(self) -> Ledger:
        """Opens the cell's run in MLflow, of which there is one, however many processes come at once."""
        with exclusive(self.study.storage.engine, f"{self.study.name} run"):
            earlier = self.study.attributes().get(studies.CELL_RUN, "")
            self.run_id = self.tracker.open(
                self.study.name, "cell", parent=self._sweep_run, resume=earlier, key=f"{self.study.identity} cell"
            )
            self.study.keep(studies.CELL_RUN, self.run_id)
        records.log_dataset(self.tracker, self.run_id, self.config, self.dataset)
        return Ledger(self.study, self.tracker, self.run_id, self.base, self.costs)

    @property
    def trainer(self) -> Trainer:
        """Made when it is first needed; that extracts the cells' tables, or waits for another process to do so."""
        if self._trainer is None:
            begun = time.perf_counter()
            self._trainer = trainer_for(self.base, self.dataset, self.config.cells)
            self._seconds += time.perf_counter() - begun
        return self._trainer

    def rest(self) -> None:
        """Frees the memory of the backbone and the table."""
        self._trainer = None

    def run_waves(self) -> None:
        """Trains while there are places; leaves when the rest is in other processes' hands."""
        total, epochs = self.config.trials, self.base.epochs
        todo = studies.places(self.study.trials(), total) * epochs
        if not todo:
            return
        ledger, trainer, done = self.ledger, self.trainer, 0  # made before a place is claimed: that may take minutes
        with progress.bar(f"trials {self.base.cell.name}", total=todo, unit="epochs") as advance:
            while claimed := claims.claim(self.study, self.config, self.wave):
                numbers, advanced = self._run_wave(trainer, claimed, advance)
                ledger.deliver(numbers)
                done += advanced
                # What others did, and what diverged and is drawn anew.
                correction = todo - studies.places(self.study.trials(), total) * epochs - done
                advance(correction)
                done += correction

    def _run_wave(
        self, trainer: Trainer, claimed: Sequence[Claimed], advance: Callable[[int], None]
    ) -> tuple[list[int], int]:
        """Trains claimed trials together, and keeps what came of them in the study.

        Returns the numbers of the trials that count, and how far the bar advanced.
        """
        begun = time.perf_counter()
        try:
            configs = [search_space.train_config(self.base, trial.params) for trial in claimed]
            with beating(self.study, claimed) as pulse:
                watch = Watch(claimed, pulse, self.base.epochs, advance)
                fits = trainer.fit(configs, watch)
                share = (time.perf_counter() - begun) / len(claimed)
                found = [outcome(trial, fit, share) for trial, fit in zip(claimed, fits, strict=True)]
                return claims.finish(self.study, found), watch.advanced
        except BaseException:
            claims.give_up(self.study, claimed)
            raise

    def finish(self) -> bool:
        """Tests the best model of a cell whose trials are done; False where another process is at it, or has done it.

        Raises NoFinishedTrialError where every trial diverged.
        """
        try:
            with exclusive(self.study.storage.engine, f"{self.study.name} test", wait=False) as held:
                if is_finished(self.study, self.config.trials, self.tracker):
                    return False  # for `mend` to look at
                self.ledger.settle()
                try:
                    if not self._was_tested() and not self._test_winner(held):
                        return False
                except studies.NoFinishedTrialError as error:
                    self.tracker.close(self.run_id, "FAILED", {ERROR_TAG: str(error)})
                    raise
                trials = self.study.trials()
                self.tracker.log_metrics(self.run_id, {"seconds": self._seconds + train_seconds(trials)})
                self.study.keep(studies.TESTED, studies.done(trials))
                self.tracker.close(self.run_id)
        except LockedElsewhereError:
            return False
        return True

    def _was_tested(self) -> bool:
        """Whether a process that died, or lost the lock, tested the winner of just these trials before."""
        return self.tracker.metrics(self.run_id).get(studies.TESTED) == studies.done(self.study.trials())

    def mend(self) -> None:
        """Writes what a process that died near the end left out of a finished cell's runs, and closes its run."""
        run_id = self.study.attributes()[studies.CELL_RUN]
        self.tracker.move(run_id, self._sweep_run)
        Ledger(self.study, self.tracker, run_id, self.base, self.costs).settle()
        if self.tracker.is_open(run_id):
            self.tracker.close(run_id)

    def _test_winner(self, held: Callable[[], bool]) -> bool:
        """Trains the best trial's setting on train + val, by its learning rates up to its best epoch, and tests it.

        False, with nothing written, where the lock was lost meanwhile.
        """
        trials = self.study.trials()
        winner, counts = studies.best(trials, self.study.name), studies.count(trials)
        trainer, begun = self.trainer, time.perf_counter()
        config, rates = search_space.train_config(self.base, winner.params), replayed_rates(winner)
        final = trainer.refit(config, rates)
        model = trainer.model(final.best)
        if not held():
            return False
        # What a longer search may change is a metric, for MLflow's params are for ever.
        drawn = search_space.HYPERPARAMETERS
        fixed = {name: value for name, value in as_params(self.base).items() if name not in drawn}
        self.tracker.log_params(self.run_id, {**fixed, "cell": self.base.cell.name})
        found = {
            **{name: getattr(config, name) for name in drawn},
            **{f"trials_{state}": number for state, number in counts.items()},
            "best_val_top1": winner.value,
            "best_trial": winner.number,
            "best_epoch": len(rates),
        }
        self.tracker.log_metrics(self.run_id, {**self.costs, **found})
        # Not the curve of the learning rate, under whose name the cell's run holds what the winner drew.
        curves = {name: final.curves[name] for name in ("train_loss", "train_top1")}
        self.tracker.log_curves(self.run_id, curves)
        self.tracker.set_tags(self.run_id, records.trained_tags(config, self.dataset))
        names = records.output_names(config, self.dataset.class_names)
        self.tracker.log_model(self.run_id, model, names, registered_name=self.study.name)
        tested_with = {studies.TESTED: studies.done(trials)}
        evaluate(model, config, self.dataset, self.tracker, self.run_id, tested_with)
        self._seconds += time.perf_counter() - begun
        return True


class Watch:
    """Reports every epoch of a wave to its trials' doubles, and stops those that Optuna's pruner gives up."""

    def __init__(self, claimed: Sequence[Claimed], pulse: Pulse, epochs: int, advance: Callable[[int], None]) -> None:
        self._claimed, self._pulse, self._epochs, self._advance = claimed, pulse, epochs, advance
        self.advanced = 0  # epochs, those included that pruned trials are spared

    def __call__(self, epoch: int, indices: np.ndarray, val_top1: np.ndarray) -> np.ndarray:
        """See pipeline.training.fit.Watch."""
        kept = np.ones(len(indices), bool)
        for place, (index, value) in enumerate(zip(indices, val_top1.tolist(), strict=True)):
            trial = self._claimed[index]
            self._pulse.report(trial, epoch, value)
            trial.mirrored.report(value, epoch)
            kept[place] = epoch == self._epochs or not trial.mirrored.should_prune()
        step = len(indices) + int((~kept).sum()) * (self._epochs - epoch)
        self._advance(step)
        self.advanced += step
        return kept


def is_finished(study: CellStudy, total: int, tracker: Tracker) -> bool:
    """Whether `total` trials are done, the winner is tested, and MLflow still has the record."""
    return study.is_tested(total) and tracker.has(study.attributes().get(studies.CELL_RUN, ""))


def read_result(cell: Cell, study: CellStudy, tracker: Tracker) -> CellResult:
    """What the record of a finished cell says."""
    return CellResult(cell, tracker.metrics(study.attributes()[studies.CELL_RUN]))
