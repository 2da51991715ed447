"""How the learning rate of each head of a wave moves from epoch to epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pipeline.config import PLATEAU_FACTOR, PLATEAU_MIN_DELTA, PLATEAU_PATIENCE, TrainConfig


class Schedule(Protocol):
    """`rates` float (K,) are those of the coming epoch; `step` is told the epoch's validation losses (K,).

    `keep` goes on with the heads in `slots`, int (L,), alone, in that order.
    """

    rates: np.ndarray

    def step(self, val_loss: np.ndarray | None) -> None: ...

    def keep(self, slots: np.ndarray) -> None: ...


def of(configs: Sequence[TrainConfig]) -> Schedule:
    """The schedule of the first of `configs`, from each one's learning rate."""
    initial = np.array([config.learning_rate for config in configs])
    kind, epochs = configs[0].schedule, configs[0].epochs
    if kind == "plateau":
        return Plateau(initial)
    falls = [0.5 * (1 + math.cos(math.pi * epoch / epochs)) if kind == "cosine" else 1.0 for epoch in range(epochs)]
    return Fixed(np.outer(falls, initial))


class Fixed:
    """Rates known beforehand: constant, cosine, or another fit's curve replayed.

    Args:
        table: (epochs, K).
    """

    def __init__(self, table: np.ndarray) -> None:
        self._table = table
        self._epoch = 0
        self.rates = table[0]

    def step(self, val_loss: np.ndarray | None) -> None:
        """See Schedule."""
        self._epoch += 1
        self.rates = self._table[min(self._epoch, len(self._table) - 1)]

    def keep(self, slots: np.ndarray) -> None:
        """See Schedule."""
        self._table, self.rates = self._table[:, slots], self.rates[slots]


class Plateau:
    """Reduce on plateau, each head by its own validation loss, as keras.callbacks.ReduceLROnPlateau does."""

    def __init__(self, initial: np.ndarray) -> None:
        self.rates = initial
        self._lowest = np.full(len(initial), np.inf)
        self._waited = np.zeros(len(initial), int)

    def step(self, val_loss: np.ndarray | None) -> None:
        """Halves the rate of each head whose loss, (K,), has stalled."""
        if val_loss is None:
            raise ValueError("reduce on plateau needs a validation loss")
        improved = val_loss < self._lowest - PLATEAU_MIN_DELTA
        self._lowest = np.where(improved, val_loss, self._lowest)
        self._waited = np.where(improved, 0, self._waited + 1)
        stalled = self._waited >= PLATEAU_PATIENCE
        self.rates = np.where(stalled, self.rates * PLATEAU_FACTOR, self.rates)
        self._waited = np.where(stalled, 0, self._waited)

    def keep(self, slots: np.ndarray) -> None:
        """See Schedule."""
        self.rates, self._lowest, self._waited = self.rates[slots], self._lowest[slots], self._waited[slots]
