"""Drawing and pruning in memory."""

from __future__ import annotations

import optuna
import pytest
from optuna.pruners import NopPruner
from optuna.trial import TrialState, create_trial

from tuning import mirror
from tuning.search_space import DISTRIBUTIONS

MIDDLE = {"learning_rate": 1e-3, "one_minus_beta_1": 0.1, "one_minus_beta_2": 0.001}


def trials(count: int, value=lambda number: 0.5, state: TrialState = TrialState.COMPLETE) -> list:
    """Finished ones as Optuna gives them, with 10 epochs that each reach `value`."""
    study = optuna.create_study(direction="maximize")
    for number in range(count):
        reached = value(number)
        study.add_trial(
            create_trial(
                state=state,
                value=reached,
                params=MIDDLE,
                distributions=DISTRIBUTIONS,
                intermediate_values=dict.fromkeys(range(1, 11), reached),
            )
        )
    return study.get_trials()


def seen(study: optuna.Study) -> list[int]:
    return [trial.number for trial in study.get_trials() if trial.state == TrialState.COMPLETE]


def test_a_small_study_is_mirrored_whole():
    double = mirror.of("s", trials(10), 0, NopPruner())
    assert seen(double) == list(range(10))
    assert double.study_name == "s"


@pytest.mark.parametrize("kind", ["none", "hyperband"])
def test_of_a_large_one_the_best_and_the_newest_are_seen(kind):
    earlier = trials(400, value=lambda number: 0.9 if number == 7 else 0.1)
    double = mirror.of("s", earlier, 0, mirror.pruner(kind, 10))
    values = [trial.value for trial in double.get_trials() if trial.state == TrialState.COMPLETE]
    assert 0.9 in values
    assert mirror.WINDOW - 25 <= len(values) <= mirror.WINDOW


def test_hyperband_finds_every_trial_under_its_number():
    double = mirror.of("s", trials(400), 0, mirror.pruner("hyperband", 10))
    assert set(range(400 - mirror.WINDOW + 25, 400)) <= set(seen(double))
    assert mirror.draw(double, DISTRIBUTIONS).number == 400


def test_draws_depend_on_the_seed_and_on_how_many_there_are():
    def first(seed: int, count: int) -> float:
        return mirror.draw(mirror.of("s", trials(count), seed, NopPruner()), DISTRIBUTIONS).params["learning_rate"]

    assert first(0, 3) == first(0, 3)
    assert len({first(0, 3), first(1, 3), first(0, 4)}) == 3


def test_parameters_that_are_given_are_taken():
    double = mirror.of("s", [], 0, NopPruner())
    assert mirror.draw(double, DISTRIBUTIONS, MIDDLE).params == MIDDLE
    assert mirror.draw(double, DISTRIBUTIONS, {"learning_rate": 0.01}).params["learning_rate"] == 0.01


def test_one_without_an_outcome_is_passed_over():
    waiting = create_trial(state=TrialState.WAITING, params=MIDDLE, distributions=DISTRIBUTIONS)
    double = mirror.of("s", [waiting], 0, NopPruner())
    assert mirror.draw(double, DISTRIBUTIONS).params != MIDDLE


@pytest.mark.parametrize("kind", ["median", "successive_halving", "hyperband"])
def test_a_hopeless_trial_is_pruned_and_a_good_one_is_not(kind):
    """Hyperband deals its trials to brackets, of which not all prune: one of eight is enough."""
    double = mirror.of("s", trials(20), 0, mirror.pruner(kind, 10))
    for _ in range(20):  # successive halving needs others of its rungs
        _epochs_until_pruned(mirror.draw(double, DISTRIBUTIONS), 0.5)
    bad = [_epochs_until_pruned(mirror.draw(double, DISTRIBUTIONS), 0.1) for _ in range(8)]
    good = [_epochs_until_pruned(mirror.draw(double, DISTRIBUTIONS), 0.9) for _ in range(8)]
    assert min(bad) < 10
    assert max(good) == 10


def _epochs_until_pruned(trial: optuna.Trial, value: float) -> int:
    for epoch in range(1, 11):
        trial.report(value, epoch)
        if trial.should_prune():
            return epoch
    return 10


def test_none_prunes_nothing():
    double = mirror.of("s", trials(40), 0, mirror.pruner("none", 10))
    assert _epochs_until_pruned(mirror.draw(double, DISTRIBUTIONS), 0.0) == 10


def test_rungs_go_from_wave_to_wave():
    double = mirror.of("s", [], 0, mirror.pruner("successive_halving", 9))
    trial = mirror.draw(double, DISTRIBUTIONS)
    trial.report(0.5, 1)
    trial.should_prune()
    assert mirror.rungs(trial) == {"completed_rung_0": 0.5}
