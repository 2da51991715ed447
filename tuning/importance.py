"""Which hyperparameters a cell's accuracy hung on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna
import pandas as pd
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

FEWEST = 4  # complete trials; fewer say nothing about three hyperparameters
SEEDS = 10  # random forests
TREES = 16  # at most, of each forest
TRIALS_TIMES_TREES = 640  # so that ten forests take about half a second, of 40 trials as of 400

_NAMES = {"one_minus_beta_1": "beta_1", "one_minus_beta_2": "beta_2"}


def importances(trials: Sequence[FrozenTrial]) -> pd.DataFrame:
    """Each hyperparameter's share of the variance of the value, by fANOVA (Hutter et al. 2014); the shares sum to 1.

    Optuna's default, PED-ANOVA, is faster but draws nothing at random, so it cannot say how far it may be trusted.

    Returns:
        columns hyperparameter, mean and deviation, of the shares by ten random forests; no rows where fewer than four
        trials are complete or all have the same value.
    """
    found = pd.DataFrame({"hyperparameter": pd.Series(dtype=str), "mean": 0.0, "deviation": 0.0})
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.params]
    if len(done) < FEWEST or len({trial.value for trial in done}) < 2:
        return found
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for trial in done:
        study.add_trial(create_trial(params=trial.params, distributions=trial.distributions, value=trial.value))
    trees = max(1, min(TREES, TRIALS_TIMES_TREES // len(done)))
    evaluators = [FanovaImportanceEvaluator(n_trees=trees, seed=seed) for seed in range(SEEDS)]
    shares = pd.DataFrame([get_param_importances(study, evaluator=evaluator) for evaluator in evaluators])
    shares = shares.rename(columns=_NAMES)
    if not all(map(math.isfinite, shares.mean())):
        return found
    return pd.DataFrame(
        {"hyperparameter": shares.columns, "mean": shares.mean().values, "deviation": shares.std(ddof=0).values}
    )
