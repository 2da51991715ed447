"""A study in memory that draws and prunes for one wave as Optuna does, at a cost that does not grow with the search.

Optuna's samplers and pruners ask the database for every draw and every report. A wave asks it once, and works on this
copy; of more trials than WINDOW only the best and the newest are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from pipeline.config import Pruner

WINDOW = 256  # finished trials
_BEST = 25  # of these; TPE models no more than 25 as good
_CHECKS = 10  # in a trial's epochs, at which the median is looked at; each costs a millisecond
_GONE = create_trial(state=TrialState.FAIL)  # which samplers and pruners pass over


def of(name: str, trials: Sequence[FrozenTrial], seed: int, pruner: BasePruner) -> optuna.Study:
    """The mirror of the study `name` with `trials`, which are all of its trials.

    The sampler is made anew for every wave from (seed, trials so far): a search that was interrupted between two waves
    goes on with the draws it would have made, and no call repeats an earlier one's.
    """
    drawn_from = int(np.random.SeedSequence([seed, len(trials)]).generate_state(1)[0])
    # A running trial is taken for a bad one, so that a wave spreads.
    sampler = TPESampler(seed=drawn_from, multivariate=True, constant_liar=True)
    mirror = optuna.create_study(study_name=name, direction="maximize", sampler=sampler, pruner=pruner)
    seen = _window(trials)
    if isinstance(pruner, HyperbandPruner):  # which deals its brackets by a trial's number, so each keeps its place
        mirror.add_trials([_slim(trial) if trial.number in seen else _GONE for trial in trials])
    else:
        mirror.add_trials([_slim(trial) for trial in trials if trial.number in seen])
    return mirror


def draw(mirror: optuna.Study, space: Mapping[str, BaseDistribution], params: dict[str, float] | None = None) -> Trial:
    """A new trial in the mirror: drawn by the sampler from `space`, or with `params`."""
    if params is not None:
        mirror.enqueue_trial(params)
    return mirror.ask(dict(space))


def rungs(trial: Trial) -> dict[str, float]:
    """What successive halving keeps with a trial of the mirror, for the trials after it to compete with."""
    kept = trial.study.get_trials(deepcopy=False)[trial.number].system_attrs
    return {name: value for name, value in kept.items() if name.startswith("completed_rung_")}


def pruner(kind: Pruner, epochs: int) -> BasePruner:
    """Optuna's, for trials of so many epochs."""
    if kind == "median":
        return MedianPruner(n_startup_trials=8, n_warmup_steps=epochs // 6, interval_steps=max(1, epochs // _CHECKS))
    if kind == "hyperband":
        return HyperbandPruner(min_resource=max(1, epochs // 9), max_resource=epochs, reduction_factor=3)
    if kind == "successive_halving":
        return SuccessiveHalvingPruner(min_resource=max(1, epochs // 9), reduction_factor=3)
    return NopPruner()


def _slim(trial: FrozenTrial) -> FrozenTrial:
    """What samplers and pruners read of it; the mirror copies it whole."""
    return create_trial(
        state=trial.state,
        value=trial.value,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )


def _window(trials: Sequence[FrozenTrial]) -> set[int]:
    """Numbers of the trials that are looked at."""
    running = {trial.number for trial in trials if trial.state == TrialState.RUNNING}
    finished = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    if len(finished) > WINDOW:
        complete = [trial for trial in finished if trial.state == TrialState.COMPLETE]
        best = sorted(complete, key=lambda trial: trial.value or 0.0, reverse=True)[:_BEST]
        finished = [*best, *finished[_BEST - WINDOW :]]
    return running | {trial.number for trial in finished}
