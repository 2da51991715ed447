"""What mlflow is imported with."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

from pipeline.tracking import variables


def test_a_persons_own_setting_wins(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    variables.set_up()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_user_id_without_a_home_gets_one_that_is_nowhere(monkeypatch):
    def unknown(user: int):
        raise KeyError(user)

    for name in ("HOME", "USER"):
        monkeypatch.setenv(name, "")  # remembered, so that what set_up() sets is undone
        monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    variables.set_up()
    assert not Path.home().exists()
    assert os.environ["USER"] == f"uid {os.getuid()}"


def test_nothing_is_set_and_mlflow_is_not_imported_before_it_is_wanted():
    """In a process of its own, since this one has imported mlflow."""
    program = (
        "import os, sys; before = dict(os.environ)\n"
        "from pipeline.tracking import TrialRun, connect, runs, variables\n"
        "assert 'mlflow' not in sys.modules\n"
        "print({name for name in os.environ if name.startswith('MLFLOW')} - before.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert (done.stdout.strip(), done.returncode) == ("set()", 0), done.stderr
