"""What a person put into a study: asked for, refused by name, taken as a lesson; and never the end of a later start."""

from __future__ import annotations

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from pipeline.shell.errors import UserError
from tests.study_samples import CONFIG, NAME, draws, open_study, run_round
from tuning import stopping, studies
from tuning.search_space import DISTRIBUTIONS

MIDDLE = {"learning_rate": 1e-3, "one_minus_beta_1": 0.1, "one_minus_beta_2": 0.001}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"dropout": 0.5}, "dropout, which is none of learning_rate, beta_1, beta_2"),
        ({"learning_rate": 7.0}, "learning_rate 7.0, which is not within 1e-05 to 0.1"),
        ({"beta_1": 0.999}, "beta_1 0.999, which is not within 0.5 to 0.99"),
        ({"learning_rate": "fast"}, "learning_rate 'fast', which is no number"),
        ({"beta_1": 0.9, "one_minus_beta_1": 0.1}, "twice"),
    ],
)
def test_what_is_not_of_the_search_space_is_refused_by_name_once(url, values, named):
    study = open_study(url)
    study.study.enqueue_trial(values)
    study.study.enqueue_trial({"learning_rate": 0.01})
    with pytest.raises(UserError) as refusal:
        open_study(url)
    assert named in str(refusal.value)
    assert "\n" not in str(refusal.value)
    study = open_study(url)  # goes on
    assert run_round(study)[0].params["learning_rate"] == 0.01
    assert study.study.get_trials()[0].state == TrialState.FAIL


def test_a_persons_result_teaches_the_sampler_and_is_never_the_winner(url, tmp_path):
    study, other = open_study(url), open_study(f"sqlite:///{tmp_path}/other.db")
    distributions = {name: FloatDistribution(1e-9, 1.0) for name in MIDDLE}
    for _ in range(12):
        study.study.add_trial(create_trial(value=1.0, params=MIDDLE, distributions=distributions))
    study = open_study(url)
    assert len(study.added) == 12
    run_round(study)
    run_round(other)
    assert draws(study) != draws(other)
    assert "index" in studies.best(study.trials, NAME).user_attrs
    assert stopping.left(study.trials, CONFIG.trials) == 12  # it holds no place of the total


@pytest.mark.parametrize("params", [{}, {"learning_rate": 0.01}, {"units": 0.5}, {**MIDDLE, "learning_rate": 0.9}])
def test_a_result_of_another_space_is_passed_over(url, params):
    study = open_study(url)
    distributions = {name: FloatDistribution(1e-9, 1.0) for name in params}
    study.study.add_trial(create_trial(value=1.0, params=params, distributions=distributions))
    study = open_study(url)
    assert study.added == []
    assert len(run_round(study)) == 8


def test_an_enqueued_trial_that_a_kill_left_half_written_runs_again(url):
    study = open_study(url)
    study.study.enqueue_trial({"learning_rate": 0.01})
    half = study.study.ask(DISTRIBUTIONS)  # RUNNING, with drawn values beside what was asked for
    half.report(0.5, 1)
    study = open_study(url)
    (first, *_others) = run_round(study)
    there = study.study.get_trials()[0]
    assert (there.state, there.params["learning_rate"]) == (TrialState.COMPLETE, 0.01)
    assert there.value == first.value


def test_a_result_of_another_kind_stands_beside_ours(url):
    """Within a study Optuna takes a name for one kind of value alone."""
    study = open_study(url)
    choice = {"learning_rate": CategoricalDistribution([0.001, 0.01])}
    study.study.add_trial(create_trial(value=1.0, params={"learning_rate": 0.01}, distributions=choice))
    study = open_study(url)
    study.study.enqueue_trial({"learning_rate": 0.02})
    (first, *others) = run_round(study)
    assert (first.params["learning_rate"], len(others)) == (0.02, 7)
    again = open_study(url)
    assert draws(again) == draws(study)
    assert again.study.get_trials()[2].params.keys() == {"learning_rate_drawn", "one_minus_beta_1", "one_minus_beta_2"}


def test_a_trial_that_a_person_runs_is_left_to_them(url):
    study = open_study(url)
    theirs = study.study.ask()
    assert len(run_round(open_study(url))) == 8
    assert study.study.get_trials()[theirs.number].state == TrialState.RUNNING


def test_a_bound_is_within_however_it_is_written(url):
    study = open_study(url)
    study.study.enqueue_trial({"beta_2": 0.9999})  # 1 - 0.9999 is a little less than 1e-4
    assert run_round(open_study(url))[0].params["one_minus_beta_2"] == 1e-4


def test_a_result_of_another_kind_while_a_sweep_runs_is_told_in_one_line(url):
    study = open_study(url)
    choice = {"learning_rate": CategoricalDistribution([0.001, 0.01])}
    study.study.add_trial(create_trial(value=1.0, params={"learning_rate": 0.01}, distributions=choice))
    with pytest.raises(UserError, match="Try: the same command again") as refusal:
        run_round(study)
    assert "\n" not in str(refusal.value)
    assert len(run_round(open_study(url))) == 8
