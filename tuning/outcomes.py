"""From a finished fit to what Optuna keeps of it, and from there to the MLflow run that tells of it.

Optuna's database holds all that the run will say, curves included, so that any process can write it at any later time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from pipeline.config import TrainConfig, as_params
from pipeline.tracking import TrialRun, environment_tags, records
from pipeline.tracking.runs import ERROR_TAG, STATE_TAG, Status
from pipeline.training.fit import Fit
from tuning import search_space
from tuning.claims import Claimed, Outcome
from tuning.study import FIT, failure


def outcome(trial: Claimed, fit: Fit, seconds: float) -> Outcome:
    """A pruned trial's value is its last validation top-1, as Optuna has it; a finished one's is its best.

    Args:
        seconds: its share of the time that its wave was in training.
    """
    kept: dict[str, Any] = {
        "curves": {name: [_short(value) for value in values] for name, values in fit.curves.items()},
        "best_epoch": fit.best_epoch,
        "failure": fit.failure,
        "seconds": round(seconds, 3),
        "device": environment_tags()["device"],
    }
    if fit.failure:
        return Outcome(trial, TrialState.FAIL, None, kept)
    val_top1 = kept["curves"]["val_top1"]
    best = val_top1[fit.best_epoch - 1]
    kept |= {"best_val_top1": best, "val_loss": kept["curves"]["val_loss"][fit.best_epoch - 1]}
    state = TrialState.PRUNED if fit.pruned else TrialState.COMPLETE
    return Outcome(trial, state, val_top1[-1] if fit.pruned else best, kept)


def train_seconds(trials: Sequence[FrozenTrial]) -> float:
    """What all of them took together, on however many processes."""
    return sum(trial.user_attrs.get(FIT, {}).get("seconds", 0.0) for trial in trials)


def replayed_rates(trial: FrozenTrial) -> np.ndarray:
    """The learning rates of a finished trial up to its best epoch, (epochs,)."""
    fit = trial.user_attrs[FIT]
    return np.array(fit["curves"]["learning_rate"][: fit["best_epoch"]])


def key(study: str, number: int) -> str:
    """What MLflow knows the trial by; `study` is its identity."""
    return f"{study}#{number}"


def trial_run(study: str, trial: FrozenTrial, base: TrainConfig, costs: Mapping[str, float]) -> TrialRun:
    """The MLflow run of a finished trial."""
    fit, why = trial.user_attrs.get(FIT, {}), failure(trial)
    if trial.datetime_start is None or trial.datetime_complete is None:
        raise ValueError(f"trial {trial.number} has not ended")
    ended: dict[TrialState, Status] = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED"}
    metrics = {name: fit[name] for name in ("best_val_top1", "best_epoch", "seconds") if name in fit}
    explanation = why or ("" if trial.state in ended else "its process was stopped")
    return TrialRun(
        name=f"{base.cell.name} trial {trial.number}",
        key=key(study, trial.number),
        status=ended.get(trial.state, "FAILED" if why else "KILLED"),
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        params=_params(trial, base),
        metrics={**costs, **metrics},
        curves=fit.get("curves") or {"val_top1": _reported(trial)},
        tags={
            STATE_TAG: trial.state.name,
            **({ERROR_TAG: explanation} if explanation else {}),
            **({"device": fit["device"]} if "device" in fit else {}),
        },
    )


def _reported(trial: FrozenTrial) -> list[float]:
    """What an interrupted trial told of its epochs, from the first; NaN where a report was lost."""
    values = trial.intermediate_values
    return [values.get(epoch, math.nan) for epoch in range(1, max(values, default=0) + 1)]


def _params(trial: FrozenTrial, base: TrainConfig) -> dict[str, object]:
    config = search_space.train_config(base, trial.params) if trial.params else base
    return {**as_params(config), **records.cell_params(config)}


def _short(value: Any) -> float:
    """Float32 is what was computed; nine digits are all of it, and half the text."""
    return float(f"{value:.9g}") if math.isfinite(value) else float(value)
