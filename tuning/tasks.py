"""What runs on an executor: plain functions that write nothing.

The fits of a round of heads, and one fine-tuning, are `fit_trials`; the features of pictures are extract.features_of.
"""

from __future__ import annotations

import base64
import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import numpy as np
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from pipeline.config import Aim, TrainConfig
from pipeline.tracking import environment_tags
from pipeline.training.calibration import calibrate
from pipeline.training.fit import Curves, Fit
from pipeline.training.trainers import Trainer
from tuning import sampling
from tuning.studies import ENQUEUED, FIT, INDEX, TASK, objective_curve

# Of a curve, in Optuna's own table: each costs two statements, a third of a millisecond on sqlite. `fit` has all of it.
OPTUNA_POINTS = 8

BALANCED: Aim = "balanced_top1"

T = TypeVar("T")


@dataclass(frozen=True)
class Epoch:
    """What a task tells after each epoch.

    Attributes:
        number: from 1.
        indices: int (A,), which of the task's trials were in training.
        scores: name -> float (A,), of these trials.
        stopped: how many of them the pruner stopped.
        ended: seconds since 1970.
    """

    number: int
    indices: np.ndarray
    scores: Curves
    stopped: int
    ended: float


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Attributes:
        value: the objective; None for a trial that failed.
        fit: all else that is kept with the trial, of what JSON can hold: curves (name -> a value for each epoch),
            best_epoch (from 1), best_val_top1, best_val_balanced_top1 and val_loss (at the best epoch), failure (why it
            is worthless, or empty), seconds (its share of the task's), started and ended (of the task, seconds since
            1970), epoch_ends (the same, of each epoch; only of networks), device; and of the best of a task, which may
            be the winner, temperature and reject_below (see Calibration), spread (see Trainer), val_right (see packed).
        rungs: what successive halving keeps with it.
    """

    state: TrialState
    value: float | None
    fit: dict[str, Any]
    rungs: dict[str, float]

    def as_trial(
        self, trial: Trial | None, index: int, task: tuple[int, int], asked: Mapping[str, float] | None = None
    ) -> FrozenTrial:
        """What is written of it.

        Args:
            trial: that it came of; None where nothing was drawn.
            task: index of its task's first trial, and how many there are.
            asked: what a person asked for.
        """
        frozen = create_trial(
            state=self.state,
            value=self.value,
            params=trial.params if trial else {},
            distributions=trial.distributions if trial else {},
            intermediate_values=_few(objective_curve(self.fit)),
            system_attrs=self.rungs,
            user_attrs={
                INDEX: index,
                TASK: list(task),
                **({} if asked is None else {ENQUEUED: dict(asked)}),
                FIT: self.fit,
            },
        )
        # In local time, as Optuna's own trials are; `fit` has it in UTC.
        frozen.datetime_complete = datetime.fromtimestamp(self.fit["ended"])
        frozen.datetime_start = frozen.datetime_complete - timedelta(seconds=self.fit["seconds"])
        return frozen


def fit_trials(
    trainer: Trainer, configs: Sequence[TrainConfig], trials: Sequence[Trial], tell: Callable[[Epoch], None]
) -> list[Outcome]:
    """Trains one head, or one network, for each of `configs`.

    Args:
        trials: of a study in memory, one for each config: told of every epoch, they say which are pruned.
    """
    started, objective = time.time(), f"val_{configs[0].aim}"
    epoch_ends: list[list[float]] = [[] for _ in trials]

    def watch(epoch: int, indices: np.ndarray, scores: Curves) -> np.ndarray:
        """Tells the trials, which say who goes on, and the driver."""
        kept, ended = np.ones(len(indices), bool), time.time()
        for slot, (index, value) in enumerate(zip(indices, scores[objective].tolist(), strict=True)):
            trials[index].report(value, epoch)
            kept[slot] = epoch == configs[0].epochs or not trials[index].should_prune()
            epoch_ends[index].append(ended)
        tell(Epoch(epoch, indices, scores, int((~kept).sum()), ended))
        return kept

    fits = trainer.fit(configs, watch)
    judged = _judged(trainer, fits, configs[0].aim)
    ended = time.time()
    times = {"seconds": round((ended - started) / len(trials), 3), "started": started, "ended": ended}
    for fit, ends in zip(fits, epoch_ends, strict=True):
        if len(ends) < max(map(len, fit.curves.values())):  # it diverged, and leaves without the watch being told
            ends.append(ended)
    one_by_one = not configs[0].freeze_conv
    return [
        _outcome(
            fit, configs[0].aim, known | times | ({"epoch_ends": ends} if one_by_one else {}), sampling.rungs(trial)
        )
        for trial, fit, known, ends in zip(trials, fits, judged, epoch_ends, strict=True)
    ]


def refit(trainer: Trainer, config: TrainConfig, rates: np.ndarray) -> Fit[Any]:
    """Trains the winner on all training pictures, by its own rates (epochs,). Raises UserError where it diverges."""
    return trainer.refit(config, rates)


def failed(reason: str) -> Outcome:
    """What comes of a trial whose task ended by an error, on a machine that is not known any more."""
    now = time.time()
    times = {"seconds": 0.0, "started": now, "ended": now}
    return Outcome(TrialState.FAIL, None, {"curves": {}, "best_epoch": 0, "failure": reason, "device": "", **times}, {})


def untrained(trainer: Trainer, aim: Aim) -> Outcome | None:
    """What a study is to be better than: the start of its fits; None where that does not know the classes."""
    started = time.time()
    fit = trainer.untrained
    if fit is None:
        return None
    known, ended = judged(trainer, fit), time.time()
    times = {"seconds": round(ended - started, 3), "started": started, "ended": ended}
    outcome = _outcome(fit, aim, known | times, {})
    return dataclasses.replace(outcome, fit=outcome.fit | {"curves": {}})  # of epochs, of which there is none


def judged(trainer: Trainer, fit: Fit[Any]) -> dict[str, Any]:
    """temperature, reject_below, spread and val_right: what pictures say of what was trained."""
    logits, labels = trainer.validated(fit.best)
    return {
        **dataclasses.asdict(calibrate(logits, labels)),
        "spread": trainer.spread(fit.best),
        "val_right": packed(logits.argmax(axis=1) == labels),
    }


def packed(right: np.ndarray) -> str:
    """bool (n,), of the pictures that were validated on, in their order -> text, one bit for each picture."""
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def unpacked(text: str, count: int) -> np.ndarray:
    """The reverse of `packed`, of `count` pictures."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=count).astype(bool)


def kept_curves(curves: Mapping[str, T], aim: Aim) -> dict[str, T]:
    """Without that of balanced top-1 where it is not aimed at: its value at the best epoch is enough."""
    return {name: curve for name, curve in curves.items() if name != f"val_{BALANCED}" or aim == BALANCED}


def _judged(trainer: Trainer, fits: Sequence[Fit[Any]], aim: Aim) -> list[dict[str, Any]]:
    """For each fit; empty but for the best finished one: no other of a task can be the winner."""
    finished = [index for index, fit in enumerate(fits) if not fit.failure and not fit.pruned]
    found: list[dict[str, Any]] = [{} for _ in fits]
    if finished:
        best = max(finished, key=lambda index: (*map(_short, fits[index].rank(aim)), -index))  # as studies.best
        found[best] = judged(trainer, fits[best])
    return found


def _outcome(fit: Fit[Any], aim: Aim, known: dict[str, Any], rungs: dict[str, float]) -> Outcome:
    """A pruned trial's value is its last validation score, as Optuna has it; a finished one's is its best."""
    curves = {name: [_short(value) for value in values] for name, values in fit.curves.items()}
    objective, balanced = f"val_{aim}", f"val_{BALANCED}"
    kept: dict[str, Any] = {
        "curves": kept_curves(curves, aim),
        "best_epoch": fit.best_epoch,
        "failure": fit.failure,
        "device": environment_tags()["device"],
        **known,
    }
    if fit.failure:
        return Outcome(TrialState.FAIL, None, kept, rungs)
    at = max(1, fit.best_epoch) - 1
    kept |= {f"best_{name}": curves[name][at] for name in ("val_top1", balanced)}
    kept |= {"val_loss": curves["val_loss"][at]}
    state = TrialState.PRUNED if fit.pruned else TrialState.COMPLETE
    return Outcome(state, curves[objective][-1 if fit.pruned else at], kept, rungs)


def _few(curve: Sequence[float]) -> dict[int, float]:
    """Epoch -> value, for other programs to draw: evenly spaced, the first and the last among them."""
    epochs = np.unique(np.linspace(1, len(curve), min(len(curve), OPTUNA_POINTS)).round().astype(int)).tolist()
    return {epoch: curve[epoch - 1] for epoch in epochs}


def _short(value: Any) -> float:
    """Nine digits are all of a float32, and half the text."""
    return float(f"{value:.9g}") if math.isfinite(value) else float(value)
