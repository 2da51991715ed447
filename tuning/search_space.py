"""What Optuna may draw for a trial: the learning rate and Adam's two memories, nothing else."""

from __future__ import annotations

import dataclasses

from optuna.trial import BaseTrial

from pipeline.config import LEARNING_RATE_RANGE, ONE_MINUS_BETA_1_RANGE, ONE_MINUS_BETA_2_RANGE, TrainConfig

HYPERPARAMETERS = ("learning_rate", "beta_1", "beta_2")
RANGES = {
    "learning_rate": LEARNING_RATE_RANGE,
    "one_minus_beta_1": ONE_MINUS_BETA_1_RANGE,
    "one_minus_beta_2": ONE_MINUS_BETA_2_RANGE,
}


def suggest(trial: BaseTrial, base: TrainConfig) -> TrainConfig:
    """`base` with the three hyperparameters that `trial` draws, each log-uniform.

    A finished trial gives back what it had drawn.
    """
    drawn = {name: trial.suggest_float(name, low, high, log=True) for name, (low, high) in RANGES.items()}
    return dataclasses.replace(
        base,
        learning_rate=drawn["learning_rate"],
        beta_1=1 - drawn["one_minus_beta_1"],
        beta_2=1 - drawn["one_minus_beta_2"],
    )
