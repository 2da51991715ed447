"""Any number of pictures through a graph that takes a fixed number of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def run(graph: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray, batch: int) -> np.ndarray:
    """float32 (n, r, r, 3), n > 0 -> float32 (n, d).

    Args:
        graph: float32 (batch, r, r, 3) -> float32 (batch, d); the last batch is filled up with zeros.
    """
    missing = -len(pictures) % batch
    filled = np.pad(pictures, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else pictures
    parts = [graph(filled[start : start + batch]) for start in range(0, len(filled), batch)]
    return np.concatenate(parts)[: len(pictures)]
