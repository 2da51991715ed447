"""One scale for every feature table, so that one range of learning rates suits every backbone.

Pooled features of one backbone vary by 0.05 and of another by 0.7, and Adam's steps do not follow. Heads are therefore
trained on centred features divided by one number, and written back onto the features as they are: a dense layer
absorbs such a map without a trace. Each feature keeps its variance relative to the others; dividing each by its own
cost accuracy on digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.training.heads import Head


@dataclass(frozen=True)
class Scaling:
    """x -> (x - mean) / scale.

    Attributes:
        mean: float32 (d,).
        scale: the mean over features of their standard deviation.
    """

    mean: np.ndarray
    scale: float

    @classmethod
    def of(cls, features: np.ndarray) -> Scaling:
        """That of the training pictures' features, float32 (n, d)."""
        return cls(features.mean(axis=0), float(features.std(axis=0).mean()))

    def apply(self, features: np.ndarray) -> np.ndarray:
        """float32 (n, d) -> float32 (n, d)."""
        return (features - self.mean) / np.float32(self.scale)

    def onto_scaled(self, head: Head) -> Head:
        """The head that answers on scaled features as `head` does on plain ones."""
        return Head(head.kernel * np.float32(self.scale), head.bias + self.mean @ head.kernel)

    def onto_plain(self, head: Head) -> Head:
        """The head that answers on plain features as `head` does on scaled ones."""
        kernel = head.kernel / np.float32(self.scale)
        return Head(kernel, head.bias - self.mean @ kernel)
