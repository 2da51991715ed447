"""What training returns, whichever way it was done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from scipy.special import log_softmax

from pipeline.config import Aim
from pipeline.shell.errors import UserError

Trained = TypeVar("Trained")

_LOSSES = ("train_loss", "val_loss")

Curves = dict[str, np.ndarray]
"""train_loss, train_top1, val_loss, val_top1, val_balanced_top1, learning_rate -> one value for each epoch."""

Watch = Callable[[int, np.ndarray, Curves], np.ndarray]
"""Told after every validated epoch, the last included: its number, from 1; the indices of the configs that are still in
training, int (A,); and their scores, name -> float (A,). Answers which of them go on, bool (A,); nothing hangs on the
answer after the last epoch."""


def go_on(epoch: int, indices: np.ndarray, scores: Curves) -> np.ndarray:
    """The watch that stops nobody."""
    return np.ones(len(indices), bool)


@dataclass(frozen=True)
class Fit(Generic[Trained]):
    """One finished fit.

    Attributes:
        curves: name -> float (epochs,); they end with the last epoch that was trained.
        best_epoch: 1-based, the one that counts: the last one where the learning rate is annealed, or nothing was
            validated; else the one with the highest score that was aimed at, of several the one with the lowest
            val_loss, then the first. 0 where nothing was trained; what was validated then has curves of one value.
        best: what was trained, as it was at best_epoch.
        failure: why the fit is worthless, or empty.
        pruned: a watch stopped it before its last epoch.
    """

    curves: Curves
    best_epoch: int
    best: Trained
    failure: str = ""
    pruned: bool = False

    @property
    def val_top1(self) -> float:
        """At the best epoch, as a fraction."""
        return self._at_best("val_top1")

    @property
    def scores(self) -> dict[str, float]:
        """best_val_top1 and best_val_balanced_top1: those of the best epoch, as fractions."""
        names = ("val_top1", "val_balanced_top1")
        return {f"best_{name}": self._at_best(name) for name in names}

    def rank(self, aim: Aim) -> tuple[float, float]:
        """What the best of several fits has the largest of: the score aimed at, and less loss, at the best epoch."""
        return self._at_best(f"val_{aim}"), -self._at_best("val_loss")

    def require_finite(self) -> None:
        """Raises UserError where the fit is worthless."""
        if self.failure:
            raise UserError(
                f"wanted a loss that is a number. Received: {self.failure}, at a learning rate of "
                f"{self.curves['learning_rate'][0]:g}. Try: a lower --learning_rate"
            )

    @property
    def rates(self) -> np.ndarray:
        """The learning rate of every epoch up to the best."""
        return self.curves["learning_rate"][: self.best_epoch]

    def _at_best(self, name: str) -> float:
        return float(self.curves[name][max(1, self.best_epoch) - 1])


class Course(Generic[Trained]):
    """One fit on its way: its epochs so far, and what was trained as it was after the best of them.

    Args:
        index: which of the configs it trains.
        aim: the score that says which epoch is the best.
        anneals: whether the learning rate falls to zero by the last epoch, which then counts: the best of many noisy
            scores lies where the rate is high still.
    """

    def __init__(self, index: int, aim: Aim = "top1", anneals: bool = False) -> None:
        self.index, self.pruned, self._aim = index, False, "" if anneals else f"val_{aim}"
        self._rows: list[dict[str, float]] = []
        self._best: tuple[tuple[float, float], int, Trained] | None = None

    def add(self, row: dict[str, float], trained: Callable[[], Trained]) -> None:
        """Files an epoch's scores; `trained` is called for a copy where they are the best so far."""
        self._rows.append(row)
        score = (row[self._aim], -row["val_loss"]) if self._aim in row else (float(self.epoch), 0.0)
        if self._best is None or score > self._best[0]:
            self._best = (score, self.epoch, trained())

    @property
    def epoch(self) -> int:
        """How many were trained."""
        return len(self._rows)

    @property
    def last(self) -> dict[str, float]:
        """The scores of the last epoch trained."""
        return self._rows[-1]

    @property
    def failed(self) -> bool:
        """Whether the last epoch ended with a loss that is NaN or infinite."""
        return not all(np.isfinite(self.last.get(name, 0.0)) for name in _LOSSES)

    def result(self) -> Fit[Trained]:
        """Needs an epoch at least."""
        if self._best is None:
            raise ValueError("a fit without an epoch has no result")
        curves = {name: np.array([row[name] for row in self._rows]) for name in self.last}
        _, epoch, trained = self._best
        return Fit(curves, epoch, trained, failure=_not_finite(curves), pruned=self.pruned)


def remaining(courses: Sequence[Course[Trained]], watch: Watch, epochs: int) -> list[Course[Trained]]:
    """Those of `courses` that are to be trained on, after an epoch that all of them have filed.

    A failed one leaves unseen by `watch`, which is not asked where nothing was validated. One that `watch` stops leaves
    as pruned, except after the last of `epochs`.
    """
    going = [course for course in courses if not course.failed]
    if not going or "val_loss" not in going[0].last:
        return going
    epoch, indices = going[0].epoch, np.array([course.index for course in going])
    scores = {name: np.array([course.last[name] for course in going]) for name in going[0].last}
    answers = watch(epoch, indices, scores)
    if epoch < epochs:
        for course, answer in zip(going, answers, strict=True):
            course.pruned = not answer
    return [course for course in going if not course.pruned]


def scores_of(logits: np.ndarray, labels: np.ndarray) -> Curves:
    """val_loss, val_top1 and val_balanced_top1, one value each, of logits (n, C) of pictures with labels (n,)."""
    right = logits.argmax(axis=1) == labels
    losses = -log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]
    by_class = [right[labels == label].mean() for label in np.unique(labels)]
    found = {"val_loss": losses.mean(), "val_top1": right.mean(), "val_balanced_top1": np.mean(by_class)}
    return {name: np.array([value]) for name, value in found.items()}


def _not_finite(curves: Curves) -> str:
    """Names the first epoch with a loss that is NaN or infinite, or returns ''."""
    for name in _LOSSES:
        bad = np.flatnonzero(~np.isfinite(curves.get(name, np.zeros(0))))
        if len(bad):
            return f"{name} is {curves[name][bad[0]]} in epoch {bad[0] + 1}"
    return ""
