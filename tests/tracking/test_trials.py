from __future__ import annotations

from samples import BASELINES, STARTED, trial_run

from pipeline.scoring.published import load_published
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


def test_a_double_that_another_process_deleted_is_given_up(tracker):
    sweep = tracker.open("sweep", "sweep")
    kept, double = (tracker.publish(trial_run(0), sweep) for _ in range(2))
    tracker.delete(double)
    assert tracker.publish(trial_run(0), sweep, double) == kept
    assert [run.run_id for run in tracker.children(sweep)] == [kept]


def test_children_are_those_right_below(tracker, monkeypatch):
    monkeypatch.setattr("pipeline.tracking.runs.PAGE", 2)
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


def _publish_baseline(tracker) -> str:
    """As another machine does at the same time."""
    ((run, _),) = published_runs.missing([row.as_run() for row in load_published()][:1], [], [])
    return trials.publish(tracker.client, tracker.experiment_id, run, {"alpharho.kind": "published"}, "")


def test_baselines_that_two_machines_published_are_kept_once(tracker):
    published = [_publish_baseline(tracker) for _ in range(3)]
    tracker.ensure_published(BASELINES)
    left = {run.run_id: run.name for run in tracker.search()}
    assert sorted(left.values()) == sorted(row["name"] for row in BASELINES)
    assert left.keys() & set(published) == {min(published)}


def test_a_half_written_baseline_is_completed(tracker):
    run_id = _publish_baseline(tracker)
    tracker.client.update_run(run_id, status="RUNNING")
    tracker.ensure_published(BASELINES[:1])
    assert [(run.run_id, run.status) for run in tracker.search()] == [(run_id, "FINISHED")]
