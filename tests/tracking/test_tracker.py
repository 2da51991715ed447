from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import threading

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from samples import PUBLISHED, trial_run

from pipeline.shell import cli
from pipeline.shell.errors import UserError
from pipeline.tracking import connect, environment_tags


def _runs(tracker) -> dict[str, str]:
    return {run.name: run.status for run in tracker.search()}


def test_nested_runs_carry_kind_parent_and_environment(tracker):
    with tracker.run("all", "sweep", tags={"dataset": "digits"}) as sweep, tracker.run("c", "cell", sweep) as cell:
        assert {run.status for run in tracker.search()} == {"RUNNING"}
        trial = tracker.publish(trial_run(0), cell)
    assert _runs(tracker) == {"all": "FINISHED", "c": "FINISHED", "trial 0": "FINISHED"}
    records = {run.name: run for run in tracker.search()}
    assert (records["c"].parent, records["trial 0"].parent, records["all"].parent) == (sweep, cell, "")
    assert tracker.tags(sweep).items() >= {"alpharho.kind": "sweep", "dataset": "digits", **environment_tags()}.items()
    assert tracker.tags(cell).items() >= {"alpharho.kind": "cell", **environment_tags()}.items()
    assert "device" not in tracker.tags(trial)


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
        (SystemExit(3), "KILLED", "SystemExit: 3"),
        (ValueError("no\nway"), "FAILED", "ValueError: no"),
        (UserError("wanted a dog. Received: cat."), "FAILED", "wanted a dog. Received: cat."),
    ],
)
def test_an_exception_closes_the_runs_it_leaves_and_propagates(tracker, error, status, says):
    def stop():
        with tracker.run("sweep", "sweep") as sweep, tracker.run("cell", "cell", sweep):
            raise error

    with pytest.raises(type(error)) as caught:
        stop()
    assert caught.value is error
    assert _runs(tracker) == {"sweep": status, "cell": status}
    (sweep,) = tracker.search("tags.`alpharho.kind` = 'sweep'")
    assert sweep.tags["alpharho.error"] == says


@pytest.fixture
def handlers():
    """Those of the signals are as before when the test has ended."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_two_signals_in_a_row_leave_no_run_running(tracker, handlers):
    second = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGTERM))

    def stop_twice(*_) -> None:
        """As a terminal and `mlflow run` do: SIGINT to all, and SIGTERM from the parent while runs are being closed."""
        second.start()
        signal.default_int_handler(signal.SIGINT, None)

    def main() -> None:
        with contextlib.ExitStack() as open_runs:
            for i in range(10):
                open_runs.enter_context(tracker.run(f"r{i}", "sweep"))
            signal.signal(signal.SIGALRM, stop_twice)
            os.kill(os.getpid(), signal.SIGALRM)
            threading.Event().wait(60)

    with pytest.raises(SystemExit) as stopped:
        cli.run(main)
    second.join()
    assert stopped.value.code == cli.EXIT_INTERRUPTED
    assert [run.status for run in tracker.search()] == ["KILLED"] * 10


def test_mlflow_run_is_adopted_with_the_spelling_it_wrote(tracker, monkeypatch):
    client = MlflowClient()
    elsewhere = client.create_experiment("project", artifact_location="mlartifacts/project")
    project = client.create_run(elsewhere).info.run_id
    client.log_param(project, "dataset", "'folder:my dogs'")
    client.log_param(project, "learning_rate", "1e-3")
    monkeypatch.setenv("MLFLOW_RUN_ID", project)
    adopting = connect("alpharho")
    with adopting.run("train digits", "train") as run_id:
        adopting.log_params(run_id, {"dataset": "folder:my dogs", "learning_rate": 1e-3, "epochs": 30})
    with adopting.run("another", "evaluate") as second:
        pass
    assert run_id == project != second
    assert adopting.params(run_id) == {"dataset": "'folder:my dogs'", "learning_rate": "1e-3", "epochs": "30"}
    assert _runs(adopting) == {"train digits": "FINISHED", "another": "FINISHED"}
    assert adopting.tags(run_id)["alpharho.kind"] == "train"


def test_a_name_that_a_person_gave_to_mlflow_run_stays(tracker, monkeypatch):
    project = MlflowClient().create_run(tracker.experiment_id, run_name="my run").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", project)
    adopting = connect("alpharho")
    with adopting.run("train digits", "train"):
        pass
    assert _runs(adopting) == {"my run": "FINISHED"}


def test_a_run_id_of_another_store_is_named(tracker, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(UserError, match="MLFLOW_RUN_ID"):
        connect("alpharho")


def test_adoption_of_mlflow_run_wins_over_resuming(tracker, monkeypatch):
    with tracker.run("sweep digits", "sweep") as earlier:
        pass
    assert not tracker.adopts
    project = MlflowClient().create_run(tracker.experiment_id).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", project)
    adopting = connect("alpharho")
    assert adopting.adopts
    with adopting.run("sweep digits again", "sweep", resume=earlier) as sweep:
        assert not adopting.adopts
        assert _runs(adopting) == {"sweep digits": "FINISHED", "sweep digits again": "RUNNING"}
    assert sweep == project
    with adopting.run("sweep digits", "sweep", resume=earlier) as second:
        pass
    assert second == earlier


def test_a_run_below_another_is_resumed_without_adoption(tracker, monkeypatch):
    with tracker.run("sweep", "sweep") as sweep, tracker.run("cell", "cell", sweep) as cell:
        pass
    monkeypatch.setenv("MLFLOW_RUN_ID", MlflowClient().create_run(tracker.experiment_id).info.run_id)
    adopting = connect("alpharho")
    with adopting.run("cell", "cell", sweep, resume=cell) as resumed:
        assert adopting.adopts
    assert resumed == cell


def test_a_linked_cell_is_a_cell_of_both_sweeps(tracker):
    with tracker.run("first", "sweep") as first, tracker.run("cell 1", "cell", first) as one:
        pass
    with tracker.run("second", "sweep") as second, tracker.run("cell 2", "cell", second) as two:
        tracker.publish(trial_run(0), second)  # no cell
        tracker.link(second, [one])
        tracker.link(second, [one, two])
    assert tracker.tags(second)["alpharho.cells"] == f"{one},{two}"
    assert [run.run_id for run in tracker.cells_of(second)] == [two, one]
    assert [(run.run_id, run.parent) for run in tracker.cells_of(first)] == [(one, first)]
    tracker.delete(one)
    assert [run.run_id for run in tracker.cells_of(second)] == [two]


def test_runs_that_a_dead_driver_left_open_are_found_by_its_database(tracker):
    tags = {"alpharho.database": "it's"}
    open_ones = [tracker.open("sweep", "sweep", tags=tags), tracker.open("cell", "cell", tags=tags)]
    tracker.close(tracker.open("done", "cell", tags=tags))
    tracker.open("another's", "sweep", tags={"alpharho.database": "its"})
    tracker.open("nobody's", "train")
    assert {run.run_id for run in tracker.running("it's")} == set(open_ones)


def test_any_number_of_params_metrics_tags_and_epochs(tracker):
    with tracker.run("r", "prepare") as run_id:
        tracker.log_params(run_id, {f"p{i}": i for i in range(250)})
        tracker.log_params(run_id, {"p0": "another", "long": "x" * 9000})
        tracker.log_curves(run_id, {f"c{i}": np.linspace(0, 1, 700) for i in range(3)})
        tracker.set_tags(run_id, {f"t{i}": i for i in range(150)})
        tracker.log_metrics(run_id, {})
    assert len(tracker.params(run_id)) == 251
    assert tracker.params(run_id)["p0"] == "0"
    history = tracker.client.get_metric_history(run_id, "c2")
    assert [point.step for point in history] == list(range(1, 701))
    assert tracker.metrics(run_id)["c2"] == 1.0
    assert tracker.tags(run_id)["t149"] == "149"


def test_what_is_not_finite_is_kept_as_nan(tracker):
    with tracker.run("r", "prepare") as run_id:
        tracker.log_metrics(run_id, {"nan": math.nan, "inf": math.inf})
        tracker.log_curves(run_id, {"loss": [1.0, -math.inf]})
    assert all(math.isnan(value) for value in tracker.metrics(run_id).values())


def test_tables_are_csv(tracker):
    table = pd.DataFrame({"class": ["Shih-Tzu, the", "Ænglish"], "top1": [0.5, 0.25]})
    with tracker.run("r", "prepare") as run_id:
        tracker.log_table(run_id, table, "per_class.csv")
    path = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="per_class.csv")
    pd.testing.assert_frame_equal(pd.read_csv(path), table)


def test_a_dataset_shows_its_name_source_and_counts(tracker):
    with tracker.run("r", "prepare") as run_id:
        tracker.log_dataset(run_id, "digits", "/data/digits", "d" * 64, "training", {"train": 1000, "classes": 10})
    (entry,) = tracker.client.get_run(run_id).inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("digits", "d" * 36)
    assert json.loads(entry.dataset.profile) == {"train": 1000, "classes": 10}
    assert json.loads(entry.dataset.source) == {"uri": "/data/digits"}
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "training")]


def test_published_rows_are_written_once_and_stay_deleted(tracker):
    tracker.ensure_published(PUBLISHED)
    first = tracker.search()
    tracker.client.delete_run(first[0].run_id)
    connect("alpharho").ensure_published(PUBLISHED)
    (left,) = tracker.search()
    assert left == first[1]
    assert left.status == "FINISHED"
    assert left.metrics == {"test_top1": 0.8, "params_total": 3.3e6}
    assert left.params["resolution"] == "224"
    assert left.tags.items() >= {"source": "paper", "alpharho.kind": "published", "reference": "table 10"}.items()


def test_a_run_with_a_key_is_made_once_and_found_again(tracker):
    first = tracker.open("sweep", "prepare", key="k1")
    tracker.close(first, "KILLED", {"alpharho.error": "KeyboardInterrupt"})
    assert tracker.open("sweep", "prepare", key="k1") == first
    assert tracker.status(first) == "RUNNING"
    assert tracker.with_key("k1") == first
    assert tracker.with_key("k2") == ""
    assert tracker.open("sweep", "prepare", key="k2") != first


def test_a_finished_run_no_longer_tells_of_an_interrupt(tracker):
    run_id = tracker.open("sweep", "prepare")
    tracker.close(run_id, "KILLED", {"alpharho.error": "KeyboardInterrupt"})
    tracker.close(run_id)
    assert "alpharho.error" not in tracker.tags(run_id)
