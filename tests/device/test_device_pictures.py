from __future__ import annotations

import numpy as np
import pytest

from pipeline.datasets import resizing
from pipeline.datasets.pictures import from_arrays
from pipeline.device import pictures


@pytest.mark.parametrize("side", [20, 48])
def test_they_are_what_the_decoder_without_tensorflow_gives(tmp_path, side):
    whole = np.random.default_rng(0).integers(0, 256, (70, 31, 47, 3), dtype=np.uint8)
    split, counted = from_arrays("test", whole, np.zeros(70), "noise"), []
    kept = pictures.written(split, side, tmp_path / "kept.npy", progress=counted.append)
    np.testing.assert_array_equal(kept, [resizing.to_bytes(one, side) for one in whole])
    assert sum(counted) == 70


def test_some_of_them(tmp_path):
    whole = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((10, 4, 4, 3), np.uint8)
    indices = pictures.some_of(10, 4, seed=1)
    kept = pictures.written(from_arrays("train", whole, np.zeros(10), "x"), 4, tmp_path / "kept.npy", indices)
    assert kept[:, 0, 0, 0].tolist() == indices.tolist() == sorted(set(indices))
    assert pictures.some_of(3, 4, seed=1).tolist() == [0, 1, 2]
