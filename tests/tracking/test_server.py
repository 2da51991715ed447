from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import pytest
from samples import BASELINES, check_model

from pipeline.errors import UserError
from pipeline.tracking import connect


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a real `mlflow server`."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_TRACKING_URI": ""}
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(address, process, folder / "log")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        log.close()


def _wait_until_up(address: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=2)
            return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(log.read_text())


@pytest.mark.slow  # `mlflow server` takes 10 to 30 s to start
def test_a_server_does_all_of_it(server, monkeypatch, folder, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    tracker = connect("alpharho")
    with tracker.run("sweep", "sweep") as sweep:
        trial = tracker.start_trial("trial", sweep, {"learning_rate": 1e-3})
        tracker.end(trial, curves={"val_loss": [1.0, math.nan, math.inf]}, tags={"optuna.state": "FAIL"})
        tracker.log_table(sweep, pd.DataFrame({"a": [1]}), "a.csv")
        tracker.log_dataset(sweep, "digits", "https://example.org", "abc", "training", {"train": 3})
    assert [point.step for point in tracker.client.get_metric_history(trial, "val_loss")] == [1, 2, 3]
    assert math.isnan(tracker.metrics(trial)["val_loss"])
    for _ in range(2):
        tracker.ensure_baselines(BASELINES)
    assert len(tracker.search("tags.source = 'paper'")) == 2
    check_model(tracker)
    assert "View run" not in capfd.readouterr().out
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_server_names_an_unknown_run(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    with pytest.raises(UserError, match="which is not there"):
        connect("alpharho").params("0" * 32)
