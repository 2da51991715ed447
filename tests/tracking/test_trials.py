from __future__ import annotations

import dataclasses
from datetime import datetime

import numpy as np
import pytest
from samples import PUBLISHED, STARTED, trial_run

from pipeline.tracking import published_runs, trials


def _everything(tracker, run_id: str):
    run = tracker.client.get_run(run_id)
    points = [point for name in run.data.metrics for point in tracker.client.get_metric_history(run_id, name)]
    return run.to_dictionary(), [(point.key, point.step, point.value, point.timestamp) for point in points]


def test_a_trial_is_published_with_its_own_times(tracker):
    sweep = tracker.open("sweep", "sweep")
    run_id = tracker.publish(trial_run(0, epochs=5), sweep)
    (record,) = tracker.children(sweep)
    assert (record.run_id, record.key, record.status) == (run_id, "digits's study#0", "FINISHED")
    assert record.params == {"learning_rate": "0.001", "freeze_conv": "true"}
    assert record.tags.items() >= {"alpharho.kind": "trial", "optuna.state": "COMPLETE"}.items()
    assert (record.metrics["best_val_top1"], record.metrics["val_loss"], record.seconds) == (0.5, 1, 10)
    begun = int(STARTED.timestamp() * 1000)
    assert tracker.client.get_run(run_id).info.start_time == begun
    history = tracker.client.get_metric_history(run_id, "val_loss")
    assert [(point.step, point.timestamp - begun) for point in history] == [(i, 2000 * i) for i in range(1, 6)]


def test_publishing_into_the_same_run_changes_nothing(tracker):
    sweep = tracker.open("sweep", "sweep")
    trial = trial_run(0, val_loss=[0.5, float("nan"), float("inf")])
    run_id = tracker.publish(trial, sweep)
    before = _everything(tracker, run_id)
    assert tracker.publish(trial, sweep, run_id) == run_id
    assert str(_everything(tracker, run_id)) == str(before)


def test_a_half_written_trial_is_completed(tracker):
    sweep = tracker.open("sweep", "sweep")
    whole = tracker.publish(trial_run(0), sweep)
    half = tracker.client.create_run(tracker.experiment_id, int(STARTED.timestamp() * 1000), run_name="trial 0")
    tracker.publish(trial_run(0), sweep, half.info.run_id)
    (run, points), (wanted, wanted_points) = _everything(tracker, half.info.run_id), _everything(tracker, whole)
    assert points == wanted_points
    assert run["data"] == wanted["data"]


def test_children_are_those_right_below(tracker, monkeypatch):
    monkeypatch.setattr("pipeline.tracking.lookup.PAGE", 2)
    sweep = tracker.open("sweep", "sweep")
    cell = tracker.open("cell", "cell", sweep)
    published = [tracker.publish(trial_run(number), cell) for number in range(5)]
    assert {run.run_id for run in tracker.children(cell)} == set(published)
    assert [run.run_id for run in tracker.children(sweep)] == [cell]
    for _ in range(2):
        tracker.delete(published[0])
    assert {run.run_id for run in tracker.children(cell)} == set(published[1:])


def test_a_run_that_is_closed_may_be_closed_again(tracker):
    sweep = tracker.open("sweep", "sweep")
    tracker.close(sweep, "KILLED", tags={"alpharho.error": "interrupted"})
    tracker.close(sweep)
    assert [run.status for run in tracker.search()] == ["FINISHED"]


def test_points_that_were_written_live_are_not_there_twice(tracker):
    sweep = tracker.open("sweep", "sweep")
    ends = [STARTED.timestamp() + seconds for seconds in (0.0014, 1.9999, 2.123456, 10.0)]
    computed = np.array([0.1, np.nan, np.inf, 0.3], np.float32)
    kept = [float(f"{value:.9g}") for value in computed]  # as the study's database has them
    trial = dataclasses.replace(trial_run(0, epochs=4, val_loss=kept), epoch_ends=ends)
    run_id = tracker.open(trial.name, "trial", sweep, key=trial.key)
    for epoch, ended in enumerate(ends[:3], start=1):
        scores = {name: float(values[epoch - 1]) for name, values in {**trial.curves, "val_loss": computed}.items()}
        tracker.log_epoch(run_id, epoch, scores, ended)
    live = {point[:2]: point[3] for point in _everything(tracker, run_id)[1]}
    assert len(live) == 3 * len(trial.curves)
    assert tracker.publish(trial, sweep, run_id) == run_id
    points = [point for point in _everything(tracker, run_id)[1] if point[1] > 0]
    assert sorted(point[:2] for point in points) == sorted(
        (name, epoch) for name in trial.curves for epoch in range(1, 5)
    )
    assert live.items() <= {point[:2]: point[3] for point in points}.items()


def test_a_curve_may_end_before_the_last_epoch_and_not_after_it():
    ends = [STARTED.timestamp()] * 3
    dataclasses.replace(trial_run(0, epochs=2), epoch_ends=ends)
    with pytest.raises(ValueError, match="an end of each of 4 epochs"):
        dataclasses.replace(trial_run(0, epochs=4), epoch_ends=ends)


@pytest.mark.parametrize("name", ["started", "ended"])
def test_a_time_without_its_zone_is_refused(name):
    with pytest.raises(ValueError, match=f"an aware time for {name}"):
        dataclasses.replace(trial_run(0), **{name: datetime(2026, 1, 1)})


def test_a_half_written_published_row_is_completed(tracker):
    ((run, _),) = published_runs.missing(PUBLISHED[:1], [], [])
    run_id = trials.publish(tracker.client, tracker.experiment_id, run, {"alpharho.kind": "published"}, "")
    tracker.client.update_run(run_id, status="RUNNING")
    tracker.ensure_published(PUBLISHED[:1])
    assert [(run.run_id, run.status) for run in tracker.search()] == [(run_id, "FINISHED")]
