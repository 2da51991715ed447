"""A real server that does all that is asked, is away for a while, or does what it is told and does not say so.

All that needs `mlflow server` stands here, so that one is started for the whole suite.
"""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import threading
import time

import pandas as pd
import pytest
from mlflow import MlflowClient
from proxy import Proxy
from samples import PUBLISHED, check_model, trial_run

from pipeline.shell.errors import UserError
from pipeline.tracking import Outage, connect, histories, outages
from pipeline.tracking import server as asking

pytestmark = pytest.mark.slow  # `mlflow server` takes 10 to 30 s to start
PUBLISHING = ("runs/create", "runs/log-batch", "runs/update")


@pytest.fixture
def proxy(server):
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def tracker(proxy, monkeypatch, request):
    """In an experiment of its own, behind the proxy."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    return connect(request.node.name)


@pytest.fixture
def direct(server, monkeypatch, request):
    """In an experiment of its own, without the proxy."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    return connect(request.node.name)


def _histories(tracker, run_id: str) -> dict[str, list[int]]:
    names = tracker.metrics(run_id)
    return {name: [point.step for point in tracker.client.get_metric_history(run_id, name)] for name in names}


def _check_trials(tracker, parent: str, count: int) -> None:
    trials = {run.key: run for run in tracker.children(parent)}
    assert len(tracker.children(parent)) == count
    for number in range(count):
        wanted = trial_run(number)
        found = trials[wanted.key]
        assert (found.status, found.name, found.seconds) == ("FINISHED", wanted.name, 10)
        assert found.params == {"learning_rate": "0.001", "freeze_conv": "true"}
        assert found.tags["optuna.state"] == "COMPLETE"
        steps = {name: list(range(1, 31)) for name in wanted.curves}
        assert _histories(tracker, found.run_id) == {**steps, "best_val_top1": [0]}


def test_a_server_does_all_of_it(direct, folder, capfd):
    tracker = direct
    tracker.check_artifacts()
    with tracker.run("sweep", "sweep") as sweep:
        trial = tracker.publish(trial_run(0, val_loss=[1.0, math.nan, math.inf]), sweep)
        tracker.log_table(sweep, pd.DataFrame({"a": [1]}), "a.csv")
        tracker.log_dataset(sweep, "digits", "https://example.org", "abc", "training", {"train": 3})
    assert [point.step for point in tracker.client.get_metric_history(trial, "val_loss")] == [1, 2, 3]
    assert math.isnan(tracker.metrics(trial)["val_loss"])
    for _ in range(2):
        tracker.ensure_published(PUBLISHED)
    assert len(tracker.search("tags.source = 'paper'")) == 2
    assert "View run" not in capfd.readouterr().out
    assert list(folder.iterdir()) == []


def test_a_server_names_an_unknown_run(direct):
    with pytest.raises(UserError, match="which is not there"):
        direct.params("0" * 32)


def test_a_server_answers_for_many_runs_at_once(direct, monkeypatch):
    monkeypatch.setattr(direct.client, "get_metric_history", None)
    runs = {direct.publish(trial_run(number, epochs=3), "0" * 32): number for number in range(3)}
    found = direct.curves(runs, ["val_top1"])
    assert found == {(run, "val_top1"): _curve(number) for run, number in runs.items()}


def _curve(number: int) -> dict[int, float]:
    return dict(enumerate(trial_run(number, epochs=3).curves["val_top1"], start=1))


ANSWERS = {"/ajax-api/2.0/mlflow/metrics/no-such-call": "404", "/": "a page of HTML"}


@pytest.mark.parametrize("path", ANSWERS, ids=ANSWERS.values())
def test_a_server_that_cannot_answer_for_many_runs_is_asked_for_each(direct, monkeypatch, path):
    monkeypatch.setattr(histories, "BULK", path)
    runs = {direct.publish(trial_run(number, epochs=3), "0" * 32): number for number in range(2)}
    found = direct.curves(runs, ["val_top1"])
    assert found == {(run, "val_top1"): _curve(number) for run, number in runs.items()}


def test_the_password_goes_along(server, monkeypatch):
    seen = []
    ask = asking.http_request

    def listening(host, *args, **kwargs):
        seen.append((host.username, host.password))
        return ask(host, *args, **kwargs)

    monkeypatch.setattr(asking, "http_request", listening)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    tracker = connect("password")
    tracker.curves([tracker.open("r", "prepare")], ["val_top1"])
    assert seen == [("anna", "secret")]


def test_files_and_data_sets_come_back_as_they_were_written(direct):
    text = 'class,count\n"two\nlines, ""quoted""",1\n北京犬,2\r\n'
    run_id = direct.open("r", "prepare")
    assert direct.read_text(run_id, "per_class.csv") is None
    direct.log_text(run_id, text, "per_class.csv")
    direct.log_text(run_id, "", "below/empty.txt")
    direct.log_dataset(run_id, "digits", "https://example.org", "abc", "training", {"classes": 10})
    assert direct.read_text(run_id, "per_class.csv") == text
    assert direct.read_text(run_id, "below/empty.txt") == ""
    assert direct.read_text(run_id, "below") is None
    (run,) = direct.search()
    assert [(data.name, data.digest, data.profile) for data in run.data] == [("digits", "abc", {"classes": 10})]


@pytest.mark.parametrize(
    ("location", "received"),
    [
        ("/proc/self/cwd/artifacts", "the server has another disk there"),  # each process has a folder of its own there
        ("/proc/version/artifacts", "Not a directory|No such file|Permission denied"),
    ],
)
def test_artifacts_that_the_server_would_not_see_are_refused(direct, location, received):
    direct.client.create_experiment(f"at {location}", artifact_location=location)
    tracker = connect(f"at {location}")
    for _ in range(2):
        with pytest.raises(UserError, match=rf"folder {location}.*{received}.*--serve-artifacts") as refusal:
            tracker.check_artifacts()
        assert "\n" not in str(refusal.value)
    assert tracker.search() == []
    assert len(tracker.search(deleted=True)) == 1


def test_a_folder_that_both_the_server_and_this_machine_reach_is_right(direct, folder):
    direct.client.create_experiment("both", artifact_location=str(folder / "both"))
    connect("both").check_artifacts()
    assert [path for path in (folder / "both").rglob("*") if path.is_file()] == []


def test_a_server_killed_in_the_middle_and_started_again(server, direct, capsys):
    tracker = direct
    sweep = tracker.open("sweep", "sweep")
    power_cut = threading.Timer(0.3, server.spawn)
    power_cut.start()
    number = 0
    while power_cut.is_alive() or number < 6:
        tracker.publish(trial_run(number), sweep)
        cell = tracker.open(f"cell {number}", "cell")
        tracker.close(cell)
        number += 1
    tracker.close(sweep)
    _check_trials(tracker, sweep, number)
    others = [run for run in tracker.search() if not run.parent]
    assert sorted(run.name for run in others) == sorted(["sweep", *(f"cell {i}" for i in range(number))])
    assert {run.status for run in tracker.search()} == {"FINISHED"}
    waiting, again = capsys.readouterr().err.splitlines()
    assert waiting.startswith("waiting up to 10 minutes for the MLflow store: ")
    assert again.startswith("the MLflow store answers again, after ")


@pytest.mark.postgres
def test_a_database_stopped_and_started_again(postgres, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.create("stopped"))
    tracker = connect("stopped")
    sweep = tracker.open("sweep", "sweep")
    postgres.stop()
    threading.Timer(1, postgres.start).start()
    for number in range(2):
        tracker.publish(trial_run(number), sweep)
    _check_trials(tracker, sweep, 2)


def test_curves_are_waited_for(tracker, proxy, capsys):
    run_id = tracker.publish(trial_run(1, epochs=3), "0" * 32)
    proxy.faults = {"get-history-bulk": "500"}
    assert tracker.curves([run_id], ["val_top1"]) == {(run_id, "val_top1"): _curve(1)}
    assert proxy.spoilt == ["get-history-bulk"]
    assert "waiting up to 10 minutes for the MLflow store" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["500", "silent", "cut"])
def test_a_trial_is_there_once_whatever_request_fails(tracker, proxy, fault):
    sweep = tracker.open("sweep", "sweep")
    proxy.faults = dict.fromkeys(PUBLISHING, fault)
    for number in range(2):
        tracker.publish(trial_run(number), sweep)
    assert proxy.spoilt == list(PUBLISHING)
    _check_trials(tracker, sweep, 2)


def test_other_runs_are_there_once_though_answers_are_lost(tracker, proxy):
    proxy.faults = dict.fromkeys((*PUBLISHING, "runs/search", "runs/log-inputs"), "cut")
    with tracker.run("sweep", "sweep") as sweep:
        tracker.log_metrics(sweep, {"trials": 24})
        tracker.log_dataset(sweep, "digits", "https://example.org", "abc", "training", {"train": 3})
    (record,) = tracker.search()
    assert proxy.faults == {}
    assert len(tracker.client.get_run(sweep).inputs.dataset_inputs) == 1
    assert (record.run_id, record.status, record.metrics) == (sweep, "FINISHED", {"trials": 24})
    assert _histories(tracker, sweep) == {"trials": [0]}
    proxy.faults = dict.fromkeys(("runs/update", "runs/log-batch", "runs/get", "runs/delete"), "cut")
    with tracker.run("sweep", "sweep", resume=sweep):
        tracker.delete(tracker.publish(trial_run(0), sweep))
    assert proxy.faults == {}
    assert [(run.run_id, run.status) for run in tracker.search()] == [(sweep, "FINISHED")]


def test_a_model_is_there_once_though_answers_are_lost(tracker, proxy):
    paths = ("logged-models", "registered-models/create", "model-versions/create", "registered-models/alias")
    proxy.faults = dict.fromkeys((*paths, "runs/outputs", "MLmodel", "classes.json"), "cut")
    check_model(tracker)
    assert proxy.faults == {}
    (logged,) = tracker.client.search_logged_models([tracker.experiment_id])
    (version,) = tracker.client.search_model_versions()
    (run,) = tracker.search()
    outputs = tracker.client.get_run(run.run_id).outputs.model_outputs
    assert [version.source, *(f"models:/{output.model_id}" for output in outputs)] == [logged.model_uri] * 2


@pytest.mark.parametrize("fault", ["", "cut"])
def test_an_interrupt_while_a_run_is_made_leaves_none_running(tracker, proxy, fault):
    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)  # in which the main thread would hear of it

    proxy.before_create = interrupt
    proxy.faults = {"runs/create": fault}
    with pytest.raises(KeyboardInterrupt):
        tracker.open("sweep", "sweep")
    (record,) = tracker.search()
    assert (record.status, record.tags["alpharho.error"]) == ("KILLED", "KeyboardInterrupt")


def test_the_impatient_hear_of_it_at_once(tracker, proxy, capsys):
    proxy.faults = dict.fromkeys(PUBLISHING, "silent")
    with pytest.raises(Outage, match="timed out") as outage, tracker.impatient():
        tracker.publish(trial_run(0), "0" * 32)
    assert proxy.spoilt == ["runs/create"]  # once, and no second try
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "2"
    assert "\n" not in str(outage.value)
    assert capsys.readouterr().err == ""


def test_an_outage_without_end_is_one_line(tracker, proxy, monkeypatch, capsys):
    monkeypatch.setattr(outages, "MLFLOW", dataclasses.replace(outages.MLFLOW, patience=1))
    monkeypatch.setattr(tracker, "client", MlflowClient("http://127.0.0.1:1"))
    with pytest.raises(UserError, match=r"wanted .* Received: .*Connection refused\. Try: ") as outage:
        tracker.search()
    assert "\n" not in str(outage.value)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_mistake_of_ours_is_not_tried_again(tracker, capsys):
    with pytest.raises(Exception, match="INVALID_PARAMETER_VALUE"):
        tracker.search("nonsense = 3")
    assert capsys.readouterr().err == ""
