"""Heads without a fit: the linear discriminant, for every shrinkage, from sums that add up.

Hastie, Tibshirani and Friedman, The Elements of Statistical Learning (2nd edition), sections 4.3 and 4.3.1: classes are
taken for normal clouds of one shape, whose covariance is shrunk towards a ball. All that it needs of n pictures is how
many are of each class, the sums of their features, and one Gram matrix. Such moments of parts add up, so that a table
is read in chunks, and those of a fold are taken away from those of all. One eigendecomposition serves every shrinkage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.sparse import csr_array

from pipeline.config import Aim
from pipeline.training.calibration import calibrate
from pipeline.training.heads import Head

SHRINKAGES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""What is added to the variance in every direction, in units of the mean variance."""

AT_ONCE = 4096  # rows that are in memory in double precision
JUDGED_BY = 20_000  # rows at most, that say which shrinkage is the best


@dataclass(frozen=True)
class Moments:
    """Sums over pictures.

    Attributes:
        counts: float64 (C,), of the pictures of each class.
        sums: float64 (C, d), of their features.
        gram: float64 (d, d), the features' transpose times the features.
    """

    counts: np.ndarray
    sums: np.ndarray
    gram: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray, classes: int) -> Moments:
        """Of rows float32 (n, d), which may lie on a disk, with labels int (n,)."""
        width = features.shape[1]
        sums, gram = np.zeros((classes, width)), np.zeros((width, width))
        for begin in range(0, len(labels), AT_ONCE):
            rows, own = np.asarray(features[begin : begin + AT_ONCE], np.float64), labels[begin : begin + AT_ONCE]
            sums += csr_array((np.ones(len(own)), (own, np.arange(len(own)))), (classes, len(own))) @ rows
            gram += rows.T @ rows
        return cls(np.bincount(labels, minlength=classes).astype(np.float64), sums, gram)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.counts + other.counts, self.sums + other.sums, self.gram + other.gram)

    def __sub__(self, other: Moments) -> Moments:
        return Moments(self.counts - other.counts, self.sums - other.sums, self.gram - other.gram)


class Discriminant:
    """Every shrinkage of the discriminant of pictures with these moments.

    Args:
        balanced: takes the classes for equally frequent, as class weights do in training.

    Raises ValueError where a class has no picture.
    """

    def __init__(self, moments: Moments, balanced: bool = False) -> None:
        counts, sums = moments.counts, moments.sums
        if not counts.all():
            raise ValueError("a discriminant needs a picture of every class")
        self._counts, self._freedom = counts, counts.sum() - len(counts)
        self._priors = np.zeros(len(counts)) if balanced else np.log(counts / counts.sum())
        means = sums / counts[:, None]
        values, self._directions = linalg.eigh(moments.gram - sums.T @ means)
        self._scatter = np.maximum(values, 0)
        self._means = means @ self._directions  # seen along the directions, as all that follows
        # Where no class has two pictures all directions are alike.
        self._scale = self._scatter.mean() or 1.0

    def head(self, shrinkage: float) -> Head:
        """For plain logits."""
        along = self._means * (max(self._freedom, 1) * self._inverse(shrinkage))
        bias = self._priors - (along * self._means).sum(axis=1) / 2
        return Head((self._directions @ along.T).astype(np.float32), bias.astype(np.float32))

    def leave_one_out(
        self, features: np.ndarray, labels: np.ndarray, shrinkages: Sequence[float]
    ) -> Iterator[np.ndarray]:
        """For each shrinkage, logits (n, C) of some of the pictures, each by the discriminant of all others.

        Exact: without one picture the scatter loses a matrix of rank one (Sherman and Morrison 1950), and the mean of
        its class moves. Every picture needs another one of its class.
        """
        seen = np.asarray(features, np.float64) @ self._directions
        squares = seen**2
        for shrinkage in shrinkages:
            yield self._left_out(seen, squares, labels, self._inverse(shrinkage))

    def _left_out(self, seen: np.ndarray, squares: np.ndarray, labels: np.ndarray, inverse: np.ndarray) -> np.ndarray:
        rows = np.arange(len(labels))
        products, between = (seen * inverse) @ self._means.T, (self._means * inverse) @ self._means.T
        own, lengths = products[rows, labels], np.diag(between)
        gain = self._counts[labels] / (self._counts[labels] - 1)
        # `off` is a picture less its class's mean: its products with the picture, with all means, and with itself.
        off_picture, off_means = squares @ inverse - own, products - between[labels]
        off_off = off_picture - own + lengths[labels]
        gain = gain / (1 - gain * off_off)
        products = products + (gain * off_picture)[:, None] * off_means
        lengths = lengths + gain[:, None] * off_means**2
        moved, grown = 1 / (self._counts[labels] - 1), 1 + gain * off_off
        products[rows, labels] -= moved * off_picture * grown
        lengths[rows, labels] += moved * off_off * grown * moved - 2 * moved * off_means[rows, labels] * grown
        return max(self._freedom - 1, 1) * (products - lengths / 2) + self._priors

    def _inverse(self, shrinkage: float) -> np.ndarray:
        return 1 / (self._scatter + shrinkage * self._scale)


def discriminants(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    folds: np.ndarray | None = None,
    balanced: bool = False,
    aim: Aim = "top1",
) -> tuple[Head, ...]:
    """The discriminant of rows (n, d) with labels int (n,); or one for each of `folds`, int (n,), of all other rows.

    Its shrinkage is the best by leaving one out of all; so is the temperature by which its probabilities are honest,
    by leaving one out of its own rows: the fewer they are, the larger its logits.
    """
    whole = Moments.of(features, labels, classes)
    everything, of_whole = np.arange(len(labels)), Discriminant(whole, balanced)
    shrinkage, temperature = _settled(of_whole, whole.counts, features, labels, everything, aim)
    if folds is None:
        return (_cooled(of_whole.head(shrinkage), temperature),)
    found = []
    for fold in range(int(folds.max()) + 1):
        part, own = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        moments = whole - Moments.of(features[part], labels[part], classes)
        discriminant = Discriminant(moments, balanced)
        _same, temperature = _settled(discriminant, moments.counts, features, labels, own, aim, (shrinkage,))
        found.append(_cooled(discriminant.head(shrinkage), temperature))
    return tuple(found)


def _cooled(head: Head, temperature: np.float32) -> Head:
    return Head(head.kernel / temperature, head.bias / temperature)


def _settled(
    discriminant: Discriminant,
    counts: np.ndarray,
    features: np.ndarray,
    labels: np.ndarray,
    own: np.ndarray,
    aim: Aim,
    shrinkages: Sequence[float] = SHRINKAGES,
) -> tuple[float, np.float32]:
    """Shrinkage, one of those given, and temperature; by the rows `own`, which the discriminant is of."""
    judges = own[counts[labels[own]] > 1]
    judges = judges[:: max(1, -(-len(judges) // JUDGED_BY))]
    if not len(judges):
        return 1.0, np.float32(1)
    truth, rows = labels[judges], features[judges]
    weights = 1 / counts[truth] if aim == "balanced_top1" else np.ones(len(judges))
    most, best, logits = -1.0, 1.0, np.zeros(0)
    for shrinkage, found in zip(shrinkages, discriminant.leave_one_out(rows, truth, shrinkages), strict=True):
        if (right := float(weights @ (found.argmax(axis=1) == truth))) > most:
            most, best, logits = right, shrinkage, found
    return best, np.float32(calibrate(logits, truth).temperature)
