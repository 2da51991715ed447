"""Curves of many runs at once, and files of runs, from a database and through a real server."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime, timedelta

import pytest
from proxy import Proxy
from samples import trial_run

from pipeline.tracking import TrialRun, connect, histories
from pipeline.tracking.lookup import search
from tests.servers import MlflowServer

NAMES = ("val_top1", "val_loss")
ANSWERS = {"/ajax-api/2.0/mlflow/metrics/no-such-call": "404", "/": "a page of HTML"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with MlflowServer(f"sqlite:///{folder}/server.db", folder) as server:
        yield server


@pytest.fixture(params=["database", pytest.param("server", marks=pytest.mark.slow)])
def any_tracker(request, folder, monkeypatch):
    """An empty experiment of its own, in either kind of store."""
    if request.param == "database":
        return request.getfixturevalue("tracker")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("server").address)
    return connect(request.node.name)


def publish(tracker, number: int, epochs: int, **curves) -> str:
    """A trial whose val_top1 in epoch e is number + e / 1000, or `curves`; nothing is shared with other trials."""
    run = trial_run(number, epochs=0)
    values = {"val_top1": [number + epoch / 1000 for epoch in range(1, epochs + 1)]} | curves
    return tracker.publish(dataclasses.replace(run, key=f"{run.key} {epochs}", curves=values), "0" * 32)


def expected(number: int, epochs: int) -> dict[int, float]:
    return {epoch: number + epoch / 1000 for epoch in range(1, epochs + 1)}


def test_curves_come_back_by_run_and_metric(any_tracker, monkeypatch):
    monkeypatch.setattr(histories, "_one_by_one", None)  # both kinds of store answer for many runs
    first = publish(any_tracker, 1, 3, val_loss=[1.0, math.nan])
    second = publish(any_tracker, 2, 1)
    other = publish(any_tracker, 3, 5)
    found = any_tracker.curves([second, first, first], NAMES)
    assert found[first, "val_top1"] == expected(1, 3)
    assert found[second, "val_top1"] == expected(2, 1)
    assert found[first, "val_loss"][1] == 1.0
    assert math.isnan(found[first, "val_loss"][2])
    assert {run_id for run_id, _ in found} == {first, second}
    assert (second, "val_loss") not in found
    assert any_tracker.curves([], NAMES) == {}
    assert any_tracker.curves([other], ["best_val_top1"]) == {}  # a single value is no curve


def test_of_an_epoch_that_was_written_twice_the_later_value_stays(tracker):
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    run = TrialRun("t", "t", "FINISHED", begun, begun + timedelta(seconds=9), curves={"val_top1": [0.9, 0.8]})
    run_id = tracker.publish(run, "0" * 32)
    again = dataclasses.replace(run, started=begun + timedelta(days=1), ended=begun + timedelta(days=2))
    tracker.publish(dataclasses.replace(again, curves={"val_top1": [0.1]}), "0" * 32, run_id)
    assert tracker.curves([run_id], NAMES) == {(run_id, "val_top1"): {1: 0.1, 2: 0.8}}


@pytest.mark.parametrize("any_tracker", ["database"], indirect=True)
@pytest.mark.parametrize("points", [2, 7, 12, 1000])
def test_nothing_is_cut_off_by_what_an_answer_holds(any_tracker, points, monkeypatch):
    monkeypatch.setattr(histories, "BULK_POINTS", points)
    monkeypatch.setattr(histories, "BULK_RUNS", 4)
    epochs = [1, 6, 30, 0, 7, 12, 2, 5, 6]
    runs = {publish(any_tracker, number, length): (number, length) for number, length in enumerate(epochs)}
    found = any_tracker.curves(runs, NAMES)
    assert found == {(run_id, "val_top1"): expected(*trial) for run_id, trial in runs.items() if trial[1]}


@pytest.mark.slow
@pytest.mark.parametrize("path", ANSWERS, ids=ANSWERS.values())
def test_a_server_that_cannot_answer_for_many_runs_is_asked_for_each(server, monkeypatch, path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setattr(histories, "BULK", path)
    tracker = connect(f"cannot {ANSWERS[path]}")
    runs = {publish(tracker, number, number): number for number in range(1, 4)}
    found = tracker.curves(runs, NAMES)
    assert found == {(run_id, "val_top1"): expected(number, number) for run_id, number in runs.items()}


@pytest.mark.slow
def test_a_server_that_is_away_for_a_moment_is_waited_for(server, monkeypatch, capsys):
    with Proxy(server.port) as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        tracker = connect("away")
        run_id = publish(tracker, 1, 3)
        proxy.faults = {"get-history-bulk": "500"}
        assert tracker.curves([run_id], NAMES) == {(run_id, "val_top1"): expected(1, 3)}
        assert proxy.spoilt == ["get-history-bulk"]
    assert "waiting up to 10 minutes for the MLflow store" in capsys.readouterr().err


@pytest.mark.slow
def test_the_password_goes_along(server, monkeypatch):
    seen = []
    ask = histories.http_request

    def listening(host, *args, **kwargs):
        seen.append((host.username, host.password))
        return ask(host, *args, **kwargs)

    monkeypatch.setattr(histories, "http_request", listening)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    tracker = connect("password")
    tracker.curves([publish(tracker, 1, 1)], ["val_top1"])
    assert seen == [("anna", "secret")]


def test_files_are_read_as_they_were_written(any_tracker):
    text = 'class,count\n"two\nlines, ""quoted""",1\n北京犬,2\r\n'
    run_id = publish(any_tracker, 1, 1)
    assert any_tracker.read_text(run_id, "per_class.csv") is None
    any_tracker.log_text(run_id, text, "per_class.csv")
    any_tracker.log_text(run_id, "", "below/empty.txt")
    assert any_tracker.read_text(run_id, "per_class.csv") == text
    assert any_tracker.read_text(run_id, "below/empty.txt") == ""
    assert any_tracker.read_text(run_id, "below") is None
    assert any_tracker.read_text(run_id, "above/per_class.csv") is None


def test_a_run_says_when_it_began_and_what_it_read(any_tracker):
    run_id = publish(any_tracker, 1, 1)
    any_tracker.log_dataset(run_id, "digits", "https://example.org", "abc", "training", {"classes": 10})
    (run,) = search(any_tracker.client, any_tracker.experiment_id, "", deleted=False)
    assert run.started == trial_run(1).started.astimezone()
    assert run.started.utcoffset() == timedelta(0)
    ((name, digest, profile),) = map(dataclasses.astuple, run.data)
    assert (name, digest, profile) == ("digits", "abc", {"classes": 10})


def test_the_experiment_has_a_name(tracker):
    assert tracker.experiment() == "alpharho"
