"""A small study of digits, begun and finished without training."""

from __future__ import annotations

import multiprocessing
from multiprocessing.pool import Pool

import optuna
from optuna.trial import TrialState

from pipeline.config import SweepConfig
from tuning import claims, storage
from tuning.claims import Claimed, Outcome
from tuning.study import CellStudy
from tuning.study import open_study as _open_study

CONFIG = SweepConfig(dataset="digits", weights="tiny", alphas=(0.25,), resolutions=(64,), trials=20, epochs=6)
BASE = CONFIG.train_config(CONFIG.cells[0])
NAME = "digits-mobilenet_0.25_64-frozen"


def open_study(url: str, base=BASE, pictures: str = "p", weights: str = "w") -> CellStudy:
    return _open_study(storage.open_storage(url), NAME, base, pictures, weights)


def complete(trial: Claimed, value: float | None = None, loss: float = 1.0) -> Outcome:
    """With a value that depends on the draw, where none is given."""
    value = trial.params["one_minus_beta_1"] if value is None else value
    curves = {"val_top1": [value], "val_loss": [loss], "learning_rate": [trial.params["learning_rate"]]}
    fit = {"curves": curves, "best_epoch": 1, "best_val_top1": value, "val_loss": loss, "failure": "", "seconds": 0.5}
    return Outcome(trial, TrialState.COMPLETE, value, fit)


def diverged(trial: Claimed) -> Outcome:
    return Outcome(trial, TrialState.FAIL, None, {"failure": "train_loss is nan in epoch 1", "curves": {}})


def run(study: CellStudy, size: int, config: SweepConfig = CONFIG) -> list[dict[str, float]]:
    """Claims a wave and completes it; what was drawn."""
    claimed = claims.claim(study, config, size)
    claims.finish(study, [complete(trial) for trial in claimed])
    return [trial.params for trial in claimed]


def processes(count: int) -> Pool:
    """Processes that are there at once, with optuna imported before they start."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tuning.claims"])
    return context.Pool(count)


def states(study: CellStudy) -> list[str]:
    """Of all trials, by number."""
    return [trial.state.name for trial in optuna.load_study(study_name=NAME, storage=study.storage).trials]
