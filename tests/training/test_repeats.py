"""A setting fitted again with other seeds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipeline import datasets
from pipeline.config import TrainConfig
from pipeline.datasets import Dataset
from pipeline.shell.errors import UserError
from pipeline.training import repeats
from pipeline.training.frozen import HeadTrainer

RATES = np.array([3e-3, 1e-3, 0.0])
CONFIG = TrainConfig(dataset="digits", weights="tiny", alpha=0.25, resolution=32, train_limit=60, epochs=3)


@pytest.fixture
def config(tmp_path) -> TrainConfig:
    return dataclasses.replace(CONFIG, work_dir=str(tmp_path))


@pytest.fixture
def dataset(config) -> Dataset:
    return datasets.load(config)


def kernels(heads) -> list[np.ndarray]:
    return [head.kernel for head in heads]


def test_a_refit_is_that_of_the_next_seed_on_all_pictures(config, dataset):
    found = repeats.fitted(config, dataset, RATES, 2)
    other = dataclasses.replace(config, seed=config.seed + 1)
    (expected,) = HeadTrainer(other, dataset).refit(other, RATES).best
    np.testing.assert_array_equal(found["refit"][0].kernel, expected.kernel)
    assert {kind: len(heads) for kind, heads in found.items()} == {"refit": 2, "cut": 2}


def test_a_cut_is_trained_on_other_pictures_each_time(config, dataset):
    """The discriminant hangs on the pictures alone, not on the seed: that of all pictures is the same each time."""
    found = repeats.fitted(dataclasses.replace(config, head_init="discriminant"), dataset, np.array([]), 2)
    np.testing.assert_array_equal(*kernels(found["refit"]))
    first, second = kernels(found["cut"])
    assert not np.allclose(first, second)


def test_a_fit_that_diverges_is_told(config, dataset):
    with pytest.raises(UserError, match="wanted a loss that is a number"):
        repeats.fitted(dataclasses.replace(config, head_init="random", learning_rate=1e38), dataset, RATES, 2)
