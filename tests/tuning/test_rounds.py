"""Which trials come next, and that a broken round is drawn again as it was."""

from __future__ import annotations

import dataclasses

import pytest
from optuna.trial import TrialState, create_trial

from tests.study_samples import CONFIG, complete, diverged, draws, open_study, run_round
from tuning.rounds import Task, next_round
from tuning.studies import TASK

ONE_BY_ONE = dataclasses.replace(CONFIG, freeze_conv=False, weights="none", wave=4)


def ended(*indices: int, task: tuple[int, int] | None = None) -> dict:
    """Trials of these indices, each of `task` or of one of its own."""
    return {
        index: create_trial(state=TrialState.FAIL, user_attrs={TASK: list(task or (index, 1))}) for index in indices
    }


def tasks(there: dict, left: int, together: bool = True) -> list[tuple[int, int, tuple[int, ...]]]:
    found = next_round(there, left, 8, together)
    return [(task.first, task.size, task.missing) for task in found.tasks] if found else []


def test_heads_run_together_up_to_the_end_of_a_round():
    assert tasks({}, left=20) == [(0, 8, tuple(range(8)))]
    assert tasks(ended(*range(8), task=(0, 8)), left=3) == [(8, 3, (8, 9, 10))]
    assert tasks(ended(*range(3), task=(0, 3)), left=20) == [(3, 5, (3, 4, 5, 6, 7))]
    assert tasks(ended(*range(8), task=(0, 8)), left=0) == []


def test_a_broken_task_runs_again_in_the_same_company():
    assert tasks(ended(0, 1, 2, task=(0, 8)), left=17) == [(0, 8, (3, 4, 5, 6, 7))]


def test_networks_run_one_by_one_and_holes_first():
    assert tasks({}, left=2, together=False) == [(0, 1, (0,)), (1, 1, (1,))]
    assert tasks(ended(0, 2), left=3, together=False) == [(1, 1, (1,)), (3, 1, (3,)), (4, 1, (4,))]
    assert tasks(ended(*range(8), 9), left=1, together=False) == [(8, 1, (8,))]


def test_what_another_program_took_away_is_run_again():
    there = ended(*range(8), task=(0, 8)) | ended(*range(9, 16), task=(9, 7))
    assert tasks(there, left=4) == [(8, 1, (8,))]


def test_a_task_knows_its_indices():
    assert list(Task(8, 3, (9,)).indices) == [8, 9, 10]


@pytest.mark.parametrize("written", [1, 5, 8, 11])
def test_a_search_that_was_killed_draws_what_an_undisturbed_one_does(url, tmp_path, written):
    undisturbed = open_study(f"sqlite:///{tmp_path}/other.db")
    while run_round(undisturbed):
        pass
    study = open_study(url)
    while len(study.trials) < written:
        run_round(study, writes=written - len(study.trials))
    study = open_study(url)  # the next driver
    while run_round(study):
        pass
    assert draws(study) == draws(undisturbed)
    assert [trial.value for trial in study.trials] == [trial.value for trial in undisturbed.trials]
    assert len({draw["learning_rate"] for draw in draws(study)}) == CONFIG.trials


def test_more_trials_go_on_with_the_round_that_was_cut_short(url, tmp_path):
    whole = open_study(f"sqlite:///{tmp_path}/other.db")
    while run_round(whole):
        pass
    study = open_study(url)
    for total in (3, 10, 20):
        while run_round(study, dataclasses.replace(CONFIG, trials=total)):
            pass
    assert draws(study)[:8] == draws(whole)[:8]
    assert len(study.trials) == 20


def test_a_diverged_trial_is_drawn_anew_but_not_for_ever(url):
    study, config = open_study(url), dataclasses.replace(CONFIG, trials=2)
    first = run_round(study, config, diverged)
    second = run_round(study, config, diverged)
    assert len(first) == len(second) == 2
    assert first[0].params != second[0].params
    assert run_round(study, config) == []


def test_networks_of_a_round_know_the_rounds_before_it_alone(url, tmp_path):
    """So that the order in which they end does not matter."""
    studies = open_study(url), open_study(f"sqlite:///{tmp_path}/other.db")
    for study, values in zip(studies, ([0.1, 0.9, 0.5, 0.7], [0.7, 0.5, 0.9, 0.1]), strict=True):
        found = iter(values)
        run_round(study, ONE_BY_ONE, lambda trial, found=found: complete(trial, next(found)))
    first, second = map(draws, studies)
    assert first == second


def test_enqueued_trials_come_first_and_only_what_is_not_given_is_drawn(url):
    study = open_study(url)
    study.study.enqueue_trial({"learning_rate": 0.01, "beta_1": 0.75})
    study.study.enqueue_trial({"learning_rate": 0.02})
    run_round(study, writes=1)
    study = open_study(url)
    run_round(study)
    trials = study.study.get_trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 8
    assert [trial.params["learning_rate"] for trial in trials[:2]] == [0.01, 0.02]
    assert trials[0].params["one_minus_beta_1"] == 0.25
    assert [trial.user_attrs["index"] for trial in trials] == list(range(8))
    assert trials[0].intermediate_values == {1: trials[0].value}
