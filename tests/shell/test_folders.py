"""The folder that a command was called in, asked by a process of its own, for it is processes that are looked at."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = "from pipeline.shell.folders import home; print(home())"
# `mlflow run` starts bash, which starts Python: the folder of the first process is where it was called.
MLFLOW = """
import subprocess, sys
subprocess.run(["bash", "-c", '"$0" -c "$1" && true', sys.executable, sys.argv[1]], cwd=sys.argv[2], check=True)
"""


def asked(called_in: Path, runs_in: Path, run_id: str) -> Path:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_RUN_ID": run_id}
    command = [sys.executable, "-c", MLFLOW, PROGRAM, str(runs_in)]
    done = subprocess.run(command, cwd=called_in, env=environment, check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


@pytest.fixture
def clone() -> Iterator[Path]:
    """A folder as mlflow makes one for a project that it fetches, and a subdirectory of it."""
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / "project").mkdir()
        yield Path(made).resolve()


@pytest.mark.parametrize("subdirectory", ["", "project"])
def test_a_clone_of_mlflow_run_is_left_for_the_folder_of_the_call(clone: Path, tmp_path: Path, subdirectory: str):
    assert asked(called_in=tmp_path, runs_in=clone / subdirectory, run_id="0123abc") == tmp_path


def test_a_local_project_and_a_program_of_its_own_stay_where_they_are(clone: Path, tmp_path: Path):
    assert asked(called_in=clone, runs_in=tmp_path, run_id="0123abc") == tmp_path
    assert asked(called_in=tmp_path, runs_in=clone, run_id="") == clone


def test_mlflow_may_have_been_called_in_a_temporary_folder(clone: Path):
    assert asked(called_in=clone, runs_in=clone, run_id="0123abc") == clone
