"""What Optuna may draw."""

from __future__ import annotations

import optuna
import pytest

from pipeline.config import TrainConfig
from tuning import search_space

BASE = TrainConfig(dataset="digits", epochs=2)


def test_a_draw_becomes_a_configuration():
    trial = optuna.trial.FixedTrial({"learning_rate": 3e-4, "one_minus_beta_1": 0.2, "one_minus_beta_2": 0.001})
    config = search_space.suggest(trial, BASE)
    assert config.learning_rate == 3e-4
    assert config.beta_1 == pytest.approx(0.8)
    assert config.beta_2 == pytest.approx(0.999)
    assert config.epochs == BASE.epochs


@pytest.mark.parametrize("end", [0, 1])
def test_the_edges_of_every_range_are_legal_for_adam(end):
    trial = optuna.trial.FixedTrial({name: edges[end] for name, edges in search_space.RANGES.items()})
    search_space.suggest(trial, BASE)


def test_every_range_is_searched_on_a_log_scale():
    study = optuna.create_study()
    search_space.suggest(study.ask(), BASE)
    (trial,) = study.get_trials()
    assert trial.distributions == {
        name: optuna.distributions.FloatDistribution(low, high, log=True)
        for name, (low, high) in search_space.RANGES.items()
    }


def test_a_finished_trial_gives_back_what_it_drew():
    study = optuna.create_study()
    trial = study.ask()
    drawn = search_space.suggest(trial, BASE)
    study.tell(trial, 0.5)
    assert search_space.suggest(study.best_trial, BASE) == drawn
