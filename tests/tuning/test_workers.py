"""Worker processes as such; what they do together is in test_optimize.py and test_chaos.py."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.config import SweepConfig
from pipeline.shell import progress
from pipeline.shell.errors import UserError
from tuning import workers
from tuning.workers import Crew

ROOT = Path(__file__).parents[2]
TWO = SweepConfig(workers=2)


@pytest.fixture(autouse=True)
def spawned(monkeypatch):
    """No settings of this machine; and workers that do without the process that imports tensorflow for them."""
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")


def tell(config: SweepConfig, first: int) -> None:
    progress.note(f"first {first}, GPU {os.environ['CUDA_VISIBLE_DEVICES']}, OMP {os.environ['OMP_NUM_THREADS']}")


def refuse(config: SweepConfig, first: int) -> None:
    raise UserError("wanted another. Received: this")


def die(config: SweepConfig, first: int) -> None:
    os._exit(7)


def nothing() -> None:
    pass


def test_each_worker_has_its_first_cell_its_gpu_and_its_share_of_the_cores(monkeypatch, capsys):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3})
    Crew(TWO, tell).run(nothing)
    said = sorted(capsys.readouterr().err.splitlines())
    assert said == ["worker 0: first 0, GPU 2, OMP 2", "worker 1: first 2, GPU 5, OMP 2"]


def test_a_persons_own_number_of_threads_stays(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    Crew(TWO, tell)
    assert os.environ["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize(("count", "threads"), [(1, 4), (2, 2), (3, 1), (8, 1)])
def test_workers_share_the_cores(monkeypatch, count, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3})
    assert workers.threads_each(count) == threads


def test_workers_begin_with_different_cells():
    assert [workers.first_cell(number, 2, 4) for number in range(2)] == [0, 2]
    assert [workers.first_cell(number, 3, 4) for number in range(3)] == [0, 1, 2]
    assert [workers.first_cell(number, 6, 4) for number in range(6)] == [0, 0, 1, 2, 2, 3]


def test_what_workers_refuse_is_told_once():
    crew = Crew(TWO, refuse)
    crew.run(nothing)
    assert (crew.errors, crew.succeeded) == (["wanted another. Received: this"], False)


def test_workers_that_keep_dying_are_given_up(capsys):
    with pytest.raises(UserError, match="7 that died, the last with code 7"):
        Crew(TWO, die).run(nothing)
    assert "ended with code 7; starting another" in capsys.readouterr().err


SCRIPT = """
import os, sys, time
from pathlib import Path
from pipeline.config import SweepConfig
from tuning.workers import Crew

def sleep(config, first):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(60)

if __name__ == "__main__":
    Crew(SweepConfig(workers=2), sleep).run(lambda: None)
"""


def test_workers_end_when_their_command_is_killed(tmp_path):
    script, pids = tmp_path / "command.py", tmp_path / "pids"
    script.write_text(SCRIPT)
    pids.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = subprocess.Popen([sys.executable, script, pids], env=environment, stderr=subprocess.DEVNULL)
    _until(lambda: len(list(pids.iterdir())) == 2)
    command.kill()
    command.wait()
    _until(lambda: not any(Path("/proc", pid.name).exists() for pid in pids.iterdir()))


def _until(holds) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
