"""Curves of many runs at once, and files of runs, from a database; test_server.py has them from a server."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime, timedelta

import pytest
from samples import trial_run

from pipeline.tracking import TrialRun, histories
from pipeline.tracking.lookup import search

NAMES = ("val_top1", "val_loss")


def publish(tracker, number: int, epochs: int, **curves) -> str:
    """A trial whose val_top1 in epoch e is number + e / 1000, or `curves`; nothing is shared with other trials."""
    run = trial_run(number, epochs=0)
    values = {"val_top1": [number + epoch / 1000 for epoch in range(1, epochs + 1)]} | curves
    return tracker.publish(dataclasses.replace(run, key=f"{run.key} {epochs}", curves=values), "0" * 32)


def expected(number: int, epochs: int) -> dict[int, float]:
    return {epoch: number + epoch / 1000 for epoch in range(1, epochs + 1)}


def test_curves_come_back_by_run_and_metric(tracker, monkeypatch):
    monkeypatch.setattr(tracker.client, "get_metric_history", None)  # a database answers for many runs
    first = publish(tracker, 1, 3, val_loss=[1.0, math.nan])
    second = publish(tracker, 2, 1)
    other = publish(tracker, 3, 5)
    found = tracker.curves([second, first, first], NAMES)
    assert found[first, "val_top1"] == expected(1, 3)
    assert found[second, "val_top1"] == expected(2, 1)
    assert found[first, "val_loss"][1] == 1.0
    assert math.isnan(found[first, "val_loss"][2])
    assert {run_id for run_id, _ in found} == {first, second}
    assert (second, "val_loss") not in found
    assert tracker.curves([], NAMES) == {}
    assert tracker.curves([other], ["best_val_top1"]) == {}  # a single value is no curve


def test_of_an_epoch_that_was_written_twice_the_later_value_stays(tracker):
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    run = TrialRun("t", "t", "FINISHED", begun, begun + timedelta(seconds=9), curves={"val_top1": [0.9, 0.8]})
    run_id = tracker.publish(run, "0" * 32)
    again = dataclasses.replace(run, started=begun + timedelta(days=1), ended=begun + timedelta(days=2))
    tracker.publish(dataclasses.replace(again, curves={"val_top1": [0.1]}), "0" * 32, run_id)
    assert tracker.curves([run_id], NAMES) == {(run_id, "val_top1"): {1: 0.1, 2: 0.8}}


@pytest.mark.parametrize("points", [2, 7, 12, 1000])
def test_nothing_is_cut_off_by_what_an_answer_holds(tracker, points, monkeypatch):
    monkeypatch.setattr(histories, "BULK_POINTS", points)
    monkeypatch.setattr(histories, "BULK_RUNS", 4)
    epochs = [1, 6, 30, 0, 7, 12, 2, 5, 6]
    runs = {publish(tracker, number, length): (number, length) for number, length in enumerate(epochs)}
    found = tracker.curves(runs, NAMES)
    assert found == {(run_id, "val_top1"): expected(*trial) for run_id, trial in runs.items() if trial[1]}


def test_a_run_says_when_it_began_and_what_it_read(tracker):
    run_id = publish(tracker, 1, 1)
    tracker.log_dataset(run_id, "digits", "https://example.org", "abc", "training", {"classes": 10})
    (run,) = search(tracker.client, tracker.experiment_id, "", deleted=False)
    assert run.started == trial_run(1).started.astimezone()
    assert run.started.utcoffset() == timedelta(0)
    ((name, digest, profile),) = map(dataclasses.astuple, run.data)
    assert (name, digest, profile) == ("digits", "abc", {"classes": 10})


def test_the_experiment_has_a_name(tracker):
    assert tracker.experiment() == "alpharho"
