"""Sampler, pruner, and the study in memory with which one round is drawn and pruned.

Optuna's samplers and pruners ask their storage for every draw and every report. So each round has a study in memory of
its own, made from the finished trials of the rounds before it; of more than SAMPLER_WINDOW of these only the best and
the newest are looked at, or a search of 2,000 trials would take 35 ms for each draw. Nothing of it outlives the round:
a driver that starts again draws the very same trials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from pipeline.config import (
    MEDIAN_STARTUP_TRIALS,
    MEDIAN_WARMUP,
    PRUNER_CHECKS,
    PRUNER_REDUCTION,
    PRUNER_RUNGS,
    SAMPLER_BEST,
    SAMPLER_WINDOW,
    Pruner,
)
from tuning.search_space import Space
from tuning.studies import FIT, objective_curve

_GONE = create_trial(state=TrialState.FAIL)  # which samplers and pruners pass over


def draw(study: optuna.Study, space: Space, fixed: Sequence[Mapping[str, float] | None], skip: int = 0) -> list[Trial]:
    """The trials of a round, drawn one after another, each knowing of those before it.

    Args:
        fixed: for each trial the values that it must have, or None for a draw; values that are not given are drawn.
        skip: how many of the first are left out of what is returned: they were drawn, and run, before.
    """
    trials = []
    for values in fixed:
        if values is not None:
            study.enqueue_trial(dict(values))
        trials.append(study.ask(dict(space)))
    return trials[skip:]


def round_study(
    name: str, finished: Sequence[FrozenTrial], space: Space, seed: int, pruner: BasePruner
) -> optuna.Study:
    """The study in memory for the round that follows `finished`, all trials of the rounds before, in order.

    The sampler is seeded by (seed, how many there are), so that no round repeats the draws of another.
    """
    state = int(np.random.SeedSequence([seed, len(finished)]).generate_state(1)[0])
    # A trial of the same round, of which nothing is known, is taken for a bad one, so that the round spreads.
    sampler = TPESampler(seed=state, multivariate=True, constant_liar=True)
    study = optuna.create_study(study_name=name, direction="maximize", sampler=sampler, pruner=pruner)
    seen = _window(finished)
    # Hyperband deals its brackets by a trial's number, so there each keeps its own.
    keep_numbers = isinstance(pruner, HyperbandPruner)
    for number, trial in enumerate(finished):
        if number in seen:
            study.add_trial(_slim(trial, space))
        elif keep_numbers:
            study.add_trial(_GONE)
    return study


def pruner_of(kind: Pruner, epochs: int) -> BasePruner:
    """Optuna's, for trials of so many epochs."""
    # So many, and rounded up, that no last rung stops trials that are all but done.
    count = PRUNER_RUNGS if epochs >= PRUNER_REDUCTION**PRUNER_RUNGS else PRUNER_RUNGS - 1
    shortest = math.ceil(epochs / PRUNER_REDUCTION**count)
    if kind == "median":
        interval = max(1, epochs // PRUNER_CHECKS)
        return MedianPruner(MEDIAN_STARTUP_TRIALS, n_warmup_steps=int(epochs * MEDIAN_WARMUP), interval_steps=interval)
    if kind == "hyperband":
        return HyperbandPruner(shortest, max_resource=epochs, reduction_factor=PRUNER_REDUCTION)
    if kind == "successive_halving":
        return SuccessiveHalvingPruner(shortest, reduction_factor=PRUNER_REDUCTION)
    return NopPruner()


def rungs(trial: Trial) -> dict[str, float]:
    """What successive halving keeps with a trial, for the trials after it to compete with."""
    kept = trial.study.get_trials(deepcopy=False)[trial.number].system_attrs
    return {name: value for name, value in kept.items() if name.startswith("completed_rung_")}


def _slim(trial: FrozenTrial, space: Space) -> FrozenTrial:
    """What samplers and pruners read of it, every epoch's value among that; the study in memory copies it whole."""
    curve = objective_curve(trial.user_attrs.get(FIT, {}))
    return create_trial(
        state=trial.state,
        value=trial.value,
        params=trial.params,
        distributions=dict(space),
        system_attrs=trial.system_attrs,
        intermediate_values=dict(enumerate(curve, start=1)),
    )


def _window(trials: Sequence[FrozenTrial]) -> set[int]:
    """Which of `trials`, by their positions, are looked at; not the start of the fits, for which nothing was drawn."""
    finished = [
        index
        for index, trial in enumerate(trials)
        if trial.params and trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    ]
    if len(finished) > SAMPLER_WINDOW:
        complete = [index for index in finished if trials[index].state == TrialState.COMPLETE]
        best = sorted(complete, key=lambda index: trials[index].value or 0.0, reverse=True)[:SAMPLER_BEST]
        finished = [*best, *finished[SAMPLER_BEST - SAMPLER_WINDOW :]]
    return set(finished)
