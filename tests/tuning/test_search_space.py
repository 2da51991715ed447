"""What Optuna may draw."""

from __future__ import annotations

import pytest

from pipeline.config import TrainConfig
from tuning import search_space

BASE = TrainConfig(dataset="digits", epochs=2)


def test_a_draw_becomes_a_configuration():
    drawn = {"learning_rate": 3e-4, "one_minus_beta_1": 0.2, "one_minus_beta_2": 0.001}
    config = search_space.train_config(BASE, drawn)
    assert config.learning_rate == 3e-4
    assert config.beta_1 == pytest.approx(0.8)
    assert config.beta_2 == pytest.approx(0.999)
    assert config.epochs == BASE.epochs


@pytest.mark.parametrize("edge", ["low", "high"])
def test_the_edges_of_every_range_are_legal_for_adam(edge):
    drawn = {name: getattr(range_, edge) for name, range_ in search_space.DISTRIBUTIONS.items()}
    search_space.train_config(BASE, drawn)


def test_every_range_is_searched_on_a_log_scale():
    assert set(search_space.DISTRIBUTIONS) == {"learning_rate", "one_minus_beta_1", "one_minus_beta_2"}
    assert all(range_.log for range_ in search_space.DISTRIBUTIONS.values())


def test_finetuning_draws_smaller_learning_rates():
    frozen, finetuned = search_space.distributions(False), search_space.distributions(True)
    assert frozen == search_space.DISTRIBUTIONS
    assert finetuned["learning_rate"].high < frozen["learning_rate"].high
    assert {name for name in frozen if finetuned[name] != frozen[name]} == {"learning_rate"}


def test_a_persons_values_are_understood_under_either_name():
    given = {"learning_rate": 0.01, "beta_1": 0.75, "one_minus_beta_2": 0.001}
    wanted = {"learning_rate": 0.01, "one_minus_beta_1": 0.25, "one_minus_beta_2": 0.001}
    assert search_space.understood(given, search_space.DISTRIBUTIONS) == wanted
    assert search_space.understood({}, search_space.DISTRIBUTIONS) == {}
