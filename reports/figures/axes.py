"""Axes that the figures share: logarithmic ones with full tick labels, and the names of the three hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

from pipeline.config import (
    FINETUNING_RATE_RANGE,
    LEARNING_RATE_RANGE,
    ONE_MINUS_BETA_1_RANGE,
    ONE_MINUS_BETA_2_RANGE,
)
from reports.figures.labels import short

Hyperparameter = Literal["learning_rate", "beta_1", "beta_2"]

TITLES: dict[Hyperparameter, str] = {"learning_rate": "learning rate", "beta_1": "1 - β₁", "beta_2": "1 - β₂"}
Ranges = dict[Hyperparameter, tuple[float, float]]
RANGES: Ranges = {
    "learning_rate": LEARNING_RATE_RANGE,
    "beta_1": ONE_MINUS_BETA_1_RANGE,
    "beta_2": ONE_MINUS_BETA_2_RANGE,
}
FINETUNING_RANGES: Ranges = {**RANGES, "learning_rate": FINETUNING_RATE_RANGE}
TOP1 = "val top-1, %"

_MOST_TICKS = 6  # as many as a phone has room for


def finetunes(settings: Mapping[str, str]) -> bool:
    """Whether a sweep with these settings, name -> text, trained trained convolutions on."""
    return settings.get("freeze_conv", "true") == "false" and settings.get("weights") != "none"


def ranges(settings: Mapping[str, str]) -> Ranges:
    """Between which such a sweep drew."""
    return FINETUNING_RANGES if finetunes(settings) else RANGES


def searched(trials: pd.DataFrame, name: Hyperparameter) -> pd.Series:
    """The numbers that were searched on a log scale: the learning rates, or 1 - beta."""
    values = trials[name].astype(float)
    return values if name == "learning_rate" else 1 - values


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers in [low, high], at most six and, from a factor of 2 on, at least two: 1-2-5 or powers of ten."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(ticks) <= _MOST_TICKS:
            return ticks
    return ticks[:: math.ceil(len(ticks) / _MOST_TICKS)]


def log_axis(low: float, high: float, title: str, margin: float = 0.05) -> dict[str, Any]:
    """Layout of a logarithmic axis over [low, high], both > 0, with `margin` of its length to spare at both ends."""
    first, last = math.log10(low), math.log10(high)
    spare = margin * (last - first) or 0.1
    ticks = log_ticks(10 ** (first - spare), 10 ** (last + spare))
    return {
        "range": [first - spare, last + spare],
        "ticktext": [short(tick) for tick in ticks],
        "tickvals": ticks,
        "title": {"text": title},
        "type": "log",
    }
