"""Features take no more memory of a larger data set, but for what a split says of each picture."""

from __future__ import annotations

import multiprocessing

import pytest

from tests.bench.memory import peaks

FEW, MANY = 5_000, 20_000
MOST_GROWTH = 2_000  # bytes a picture; one that stayed in memory would take 3,000, or 28,000 when resized


@pytest.mark.slow
def test_memory_hardly_grows_with_the_number_of_pictures(tmp_path):
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # a process whose peak is its own
        few, many = pool.apply(peaks, ((FEW, MANY), str(tmp_path)))
    assert many - few < MOST_GROWTH * (MANY - FEW)
