"""Which hyperparameters the accuracy hung on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuning.importance import importances
from tuning.search_space import DISTRIBUTIONS


def trials(count: int = 40, state: TrialState = TrialState.COMPLETE) -> list[FrozenTrial]:
    """Whose value hangs on the learning rate, a little on beta_1, and not on beta_2."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        params = {
            name: float(np.exp(rng.uniform(math.log(known.low), math.log(known.high))))
            for name, known in DISTRIBUTIONS.items()
        }
        value = 0.9 - 0.05 * (math.log10(params["learning_rate"]) + 3) ** 2 - 0.1 * params["one_minus_beta_1"]
        value = value if state == TrialState.COMPLETE else None
        found.append(create_trial(state=state, value=value, params=params, distributions=dict(DISTRIBUTIONS)))
    return found


def shares(found: list[FrozenTrial]) -> dict[str, float]:
    table = importances(found)
    return dict(zip(table["hyperparameter"], table["mean"], strict=True))


def test_what_made_the_difference_comes_out_on_top():
    found = importances(trials())
    assert set(found["hyperparameter"]) == {"learning_rate", "beta_1", "beta_2"}
    assert found["mean"].sum() == pytest.approx(1)
    assert found["deviation"].between(0, 0.2, inclusive="neither").all()
    mean = shares(trials())
    assert mean["learning_rate"] > 0.6 > mean["beta_1"] > mean["beta_2"]


def test_the_same_trials_give_the_same_shares():
    assert importances(trials()).equals(importances(trials()))


def test_only_complete_trials_count():
    assert shares([*trials(20), *trials(20, TrialState.FAIL)]) == shares(trials(20))
    assert len(importances(trials(4))) == 3
    assert len(importances(trials(3))) == 0


def test_of_trials_that_are_all_equal_nothing_can_be_said():
    same = [create_trial(value=0.9, params=trial.params, distributions=trial.distributions) for trial in trials(10)]
    found = importances(same)
    assert list(found.columns) == ["hyperparameter", "mean", "deviation"]
    assert len(found) == 0


def test_the_start_for_which_nothing_was_drawn_says_nothing():
    assert importances([create_trial(value=0.2), *trials()]).equals(importances(trials()))
