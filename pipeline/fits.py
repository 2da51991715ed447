"""What training returns, whichever way it was done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from pipeline.errors import UserError

Trained = TypeVar("Trained")

Curves = dict[str, np.ndarray]
"""train_loss, train_top1, val_loss, val_top1, learning_rate -> one value for each epoch."""


@dataclass(frozen=True)
class Fit(Generic[Trained]):
    """One finished fit.

    Attributes:
        curves: name -> float (epochs,).
        best_epoch: 1-based, the one with the highest val_top1 (the last where nothing was validated).
        best: what was trained, as it was at best_epoch.
        failure: why the fit is worthless, or empty.
    """

    curves: Curves
    best_epoch: int
    best: Trained
    failure: str = ""

    @property
    def val_top1(self) -> float:
        """At the best epoch, as a fraction."""
        return float(self.curves["val_top1"][self.best_epoch - 1])

    def require_finite(self) -> None:
        """Raises UserError where the fit is worthless."""
        if self.failure:
            raise UserError(
                f"wanted a loss that is a number. Received: {self.failure}, at a learning rate of "
                f"{self.curves['learning_rate'][0]:g}. Way out: a lower --learning_rate"
            )

    @property
    def rates(self) -> np.ndarray:
        """The learning rate of every epoch up to the best."""
        return self.curves["learning_rate"][: self.best_epoch]


def not_finite(curves: Curves) -> str:
    """Names the first epoch with a loss that is NaN or infinite, or returns ''."""
    for name in ("train_loss", "val_loss"):
        bad = np.flatnonzero(~np.isfinite(curves.get(name, np.zeros(0))))
        if len(bad):
            return f"{name} is {curves[name][bad[0]]} in epoch {bad[0] + 1}"
    return ""
