"""What Optuna may draw for a trial: the learning rate and Adam's two memories, nothing else."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from optuna.distributions import FloatDistribution

from pipeline.config import (
    FINETUNING_RATE_RANGE,
    LEARNING_RATE_RANGE,
    ONE_MINUS_BETA_1_RANGE,
    ONE_MINUS_BETA_2_RANGE,
    TrainConfig,
)

HYPERPARAMETERS = ("learning_rate", "beta_1", "beta_2")
DISTRIBUTIONS = {
    "learning_rate": FloatDistribution(*LEARNING_RATE_RANGE, log=True),
    "one_minus_beta_1": FloatDistribution(*ONE_MINUS_BETA_1_RANGE, log=True),
    "one_minus_beta_2": FloatDistribution(*ONE_MINUS_BETA_2_RANGE, log=True),
}
FINETUNING_RATES = FloatDistribution(*FINETUNING_RATE_RANGE, log=True)

Space = Mapping[str, FloatDistribution]
"""What each of the three is drawn from."""


def distributions(finetunes: bool) -> dict[str, FloatDistribution]:
    """The space of a search; fine-tuning wants smaller learning rates."""
    return {**DISTRIBUTIONS, "learning_rate": FINETUNING_RATES} if finetunes else dict(DISTRIBUTIONS)


def train_config(base: TrainConfig, params: Mapping[str, float]) -> TrainConfig:
    """`base` with the three hyperparameters of a trial whose draw is `params`; as it is where nothing was drawn."""
    if not params:
        return base
    return dataclasses.replace(
        base,
        learning_rate=params["learning_rate"],
        beta_1=1 - params["one_minus_beta_1"],
        beta_2=1 - params["one_minus_beta_2"],
    )


def understood(given: Mapping[str, object], space: Space) -> dict[str, float]:
    """A person's values under the names that are drawn; `beta_1` is understood as well as `one_minus_beta_1`.

    Raises ValueError, which names it, where a name or a value is not of `space`.
    """
    found: dict[str, float] = {}
    for name, value in given.items():
        own = f"one_minus_{name}" if name in ("beta_1", "beta_2") else name
        if own not in space:
            raise ValueError(f"{name}, which is none of {', '.join(HYPERPARAMETERS)}")
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError(f"{name} {value!r}, which is no number")
        if own in found:
            raise ValueError(f"{name} twice, as {own}, too")
        found[own] = float(value) if own == name else 1 - float(value)
        low, high = space[own].low, space[own].high
        for bound in (low, high):  # 1 - 0.9999 is a little less than 1e-4
            found[own] = bound if math.isclose(found[own], bound, rel_tol=1e-9) else found[own]
        if not low <= found[own] <= high:
            limits = (low, high) if own == name else (1 - high, 1 - low)
            raise ValueError(f"{name} {value}, which is not within {limits[0]:g} to {limits[1]:g}")
    return found
