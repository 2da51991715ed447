"""Which hyperparameters a cell's accuracy hung on, asked of Optuna about trials that may stand in MLflow alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from pipeline.config import LEARNING_RATE_RANGE
from tuning.search_space import DISTRIBUTIONS, drawn

FEWEST = 4  # complete trials; fewer say nothing about three hyperparameters
TREES = 16  # at most, of each random forest
TRIALS_TIMES_TREES = 640  # so that ten forests take about half a second, of 40 trials as of 400


def importances(
    trials: pd.DataFrame, rates: tuple[float, float] = LEARNING_RATE_RANGE, seeds: int = 10
) -> dict[str, tuple[float, float]]:
    """Hyperparameter -> (mean, standard deviation) of its share of the variance, by fANOVA (Hutter et al. 2014).

    The deviation is that between `seeds` random forests. Optuna's default, PED-ANOVA, is faster but draws nothing at
    random, so it cannot say how far it may be trusted.

    Args:
        trials: with the columns state, val_top1, learning_rate, beta_1 and beta_2; only complete ones count.
        rates: between which their learning rates were drawn.

    Returns:
        shares that sum to 1; empty where fewer than four trials are complete or all have the same value.
    """
    columns = ["val_top1", "learning_rate", "beta_1", "beta_2"]
    done = trials.loc[trials["state"] == "COMPLETE", columns].astype(float).dropna()
    if len(done) < FEWEST or done["val_top1"].nunique() < 2:
        return {}
    study = _study(done, rates)
    trees = max(1, min(TREES, TRIALS_TIMES_TREES // len(done)))
    evaluators = [FanovaImportanceEvaluator(n_trees=trees, seed=seed) for seed in range(seeds)]
    found = pd.DataFrame([get_param_importances(study, evaluator=evaluator) for evaluator in evaluators]).rename(
        columns={"one_minus_beta_1": "beta_1", "one_minus_beta_2": "beta_2"}
    )
    numbers = zip(found.columns, found.mean().tolist(), found.std(ddof=0).tolist(), strict=True)
    shares = {name: (mean, deviation) for name, mean, deviation in numbers}
    return shares if all(math.isfinite(mean) for mean, _ in shares.values()) else {}


def _study(done: pd.DataFrame, rates: tuple[float, float]) -> optuna.Study:
    """An Optuna study in memory that holds these trials."""
    draws = [drawn(*row) for row in done[["learning_rate", "beta_1", "beta_2"]].to_numpy().tolist()]
    searched = {**DISTRIBUTIONS, "learning_rate": FloatDistribution(*rates, log=True)}
    spaces = {
        name: _wide_enough(cast(FloatDistribution, known), [draw[name] for draw in draws])
        for name, known in searched.items()
    }
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(params=draw, distributions=spaces, value=value)
            for draw, value in zip(draws, done["val_top1"], strict=True)
        ]
    )
    return study


def _wide_enough(known: FloatDistribution, values: Sequence[float]) -> BaseDistribution:
    """`known`, stretched to the sweeps of a release with wider ranges, and to 1 - (1 - x), which may end just outside.

    Optuna refuses a trial outside of its distribution.
    """
    return FloatDistribution(min(known.low, *values), max(known.high, *values), log=True)
