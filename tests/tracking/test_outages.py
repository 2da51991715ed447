"""A real server that does all that is asked, is away for a while, or does what it is told and does not say so."""

from __future__ import annotations

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
from pipeline.tracking import Outage, connect, outages
from tests.servers import MlflowServer

pytestmark = pytest.mark.slow  # `mlflow server` takes 10 to 30 s to start
PUBLISHING = ("runs/create", "runs/log-batch", "runs/update")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with MlflowServer(f"sqlite:///{folder}/server.db", folder) as server:
        yield server


@pytest.fixture
def proxy(server):
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def tracker(proxy, monkeypatch, request):
    """In an experiment of its own, behind the proxy."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
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


def test_a_server_does_all_of_it(server, monkeypatch, folder, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    tracker = connect("alpharho")
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


def test_a_server_names_an_unknown_run(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    with pytest.raises(UserError, match="which is not there"):
        connect("alpharho").params("0" * 32)


def test_a_server_killed_in_the_middle_and_started_again(server, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    tracker = connect("killed")
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
    start = time.monotonic()
    with pytest.raises(Outage, match="timed out") as outage, tracker.impatient():
        tracker.publish(trial_run(0), "0" * 32)
    assert time.monotonic() - start < 8
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "3"
    assert "\n" not in str(outage.value)
    assert capsys.readouterr().err == ""


def test_an_outage_without_end_is_one_line(tracker, proxy, monkeypatch, capsys):
    monkeypatch.setattr(outages, "PATIENCE", 2)
    monkeypatch.setattr(tracker, "client", MlflowClient("http://127.0.0.1:1"))
    with pytest.raises(UserError, match=r"wanted .* Received: .*Connection refused\. Try: ") as outage:
        tracker.search()
    assert "\n" not in str(outage.value)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_mistake_of_ours_is_not_tried_again(tracker, capsys):
    with pytest.raises(Exception, match="INVALID_PARAMETER_VALUE"):
        tracker.search("nonsense = 3")
    assert capsys.readouterr().err == ""
