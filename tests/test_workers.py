"""Worker processes as such; what they do together is in test_optimize.py and test_chaos.py."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.config import SweepConfig
from pipeline.errors import UserError
from tuning import workers

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3})


def test_workers_share_the_cores(four_cores):
    assert workers.environment(0, 2)["TF_NUM_INTRAOP_THREADS"] == "2"
    assert workers.environment(0, 3)["OMP_NUM_THREADS"] == "1"
    assert workers.environment(7, 8)["TF_NUM_INTEROP_THREADS"] == "1"


def test_a_persons_own_number_of_threads_stays(four_cores, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert workers.environment(0, 2)["OMP_NUM_THREADS"] == "3"


def test_each_worker_has_one_of_the_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert [workers.environment(number, 3)["CUDA_VISIBLE_DEVICES"] for number in range(3)] == ["2", "5", "2"]


def test_without_a_gpu_none_is_named(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES" not in workers.environment(0, 2)


def test_an_index_comes_from_the_command_or_from_kubernetes(monkeypatch):
    monkeypatch.delenv(workers.INDEX, raising=False)
    assert (workers.index(), workers.is_worker()) == (0, False)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "4")
    assert (workers.index(), workers.is_worker()) == (4, False)
    monkeypatch.setenv(workers.INDEX, "2")
    assert (workers.index(), workers.is_worker()) == (2, True)


def test_what_workers_refuse_is_told_once(tmp_path):
    config = SweepConfig(workers=2, storage=f"sqlite:///{tmp_path}/nowhere/optuna.db")
    (error,) = workers.run(config, lambda: None)
    assert "no folder" in error


def test_workers_that_keep_dying_are_given_up(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))  # no python starts with it
    with pytest.raises(UserError, match="4 that died"):
        workers.run(SweepConfig(workers=1), lambda: None)
    assert "starting another" in capsys.readouterr().err


def test_a_worker_ends_when_its_command_dies():
    """However it dies: a pipe tells the worker, and it ends as by SIGTERM."""
    sleeper = (
        "from tuning import workers; import time; workers.end_with_parent(); print('up', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", sleeper], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    begun = time.monotonic()
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) != 0
    assert time.monotonic() - begun < 20


def test_every_flag_is_handed_on():
    config = SweepConfig(workers=3, trials=7, skip_unreadable=True)
    command = workers._Crew(config)._command
    from pipeline import cli

    assert cli.parse(SweepConfig, command[2:]) == dataclasses.replace(config, workers=1)
