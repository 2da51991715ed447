"""From Optuna to MLflow: one whole run for each trial, whatever was half-written, doubled, deleted or not answered."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from pipeline.tracking.runs import ERROR_TAG, KIND_TAG
from tests.study_samples import BASE, diverged, fit, open_study, run_round
from tuning.publish import Publisher
from tuning.search_space import train_config
from tuning.studies import CellStudy
from tuning.tasks import Outcome


@pytest.fixture
def study(url) -> CellStudy:
    """With a round of which some failed."""
    found = open_study(url)
    run_round(found, writes=3)
    run_round(found, outcome=diverged, writes=1)
    return found


@pytest.fixture
def cell(tracker) -> str:
    return tracker.open("cell", "cell", key="cell")


@pytest.fixture
def publisher(study, tracker, cell) -> Publisher:
    return again(study, tracker, cell)


def again(study, tracker, cell) -> Publisher:
    """Of a driver that starts again."""
    return Publisher(study, tracker, BASE, {}, lambda: cell)


def ended(tracker, cell) -> list[tuple[str, str]]:
    return sorted((run.name.rpartition(" ")[2], run.status) for run in tracker.children(cell))


WHOLE = [("0", "FINISHED"), ("1", "FINISHED"), ("2", "FINISHED"), ("3", "FAILED")]


def test_each_trial_is_a_run_and_nothing_is_left_to_write(publisher, study, tracker, cell):
    publisher.settle()
    assert ended(tracker, cell) == WHOLE
    before = {run.run_id for run in tracker.children(cell)}
    later = again(study, tracker, cell)
    assert not later.lacks(cell)
    later.settle()
    assert {run.run_id for run in tracker.children(cell)} == before


def test_the_start_has_a_run_without_hyperparameters(url, tracker, cell):
    study = open_study(url)
    outcome = Outcome(TrialState.COMPLETE, 0.7, fit(best_epoch=0, best_val_top1=0.7), {})
    study.add(0, outcome.as_trial(None, 0, (0, 1)))
    again(study, tracker, cell).settle()
    (run,) = tracker.children(cell)
    assert not {"learning_rate", "beta_1", "beta_2"} & set(run.params)
    assert (run.params["epochs"], run.metrics["best_epoch"], run.metrics["best_val_top1"]) == ("0", 0, 0.7)


@pytest.mark.parametrize("status", ["RUNNING", "KILLED", "FAILED"])
def test_what_a_driver_left_half_written_is_written_anew(publisher, study, tracker, cell, status):
    """It carries the trial's state from the beginning, and whoever came after closed it."""
    publisher.settle()
    half = next(run.run_id for run in tracker.children(cell) if run.status == "FINISHED")
    if status == "RUNNING":
        tracker.client.update_run(half, status=status)
    else:
        tracker.close(half, status, {ERROR_TAG: "KeyboardInterrupt"})
    later = again(study, tracker, cell)
    assert later.lacks(cell)
    later.settle()
    assert ended(tracker, cell) == WHOLE
    assert not tracker.has(half)


@pytest.mark.parametrize("lost", ["create_run", "log_batch", "set_terminated"])
def test_an_answer_that_is_lost_doubles_no_run(publisher, tracker, cell, monkeypatch, lost):
    call, answers = getattr(MlflowClient, lost), []

    def once(self, *args, **kwargs):
        answers.append(call(self, *args, **kwargs))
        if len(answers) == 1:
            raise ConnectionError("reset by peer")
        return answers[-1]

    monkeypatch.setattr(MlflowClient, lost, once)
    publisher.deliver()
    assert ended(tracker, cell) != WHOLE
    publisher.settle()
    assert ended(tracker, cell) == WHOLE


def test_the_run_that_shows_a_trial_in_training_becomes_its_run(study, tracker, cell):
    publisher = again(study, tracker, cell)
    publisher.live(0, train_config(BASE, study.trials[0].params))
    (shown,) = tracker.children(cell)
    assert shown.status == "RUNNING"
    publisher.settle()
    assert ended(tracker, cell) == WHOLE
    assert tracker.status(shown.run_id) == "FINISHED"


def test_a_run_that_a_person_deletes_while_its_trial_trains_is_made_anew(study, tracker, cell):
    publisher = again(study, tracker, cell)
    publisher.live(0, train_config(BASE, study.trials[0].params))
    (shown,) = tracker.children(cell)
    tracker.delete(shown.run_id)
    publisher.settle()
    assert ended(tracker, cell) == WHOLE


def test_a_persons_own_run_below_the_cell_is_left_alone(publisher, tracker, cell):
    own = tracker.client.create_run(
        tracker.experiment_id, tags={"mlflow.parentRunId": cell, KIND_TAG: "mine"}, run_name="mine 9"
    )
    publisher.settle()
    assert ended(tracker, cell) == [*WHOLE, ("9", "RUNNING")]
    assert tracker.has(own.info.run_id)
