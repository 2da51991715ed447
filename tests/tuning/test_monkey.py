"""The monkey, on harmless processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.monkey import Monkey, Plan

# Ends with 0 where the file `end` appears, and with 130 on SIGTERM, like a worker.
WORKER = (
    "import pathlib, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))\n"
    "while not pathlib.Path('end').exists(): time.sleep(0.01)\n"
)


def monkey_on(program: str, folder: Path, seed: int = 0) -> Monkey:
    return Monkey([sys.executable, "-c", program], {}, folder, seed, back_off=0)


def test_the_monkey_harms_replaces_and_lets_finish(tmp_path, capsys):
    plan = Plan(workers=3, signals=20, pause=(0.1, 0.3), held=(0.1, 1))
    with monkey_on(WORKER, tmp_path) as monkey:
        monkey.harm(plan, [("an outage", lambda: monkey.later(0.1, "its end", (tmp_path / "outage").touch))])
        (tmp_path / "end").touch()
        monkey.finish(plan.workers, limit=30)
    log = capsys.readouterr().out
    assert monkey.findings == []
    assert log.count("SIGSTOP") == log.count("SIGCONT") > 0
    assert log.count("SIGKILL") + log.count("SIGTERM") + log.count("SIGSTOP") == 20
    assert log.count(" starts") == 3 + log.count("SIGKILL") + log.count("SIGTERM") == log.count("ended with code")
    assert log.index("an outage") < log.index("its end")
    assert (tmp_path / "outage").exists()


def test_the_monkey_repeats_its_choices_by_seed(tmp_path, capsys):
    logs = []
    for _ in range(2):
        with monkey_on(WORKER, tmp_path, seed=3) as monkey:
            monkey.harm(Plan(workers=2, signals=6, pause=(0.2, 0.3), held=(0.01, 0.01)), [])
        logs.append([line.split()[3:5] for line in capsys.readouterr().out.splitlines() if " SIG" in line])
    assert logs[0] == logs[1]


def test_a_worker_that_crashes_is_told(tmp_path):
    program = "import pathlib\nif not pathlib.Path('end').exists(): pathlib.Path('end').touch(); raise ValueError('no')"
    with monkey_on(program, tmp_path) as monkey:
        monkey.finish(workers=1, limit=30)
    assert monkey.findings == ["worker 1 ended with code 1 of itself: ValueError: no"]


def test_nothing_is_harmed_after_the_end_of_the_sweep(tmp_path):
    (tmp_path / "end").touch()
    with monkey_on(WORKER, tmp_path) as monkey:
        monkey.harm(Plan(workers=1, signals=2, pause=(1, 1)), [])
        monkey.finish(workers=1, limit=30)
    assert (monkey.landed, monkey.findings) == (0, [])


def test_workers_that_cannot_start_end_the_run(tmp_path):
    program = "import sys; sys.exit('error: wanted a database')"
    message = "16 workers gave up. The last said: error: wanted a database"
    with monkey_on(program, tmp_path) as monkey, pytest.raises(RuntimeError, match=message):
        monkey.finish(workers=3, limit=30)
