"""One MLflow run for each trial, in a real store."""

from __future__ import annotations

from collections import Counter

import pytest
from optuna.trial import TrialState

from pipeline.tracking import Outage, Tracker, connect
from tests.studies import BASE, CONFIG, NAME, complete, open_study
from tuning import claims, outcomes
from tuning.ledger import Ledger


@pytest.fixture
def tracker(tmp_path, monkeypatch) -> Tracker:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return connect("alpharho")


@pytest.fixture
def cell(tracker) -> str:
    return tracker.open(NAME, "prepare")  # of a kind that does not ask tensorflow for the device


@pytest.fixture
def study(url):
    return open_study(url)


def ledger_of(study, tracker, cell) -> Ledger:
    return Ledger(study, tracker, cell, BASE, {"params_total": 7.0})


def finished(study, count: int) -> list[int]:
    return claims.finish(study, [complete(trial) for trial in claims.claim(study, CONFIG, count)])


def numbers(study, tracker, cell) -> list[int]:
    """Of the trials that have a run, one for each run."""
    keys = sorted(run.key for run in tracker.children(cell))
    assert all(key.startswith(f"{study.identity}#") for key in keys)
    return [int(key.rpartition("#")[2]) for key in keys]


def test_what_is_delivered_stands_in_mlflow(study, tracker, cell):
    ledger_of(study, tracker, cell).deliver(finished(study, 2))
    runs = {run.tags["alpharho.key"]: run for run in tracker.children(cell)}
    for trial in study.trials():
        run = runs[outcomes.key(study.identity, trial.number)]
        assert run.status == "FINISHED"
        assert run.metrics["best_val_top1"] == trial.value
        assert float(run.params["learning_rate"]) == trial.params["learning_rate"]


def test_settling_writes_what_no_process_wrote(study, tracker, cell):
    finished(study, 2)
    claims.give_up(study, claims.claim(study, CONFIG, 1))
    ledger_of(study, tracker, cell).settle()
    assert Counter(run.status for run in tracker.children(cell)) == {"FINISHED": 2, "KILLED": 1}


def test_settling_leaves_running_trials_alone(study, tracker, cell):
    claims.claim(study, CONFIG, 1)
    ledger_of(study, tracker, cell).settle()
    assert tracker.children(cell) == []


def test_settling_leaves_one_of_two_runs(study, tracker, cell):
    done = finished(study, 2)
    for _ in range(2):
        ledger_of(study, tracker, cell).deliver(done)
    assert len(tracker.children(cell)) == 4
    for _ in range(2):
        ledger_of(study, tracker, cell).settle()
    assert numbers(study, tracker, cell) == [0, 1]


def test_settling_completes_a_run_that_was_left_half_written(study, tracker, cell):
    finished(study, 1)
    left = tracker.open("half", "prepare", parent=cell, key=f"{study.identity}#0")
    ledger_of(study, tracker, cell).settle()
    (run,) = tracker.children(cell)
    assert (run.run_id, run.status, run.tags["optuna.state"]) == (left, "FINISHED", TrialState.COMPLETE.name)


def test_what_mlflow_does_not_take_now_is_delivered_later(study, tracker, cell, monkeypatch):
    ledger = ledger_of(study, tracker, cell)
    publish = tracker.publish

    def away(*_args):
        raise Outage("wanted MLflow. Received: nothing")

    monkeypatch.setattr(tracker, "publish", away)
    ledger.deliver(finished(study, 2))
    assert tracker.children(cell) == []
    monkeypatch.setattr(tracker, "publish", publish)
    ledger.deliver(finished(study, 1))
    assert tracker.children(cell) == []  # it is not asked again at once
    ledger.settle()
    assert numbers(study, tracker, cell) == [0, 1, 2]
