"""What probabilities are worth: a temperature that makes them honest, and a confidence below which "none" is answered.

Guo et al. 2017 (arXiv:1706.04599), section 4.2: logits are divided by the one number that gives the validation pictures
the lowest crossentropy. It changes no answer. A softmax has to name a class even where the picture shows none of them;
Hendrycks and Gimpel 2017 (arXiv:1610.02136) take a low maximum for a sign of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

KEPT = 0.95  # of the right answers on validation pictures have at least the confidence that is asked for
LARGEST = 100.0  # temperature, and one over the smallest
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
    (count, classes), logits = logits.shape, logits.astype(np.float64)
    right = logits.argmax(axis=1) == labels
    # Platt 1999, section 2.2: targets as if one more picture had been right and one wrong, or a head without a mistake
    # would be taken for infallible.
    others = 1 / ((count + 2) * (classes - 1))
    targets = np.full(logits.shape, others)
    targets[np.arange(count), labels] = (count + 1) / (count + 2)

    def crossentropy(log_temperature: float) -> float:
        """The mean over the pictures."""
        return float(-(targets * log_softmax(logits * np.exp(-log_temperature), axis=1)).sum(axis=1).mean())

    bound = np.log(LARGEST)
    found = minimize_scalar(crossentropy, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-3})
    temperature = float(np.exp(found.x))
    confidence = np.exp(log_softmax(logits / temperature, axis=1).max(axis=1))
    below = np.quantile(confidence[right], 1 - KEPT, method="lower") if right.any() else 0.0
    return Calibration(temperature, max(0.0, float(below) - ROUNDING))
