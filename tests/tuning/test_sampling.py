"""Drawing and pruning in memory."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.config import SAMPLER_BEST, SAMPLER_WINDOW
from tuning import sampling
from tuning.search_space import DISTRIBUTIONS

MIDDLE = {"learning_rate": 1e-3, "one_minus_beta_1": 0.1, "one_minus_beta_2": 0.001}


def trials(count: int, value=lambda number: 0.5) -> list[FrozenTrial]:
    """Finished ones, with 10 epochs that each reach `value`."""
    return [
        create_trial(
            value=value(number),
            params=MIDDLE,
            distributions=dict(DISTRIBUTIONS),
            user_attrs={"fit": {"curves": {"val_top1": [value(number)] * 10}}},
        )
        for number in range(count)
    ]


def memory(finished: list[FrozenTrial], seed: int = 0, pruner: str = "none") -> optuna.Study:
    return sampling.round_study("s", finished, DISTRIBUTIONS, seed, sampling.pruner_of(pruner, 10))


def draw(study: optuna.Study, values=None) -> optuna.Trial:
    (trial,) = sampling.draw(study, DISTRIBUTIONS, [values])
    return trial


def seen(study: optuna.Study) -> list[int]:
    return [trial.number for trial in study.get_trials() if trial.state == TrialState.COMPLETE]


def test_a_small_search_is_seen_whole():
    study = memory(trials(10))
    assert seen(study) == list(range(10))
    assert study.study_name == "s"


@pytest.mark.parametrize("kind", ["none", "hyperband"])
def test_of_a_large_one_the_best_and_the_newest_are_seen(kind):
    study = memory(trials(400, value=lambda number: 0.9 if number == 7 else 0.1), pruner=kind)
    values = [trial.value for trial in study.get_trials() if trial.state == TrialState.COMPLETE]
    assert 0.9 in values
    assert SAMPLER_WINDOW - SAMPLER_BEST <= len(values) <= SAMPLER_WINDOW


def test_the_start_for_which_nothing_was_drawn_is_not_seen():
    study = memory([create_trial(value=0.99), *trials(3)])
    assert seen(study) == [0, 1, 2]
    assert set(draw(study).params) == set(DISTRIBUTIONS)


def test_hyperband_finds_every_trial_under_its_number():
    study = memory(trials(400), pruner="hyperband")
    assert set(range(400 - SAMPLER_WINDOW + SAMPLER_BEST, 400)) <= set(seen(study))
    assert draw(study).number == 400


def test_draws_depend_on_the_seed_and_on_the_round():
    def first(seed: int, count: int) -> float:
        return draw(memory(trials(count), seed)).params["learning_rate"]

    assert first(0, 3) == first(0, 3)
    assert len({first(0, 3), first(1, 3), first(0, 4)}) == 3


def test_values_that_are_given_are_taken_and_the_others_drawn():
    study = memory([])
    assert draw(study, MIDDLE).params == MIDDLE
    part = draw(study, {"learning_rate": 0.01}).params
    assert part["learning_rate"] == 0.01
    assert part.keys() == MIDDLE.keys()


def test_a_diverged_trial_is_passed_over():
    failed = create_trial(state=TrialState.FAIL, params=MIDDLE, distributions=dict(DISTRIBUTIONS))
    assert seen(memory([failed, *trials(2)])) == [0, 1]


@pytest.mark.parametrize("kind", ["median", "successive_halving", "hyperband"])
def test_a_hopeless_trial_is_pruned_and_a_good_one_is_not(kind):
    """Hyperband deals its trials to brackets, of which not all prune: one of eight is enough."""
    study = memory(trials(20), pruner=kind)
    for _ in range(20):  # successive halving needs others of its rungs
        epochs_until_pruned(draw(study), 0.5)
    bad = [epochs_until_pruned(draw(study), 0.1) for _ in range(8)]
    good = [epochs_until_pruned(draw(study), 0.9) for _ in range(8)]
    assert min(bad) < 10
    assert max(good) == 10


def test_none_prunes_nothing():
    assert epochs_until_pruned(draw(memory(trials(40))), 0.0) == 10


def test_rungs_go_from_round_to_round():
    trial = draw(memory([], pruner="successive_halving"))
    trial.report(0.4, 1)
    trial.should_prune()
    assert sampling.rungs(trial) == {}
    trial.report(0.5, 2)  # a ninth of ten epochs, rounded up
    trial.should_prune()
    assert sampling.rungs(trial) == {"completed_rung_0": 0.5}


@pytest.mark.parametrize(
    ("epochs", "wanted"), [(9, [1, 3]), (10, [2, 6]), (12, [2, 6]), (27, [1, 3, 9]), (30, [2, 6, 18])]
)
def test_no_rung_is_where_trials_are_all_but_done(epochs, wanted):
    pruner = sampling.pruner_of("successive_halving", epochs)
    trial, found = draw(sampling.round_study("s", [], DISTRIBUTIONS, 0, pruner)), []
    for epoch in range(1, epochs):  # after the last one nobody asks
        before = len(sampling.rungs(trial))
        trial.report(0.5, epoch)
        trial.should_prune()
        found += [epoch] * (len(sampling.rungs(trial)) - before)
    assert found == wanted


def epochs_until_pruned(trial: optuna.Trial, value: float) -> int:
    for epoch in range(1, 11):
        trial.report(value, epoch)
        if trial.should_prune():
            return epoch
    return 10
