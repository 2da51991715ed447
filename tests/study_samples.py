"""Studies of digits whose trials are finished without training."""

from __future__ import annotations

from collections.abc import Callable

from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline.config import SweepConfig
from tuning import enqueued, rounds, search_space, stopping, studies
from tuning.storage import open_storage
from tuning.studies import CellStudy
from tuning.tasks import Outcome

CONFIG = SweepConfig(dataset="digits", weights="tiny", alphas=(0.25,), resolutions=(64,), trials=20, epochs=6)
CELL = CONFIG.cells[0]
BASE = CONFIG.train_config(CELL)
SPACE = search_space.distributions(finetunes=False)
SETTINGS = studies.settings_of(CONFIG, BASE, "pictures", "weights", CONFIG.pruner_kind(0, 10, 1))
NAME = studies.study_name("digits", BASE, SETTINGS)


def open_study(url: str) -> CellStudy:
    """As a driver that starts does."""
    study = studies.open_study(open_storage(url), NAME, SETTINGS, "database")
    enqueued.admit(study, SPACE)
    return study


def complete(trial: Trial, value: float | None = None, loss: float = 1.0) -> Outcome:
    """With a value that depends on the draw, where none is given."""
    value = trial.params["one_minus_beta_1"] if value is None else value
    curves = {"val_top1": [value], "val_loss": [loss], "learning_rate": [trial.params["learning_rate"]]}
    scores = {"best_val_top1": value, "best_val_balanced_top1": value, "temperature": 1.0, "reject_below": 0.1}
    return Outcome(TrialState.COMPLETE, value, fit(curves=curves, best_epoch=1, val_loss=loss, **scores), {})


def diverged(_trial: Trial) -> Outcome:
    return Outcome(TrialState.FAIL, None, fit(failure="train_loss is nan in epoch 1"), {})


def fit(**known: object) -> dict[str, object]:
    return {"curves": {}, "failure": "", "seconds": 0.5, "started": 1e9, "ended": 1e9 + 4, "device": "CPU", **known}


def run_round(
    study: CellStudy,
    config: SweepConfig = CONFIG,
    outcome: Callable[[Trial], Outcome] = complete,
    writes: int = 1000,
) -> list[FrozenTrial]:
    """Draws the next round and writes what `outcome` says of the first `writes` of its trials; what was written."""
    left = stopping.left(study.trials, config.trials)
    waiting, _refused = enqueued.look(study, SPACE)
    current = rounds.next_round(study.ended, left, config.round_size, config.freeze_conv, waiting)
    written: list[FrozenTrial] = []
    for task in current.tasks if current else ():
        for index, trial in zip(task.indices, rounds.draw(study, current, task, config, SPACE), strict=True):
            if index in task.missing and len(written) < writes:
                found = outcome(trial).as_trial(trial, index, (task.first, task.size), current.asked_of(index))
                if index in current.numbers:
                    enqueued.finish(study, index, current.numbers[index], found)
                else:
                    study.add(index, found)
                written.append(found)
    return written


def draws(study: CellStudy) -> list[dict[str, float]]:
    """Of all trials, by index."""
    return [trial.params for trial in study.trials]
