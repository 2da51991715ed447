"""What probabilities are worth: a temperature that makes them honest, and a confidence below which "none" is answered.

Guo et al. 2017 (arXiv:1706.04599), section 4.2: logits are divided by the one number that gives the validation pictures
the lowest crossentropy. It changes no answer. A softmax has to name a class even where the picture shows none of them;
Hendrycks and Gimpel 2017 (arXiv:1610.02136) take a low maximum for a sign of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

KEPT = 0.95  # of the right answers on validation pictures have at least the confidence that is asked for
REACH = 100.0  # a temperature is looked for up to so many times the spread of the logits, and down to one of as many
FEW = 0.1  # of the pictures
FARTHEST = 4.0  # that a picture may lie on the wrong side, in margins as half of the right ones have
ROUNDING = 1e-6  # of a probability: models answer in single precision


@dataclass(frozen=True)
class Calibration:
    """Of one fit, by its validation pictures.

    Attributes:
        temperature: that logits are to be divided by, above 0.
        reject_below: the largest probability, after that, below which "none of these" is answered.
    """

    temperature: float
    reject_below: float


def calibrate(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """By logits (n, C), or log probabilities, of pictures that were not trained on, and their labels (n,)."""
    (count, classes), right = logits.shape, logits.argmax(axis=1) == labels
    logits = _tamed(logits.astype(np.float64), labels)
    # Platt 1999, section 2.2: targets as if one more picture had been right and one wrong, or a head without a mistake
    # would be taken for infallible.
    others = 1 / ((count + 2) * (classes - 1))
    targets = np.full(logits.shape, others)
    targets[np.arange(count), labels] = (count + 1) / (count + 2)

    def slope(log_temperature: float) -> float:
        """Of the summed crossentropy along 1 / temperature, in which it is convex: one root at most."""
        return float(np.vdot(softmax(logits * np.exp(-log_temperature), axis=1) - targets, logits))

    wide, temperature = spread(logits), 1.0
    if wide:  # or no temperature changes anything
        low, high = np.log(wide / REACH), np.log(wide * REACH)
        # Logits that are wrong too often have no root in reach, and end at `high`; a few that lie far apart may leave
        # all others at `low`.
        found = high if slope(high) >= 0 else low if slope(low) <= 0 else brentq(slope, low, high, xtol=1e-3)
        temperature = float(np.exp(found))
    confidence = softmax(logits / temperature, axis=1).max(axis=1)
    below = np.quantile(confidence[right], 1 - KEPT, method="lower") if right.any() else 0.0
    return Calibration(temperature, max(0.0, float(below) - ROUNDING))


def spread(logits: np.ndarray) -> float:
    """How far logits (n, C) lie apart: the standard deviation within a picture, over all of them."""
    return float((logits - logits.mean(axis=1, keepdims=True)).std()) if logits.size else 0.0


def _tamed(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The same, with no picture farther on the wrong side than FARTHEST, where it is FEW that are.

    Where nearly all is told apart, one wrong label may lie a hundred times as far on the wrong side as all others lie
    on the right one; by it alone every probability would become the same.
    """
    rows = np.arange(len(labels))
    others = logits.copy()
    others[rows, labels] = -np.inf
    margins = logits[rows, labels] - others.max(axis=1)
    if not (margins > 0).any():
        return logits
    bound = FARTHEST * np.median(margins[margins > 0])
    excess = np.maximum(-margins / bound, 1.0)
    return logits / excess[:, None] if np.mean(excess > 1) <= FEW else logits
