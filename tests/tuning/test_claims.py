"""Places of a study: never more than were asked for, whoever claims, dies or falls silent."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
import sqlalchemy
from optuna.trial import TrialState, create_trial

from pipeline.shell.errors import UserError
from tests import studies
from tests.studies import BASE, CONFIG, complete, diverged, open_study, processes, run
from tuning import claims
from tuning import study as tuning_study
from tuning.storage import GRACE_SECONDS


def silence(study, number: int) -> None:
    """Lets a trial seem to have been silent for longer than is allowed."""
    past = {"sqlite": "datetime('now', '-1 hour')", "postgresql": "now() - interval '1 hour'"}
    with study.storage.engine.begin() as connection:
        connection.execute(
            sqlalchemy.text(
                f"UPDATE trial_heartbeats SET heartbeat = {past[study.storage.engine.dialect.name]} WHERE trial_id = "
                "(SELECT trial_id FROM trials WHERE number = :number)"
            ),
            {"number": number},
        )


def test_a_wave_is_no_larger_than_the_places_left(url):
    study = open_study(url)
    assert len(claims.claim(study, dataclasses.replace(CONFIG, trials=5), 3)) == 3
    assert len(claims.claim(study, dataclasses.replace(CONFIG, trials=5), 3)) == 2
    assert claims.claim(study, dataclasses.replace(CONFIG, trials=5), 3) == []


def test_what_was_found_is_kept_with_the_trial(any_url):
    study = open_study(any_url)
    first, second = claims.claim(study, CONFIG, 2)
    assert claims.finish(
        study, [complete(first, 0.5), dataclasses.replace(complete(second, 0.4), state=TrialState.PRUNED)]
    ) == [0, 1]
    kept = study.trials()
    assert [(trial.state.name, trial.value) for trial in kept] == [("COMPLETE", 0.5), ("PRUNED", 0.4)]
    assert kept[0].params == first.params
    assert kept[0].user_attrs[tuning_study.FIT]["best_val_top1"] == 0.5


def test_writing_it_twice_counts_once(url):
    study = open_study(url)
    outcomes = [complete(trial) for trial in claims.claim(study, CONFIG, 2)]
    assert claims.finish(study, outcomes) == claims.finish(study, outcomes) == [0, 1]
    assert studies.states(study) == ["COMPLETE", "COMPLETE"]


def test_a_silent_trial_is_begun_again_with_its_parameters(any_url):
    study = open_study(any_url)
    lost, alive = claims.claim(study, CONFIG, 2)
    silence(study, lost.number)
    (again,) = claims.claim(study, CONFIG, 1)
    assert again.params == lost.params
    assert (again.number, study.trials()[2].system_attrs["retry_history"]) == (2, [0])
    assert studies.states(study) == ["FAIL", "RUNNING", "RUNNING"]
    claims.finish(study, [complete(alive), complete(again)])
    (new,) = claims.claim(study, CONFIG, 1)
    assert new.params != lost.params


def test_who_was_thought_dead_does_not_count_any_more(any_url):
    study = open_study(any_url)
    (lost,) = claims.claim(study, CONFIG, 1)
    silence(study, lost.number)
    claims.free_stale(study)
    assert claims.finish(study, [complete(lost)]) == []
    assert studies.states(study) == ["FAIL"]


def test_a_trial_that_lives_is_left_alone(url):
    study = open_study(url)
    claims.claim(study, CONFIG, 1)
    claims.free_stale(study)
    assert studies.states(study) == ["RUNNING"]
    assert GRACE_SECONDS > 3  # or this test would have to be quick


def test_what_was_given_up_is_begun_again_first(url):
    study = open_study(url)
    given_up = claims.claim(study, CONFIG, 2)
    claims.give_up(study, given_up)
    again = claims.claim(study, CONFIG, 3)
    assert [trial.params for trial in again[:2]] == [trial.params for trial in given_up]
    assert again[2].params not in [trial.params for trial in given_up]


def test_what_is_given_up_twice_is_begun_again_once(url):
    study = open_study(url)
    for _ in range(2):
        claims.give_up(study, claims.claim(study, CONFIG, 1))
    (again, new) = claims.claim(study, CONFIG, 2)
    assert study.trials()[again.number].system_attrs["retry_history"] == [0, 1]
    assert new.params != again.params


def test_a_diverged_trial_gives_its_place_to_another_draw(url):
    study, config = open_study(url), dataclasses.replace(CONFIG, trials=1)
    (first,) = claims.claim(study, config, 1)
    claims.finish(study, [diverged(first)])
    (second,) = claims.claim(study, config, 1)
    assert second.params != first.params
    claims.finish(study, [diverged(second)])
    assert claims.claim(study, config, 1) == []


def test_a_trial_that_a_person_enqueued_goes_first(url):
    study = open_study(url)
    study.study.enqueue_trial({"learning_rate": 0.01})
    (claimed,) = claims.claim(study, CONFIG, 1)
    assert (claimed.number, claimed.params["learning_rate"]) == (0, 0.01)
    assert study.trials()[0].params == claimed.params


def test_other_settings_that_came_first_are_noticed(url):
    study = open_study(url)
    open_study(url, dataclasses.replace(BASE, epochs=9))
    with pytest.raises(UserError, match=r"epochs 6 \(begun with 9\)"):
        claims.claim(study, CONFIG, 1)


def test_a_resumed_search_draws_what_an_undisturbed_one_would(url, tmp_path):
    undisturbed = open_study(f"sqlite:///{tmp_path}/other.db")
    expected = [*run(undisturbed, 8), *run(undisturbed, 8)]
    first = run(open_study(url), 8)
    assert [*first, *run(open_study(url), 8)] == expected
    assert len({drawn["learning_rate"] for drawn in expected}) == 16


def _work(url: str) -> int:
    study, done = open_study(url), 0
    while wave := claims.claim(study, CONFIG, 3):
        done += len(claims.finish(study, [complete(trial) for trial in wave]))
    return done


def test_four_processes_do_exactly_what_was_asked_for(any_url):
    open_study(any_url)
    with processes(4) as pool:
        assert sum(pool.map(_work, [any_url] * 4)) == CONFIG.trials
    trials = open_study(any_url).trials()
    assert Counter(trial.state.name for trial in trials) == {"COMPLETE": CONFIG.trials}
    assert [trial.number for trial in trials] == list(range(CONFIG.trials))


def test_trials_of_an_earlier_search_hold_places_too(url):
    study = open_study(url)
    study.study.add_trial(create_trial(state=TrialState.COMPLETE, value=0.5))
    assert len(claims.claim(study, dataclasses.replace(CONFIG, trials=2), 8)) == 1
