"""The search of one cell: waves of trials until the total is reached, then its best model is trained and tested."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import Trial, TrialState

from pipeline import cli, progress, records
from pipeline.config import Cell, SweepConfig, TrainConfig, as_params
from pipeline.datasets import Dataset
from pipeline.evaluate import evaluate
from pipeline.fits import Fit
from pipeline.tracking import Tracker
from pipeline.trainers import Trainer, trainer_for
from tuning import search_space
from tuning import study as studies
from tuning.results import CellResult

MLFLOW_RUN = "mlflow_run_id"  # user attribute of a study and of a trial
_RATES = "learning_rates"  # of a trial: its curve up to its best epoch, which the final training replays
_TESTED = "tested_with"  # of a study: how many trials were complete when its best model was tested


def is_finished(study: optuna.Study, total: int, tracker: Tracker) -> bool:
    """Whether `total` trials are done, the winner is tested, and MLflow still has the record."""
    tested = study.user_attrs.get(_TESTED) == studies.count(study)["complete"]
    return tested and not studies.left(study, total) and tracker.has(study.user_attrs.get(MLFLOW_RUN, ""))


def read_result(cell: Cell, study: optuna.Study, tracker: Tracker) -> CellResult:
    """What the record of a finished cell says."""
    return CellResult(cell, tracker.metrics(study.user_attrs[MLFLOW_RUN]))


def search_cell(
    config: SweepConfig, cell: Cell, dataset: Dataset, study: optuna.Study, tracker: Tracker, sweep_run: str
) -> CellResult:
    """Brings `study` to config.trials finished trials and tests its winner; does only what is left of both.

    Raises NoFinishedTrialError where every trial diverged.
    """
    if is_finished(study, config.trials, tracker):
        tracker.move(study.user_attrs[MLFLOW_RUN], sweep_run)
        return read_result(cell, study, tracker)
    begun = time.perf_counter()
    earlier = study.user_attrs.get(MLFLOW_RUN, "")
    with tracker.run(study.study_name, kind="cell", parent=sweep_run, resume=earlier) as run_id:
        study.set_user_attr(MLFLOW_RUN, run_id)
        spent = tracker.metrics(run_id).get("seconds", 0.0)
        base = config.train_config(cell)
        records.log_dataset(tracker, run_id, config, dataset)
        search = _CellSearch(base, trainer_for(base, dataset), dataset, study, tracker, run_id)
        # Whole networks are trained one by one, so that each draw knows what came of the one before.
        search.run_waves(config.trials, config.wave if config.freeze_conv else 1)
        search.test_winner()
        tracker.log_metrics(run_id, {"seconds": spent + time.perf_counter() - begun})
    return read_result(cell, study, tracker)


@dataclass(frozen=True)
class _CellSearch:
    """Everything that the steps of one cell's search share; `run_id` is the cell's MLflow run."""

    base: TrainConfig
    trainer: Trainer
    dataset: Dataset
    study: optuna.Study
    tracker: Tracker
    run_id: str

    @property
    def costs(self) -> dict[str, float]:
        return records.cell_costs(self.base, self.dataset.num_classes)

    def run_waves(self, total: int, wave: int) -> None:
        """Trains until the study holds `total` finished trials, `wave` of them at a time."""
        todo = studies.left(self.study, total)
        if not todo:
            return
        title = f"trials {self.base.cell.name}"
        with progress.bar(title, total=todo * self.base.epochs, unit="epochs") as advance:
            while size := min(studies.left(self.study, total), wave):
                failures = self._run_wave(size, advance)
                advance(-failures * self.base.epochs)  # these are drawn again

    def _run_wave(self, size: int, advance: Callable[[int], None]) -> int:
        """Draws and trains `size` trials together, records each in MLflow and in the study; how many of them failed."""
        trials = studies.ask(self.study, size, self.base.seed)
        runs: list[str] = []
        told = 0
        try:
            configs = [search_space.suggest(trial, self.base) for trial in trials]
            runs += [self._start(trial, config) for trial, config in zip(trials, configs, strict=True)]
            fits = self.trainer.fit(configs, advance)
            for trial, run_id, fit in zip(trials, runs, fits, strict=True):
                self._finish(trial, run_id, fit)
                told += 1
        except BaseException:
            self._abandon(trials[told:], runs[told:])
            raise
        return sum(bool(fit.failure) for fit in fits)

    def _start(self, trial: Trial, config: TrainConfig) -> str:
        params = {**as_params(config), **records.cell_params(config)}
        return self.tracker.start_trial(f"{config.cell.name} trial {trial.number}", self.run_id, params)

    def _finish(self, trial: Trial, run_id: str, fit: Fit) -> None:
        trial.set_user_attr(MLFLOW_RUN, run_id)
        if fit.failure:
            trial.set_user_attr(studies.FAILURE, fit.failure)
            self.study.tell(trial, state=TrialState.FAIL)
            tags = {"optuna.state": "FAIL", "alpharho.error": fit.failure}
            self.tracker.end(run_id, "FAILED", self.costs, fit.curves, tags)
        else:
            trial.set_user_attr(_RATES, fit.rates.tolist())
            trial.set_user_attr(studies.VAL_LOSS, float(fit.curves["val_loss"][fit.best_epoch - 1]))
            self.study.tell(trial, fit.val_top1)
            metrics = {**self.costs, "best_val_top1": fit.val_top1, "best_epoch": fit.best_epoch}
            self.tracker.end(run_id, "FINISHED", metrics, fit.curves, {"optuna.state": "COMPLETE"})

    def _abandon(self, trials: Sequence[Trial], runs: Sequence[str]) -> None:
        """An interrupted wave must not leave trials that seem to run; MLflow's runs are closed with the cell's."""
        with cli.uninterrupted():
            for trial in trials:
                self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            for run_id in runs:
                self.tracker.set_tags(run_id, {"optuna.state": "FAIL"})

    def test_winner(self) -> None:
        """Trains the best trial's setting on train + val, by its learning rates up to its best epoch, and tests it."""
        winner, counts = studies.best(self.study), studies.count(self.study)
        config = search_space.suggest(winner, self.base)
        rates = np.array(winner.user_attrs[_RATES])
        model = self.trainer.model(self.trainer.refit(config, rates))
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
        self.tracker.set_tags(self.run_id, records.trained_tags(config, self.dataset))
        evaluate(model, config, self.dataset, self.tracker, self.run_id)
        self.tracker.log_model(self.run_id, model, self.dataset.class_names, registered_name=self.study.study_name)
        self.study.set_user_attr(_TESTED, counts["complete"])
