"""optuna-dashboard opens the database of a sweep."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.servers import free_port
from tests.study_samples import NAME, open_study, run_round

pytest.importorskip("optuna_dashboard", reason="no optuna-dashboard: install the extra `dashboard`")


def ask(port: int, path: str) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return json.load(answer)


def test_curves_and_parameters_are_visible(url, tmp_path):
    """A process, since it is another program."""
    study = open_study(url)
    run_round(study)
    port = free_port()
    program = Path(sys.executable).with_name("optuna-dashboard")
    log = (tmp_path / "log").open("w")
    flags = ("--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref", "--quiet")
    server = subprocess.Popen([program, url, *flags], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                (listed,) = ask(port, "/api/studies")["study_summaries"]
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert listed["study_name"] == NAME
        shown = ask(port, f"/api/studies/{listed['study_id']}?after=0")["trials"]
    finally:
        server.kill()
        server.wait()
        log.close()
    assert len(shown) == 8
    for trial, ours in zip(shown, study.trials, strict=True):
        values = {parameter["name"]: float(parameter["param_external_value"]) for parameter in trial["params"]}
        assert values == pytest.approx(ours.params)
        assert [(value["step"], value["value"]) for value in trial["intermediate_values"]] == [(1, ours.value)]
