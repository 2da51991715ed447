"""What Optuna may draw for a trial: the learning rate and Adam's two memories, nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from optuna.distributions import BaseDistribution, FloatDistribution

from pipeline.config import (
    FINETUNING_RATE_RANGE,
    LEARNING_RATE_RANGE,
    ONE_MINUS_BETA_1_RANGE,
    ONE_MINUS_BETA_2_RANGE,
    TrainConfig,
)

HYPERPARAMETERS = ("learning_rate", "beta_1", "beta_2")
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(*LEARNING_RATE_RANGE, log=True),
    "one_minus_beta_1": FloatDistribution(*ONE_MINUS_BETA_1_RANGE, log=True),
    "one_minus_beta_2": FloatDistribution(*ONE_MINUS_BETA_2_RANGE, log=True),
}
FINETUNING_RATES = FloatDistribution(*FINETUNING_RATE_RANGE, log=True)


def distributions(finetunes: bool) -> dict[str, BaseDistribution]:
    """What each of the three is drawn from; fine-tuning wants smaller learning rates."""
    return {**DISTRIBUTIONS, "learning_rate": FINETUNING_RATES} if finetunes else dict(DISTRIBUTIONS)


def train_config(base: TrainConfig, params: Mapping[str, float]) -> TrainConfig:
    """`base` with the three hyperparameters of a trial whose draw is `params`."""
    return dataclasses.replace(
        base,
        learning_rate=params["learning_rate"],
        beta_1=1 - params["one_minus_beta_1"],
        beta_2=1 - params["one_minus_beta_2"],
    )


def drawn(learning_rate: float, beta_1: float, beta_2: float) -> dict[str, float]:
    """The draw that `train_config` makes these three of; the betas come back to about 1e-16."""
    return {"learning_rate": learning_rate, "one_minus_beta_1": 1 - beta_1, "one_minus_beta_2": 1 - beta_2}
