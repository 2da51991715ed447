from __future__ import annotations

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from tuning import stopping


def ended(values: list[float | None]) -> dict[int, FrozenTrial]:
    """None is a trial that failed."""
    return {
        index: optuna.trial.create_trial(
            state=TrialState.FAIL if value is None else TrialState.COMPLETE, value=value, user_attrs={"index": index}
        )
        for index, value in enumerate(values)
    }


def test_what_was_asked_for_is_the_total():
    assert stopping.total(12, ended([0.9] * 100), 8, 1000) == 12


@pytest.mark.parametrize("begun", [0, 8, 20, 24])
def test_it_goes_on_while_the_last_trials_brought_something(begun):
    rising = [0.5 + index / 100 for index in range(begun)]
    assert stopping.total("auto", ended(rising), 8, 1000) == 40


def test_it_ends_with_the_round_after_which_nothing_was_brought_for_long_enough():
    values = [0.5] * 8 + [0.8] + [0.7] * 7 + [0.7] * 24
    assert stopping.total("auto", ended(values), 8, 1000) == 32  # 16 trials after the round that brought 0.8
    assert stopping.total("auto", ended(values[:31]), 8, 1000) == 40  # the round is not whole
    assert stopping.total("auto", ended([*values, *[0.99] * 8]), 8, 1000) == 32  # later trials change nothing


@pytest.mark.parametrize(("judges", "total"), [(100, 24), (1_000_000, 40)])
def test_what_the_validation_pictures_cannot_tell_is_nothing(judges, total):
    values = [0.8] * 8 + [0.805] * 16 + [0.81] * 16
    assert stopping.total("auto", ended(values), 8, judges) == total


def test_trials_that_failed_do_not_count_and_a_gap_is_waited_for():
    values = [0.8] * 8 + [None] * 16
    assert stopping.total("auto", ended(values), 8, 1000) == 40
    values = [0.8] * 21 + [None] * 3
    total = stopping.total("auto", ended(values), 8, 1000)
    assert total == 21
    assert stopping.left(list(ended(values).values()), total) == 0  # and none is drawn for those that failed
    trials = ended([0.8] * 24)
    del trials[3]
    assert stopping.total("auto", trials, 8, 1000) == 40


def test_where_it_is_not_known_how_many_pictures_judge_all_forty_run():
    assert stopping.total("auto", ended([0.8] * 32), 8, 0) == 40


def test_never_more_than_forty():
    values = [index / 100 for index in range(80)]
    assert stopping.total("auto", ended(values), 8, 1_000_000) == 40
