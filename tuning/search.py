"""The search of one cell: waves of trials until the total is reached, then its best model is trained and tested."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import optuna
from optuna.trial import Trial, TrialState

from pipeline import progress, records
from pipeline.config import Cell, SweepConfig, TrainConfig, as_params
from pipeline.datasets import Dataset
from pipeline.evaluate import evaluate
from pipeline.fits import Fit
from pipeline.tracking import Tracker
from pipeline.trainers import Trainer, trainer_for
from tuning import search_space, study as studies
from tuning.results import CellResult

CELL_RUN = "mlflow_run_id"  # of a study and of a trial
_RATES = "learning_rates"  # of a trial: its curve up to its best epoch, which the final training replays
_TESTED = "tested_with"  # of a study: how many trials were complete when its best model was tested


def search_cell(
    config: SweepConfig, cell: Cell, dataset: Dataset, study: optuna.Study, tracker: Tracker, sweep_run: str
) -> CellResult:
    """Brings `study` to config.trials finished trials and tests its winner; does only what is left of both."""
    begun = time.perf_counter()
    base = config.train_config(cell)
    earlier = study.user_attrs.get(CELL_RUN, "")
    with tracker.run(study.study_name, kind="cell", parent=sweep_run, resume=earlier) as run_id:
        study.set_user_attr(CELL_RUN, run_id)
        spent = tracker.metrics(run_id).get("seconds", 0.0)
        is_tested = run_id == earlier and study.user_attrs.get(_TESTED) == studies.count(study)["complete"]
        if studies.left(study, config.trials) or not is_tested:
            trainer = trainer_for(base, dataset)
            _run_waves(config, base, trainer, dataset, study, tracker, run_id)
            _test_winner(base, trainer, dataset, study, tracker, run_id)
            tracker.log_metrics(run_id, {"seconds": spent + time.perf_counter() - begun})
        return CellResult(cell, tracker.metrics(run_id))


def _run_waves(
    config: SweepConfig,
    base: TrainConfig,
    trainer: Trainer,
    dataset: Dataset,
    study: optuna.Study,
    tracker: Tracker,
    cell_run: str,
) -> None:
    todo = studies.left(study, config.trials)
    title = f"trials {base.cell.name}"
    with progress.bar(title, total=todo * base.epochs, unit="epochs") as advance:
        while size := min(studies.left(study, config.trials), config.wave):
            trials = studies.ask(study, size, base.seed)
            _run_wave(trials, base, trainer, dataset, study, tracker, cell_run, lambda epoch: advance(len(trials)))


def _run_wave(
    trials: list[Trial],
    base: TrainConfig,
    trainer: Trainer,
    dataset: Dataset,
    study: optuna.Study,
    tracker: Tracker,
    cell_run: str,
    on_epoch: Callable[[int], None],
) -> None:
    """Trains the trials together and records each in MLflow and in its study."""
    configs = [search_space.suggest(trial, base) for trial in trials]
    costs = records.cell_costs(base, dataset.num_classes)
    runs = [
        tracker.start_trial(f"trial {trial.number}", cell_run, records.cell_params(config), costs)
        for trial, config in zip(trials, configs, strict=True)
    ]
    told = 0
    try:
        fits = trainer.fit(configs, on_epoch)
        for trial, run_id, fit in zip(trials, runs, fits, strict=True):
            _tell(study, trial, fit, run_id)
            tracker.end_trial(run_id, fit.curves, "FAILED" if fit.failure else "FINISHED", _trial_record(fit))
            told += 1
    except BaseException:  # an interrupted wave must not leave trials that seem to run
        for trial in trials[told:]:
            study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        raise


def _tell(study: optuna.Study, trial: Trial, fit: Fit, run_id: str) -> None:
    trial.set_user_attr(CELL_RUN, run_id)
    if fit.failure:
        trial.set_user_attr(studies.FAILURE, fit.failure)
        study.tell(trial, state=TrialState.FAIL)
    else:
        trial.set_user_attr(_RATES, fit.rates.tolist())
        study.tell(trial, fit.val_top1)


def _trial_record(fit: Fit) -> dict[str, str]:
    """Tags of a finished trial."""
    return {"optuna.state": "FAIL", "alpharho.error": fit.failure} if fit.failure else {"optuna.state": "COMPLETE"}


def _test_winner(
    base: TrainConfig, trainer: Trainer, dataset: Dataset, study: optuna.Study, tracker: Tracker, run_id: str
) -> None:
    """Trains the best trial's setting on train + val, replaying its learning rates up to its best epoch, and tests it."""
    winner = studies.best(study)
    config = search_space.suggest(winner, base)
    model = trainer.model(trainer.refit(config, np.array(winner.user_attrs[_RATES])))
    counts = studies.count(study)
    # Metrics, for a cell may be searched further and MLflow's params never change.
    tracker.log_params(run_id, {**as_params(base), "cell": base.cell.name})
    tracker.log_metrics(
        run_id,
        {
            **records.cell_costs(base, dataset.num_classes),
            **{name: getattr(config, name) for name in ("learning_rate", "beta_1", "beta_2")},
            "best_val_top1": winner.value,
            "best_trial": winner.number,
            "best_epoch": len(winner.user_attrs[_RATES]),
            **{f"trials_{state}": number for state, number in counts.items()},
        },
    )
    tracker.set_tags(run_id, records.config_tag(config))
    tracker.log_model(run_id, model, dataset.class_names, registered_name=study.study_name)
    evaluate(model, config, dataset, tracker, run_id)
    study.set_user_attr(_TESTED, counts["complete"])
