"""Batches of a fixed size."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.features.engines import fixed


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_every_picture_comes_back_once_and_in_order(count):
    pictures = np.arange(count * 12, dtype=np.float32).reshape(count, 2, 2, 3)
    sizes = []

    def graph(some: np.ndarray) -> np.ndarray:
        sizes.append(len(some))
        return some.sum(axis=(1, 2))

    np.testing.assert_array_equal(fixed.run(graph, pictures, 4), pictures.sum(axis=(1, 2)))
    assert set(sizes) == {4}
