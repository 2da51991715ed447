"""Worker processes on this machine: each takes part in the sweep as the same command on another machine would."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pipeline import progress
from pipeline.cli import EXIT_USER_ERROR
from pipeline.config import SweepConfig, as_params
from pipeline.errors import UserError

INDEX = "ALPHARHO_WORKER"  # environment of a worker: which it is, from 0
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_RESTARTS = 3  # for each worker, on the average
_POLL_SECONDS = 0.5
_FAREWELL_SECONDS = 60  # for a worker to close its runs


def index() -> int:
    """Which worker this process is: of the command that started it, or of a Kubernetes Job; 0 where it is none."""
    return int(os.environ.get(INDEX) or os.environ.get("JOB_COMPLETION_INDEX") or 0)


def is_worker() -> bool:
    """Whether another command started this process as its worker."""
    return INDEX in os.environ


def end_with_parent() -> None:
    """Lets this worker end as by SIGTERM when the command that started it dies, however that happens."""

    def wait() -> None:
        # Nothing is written there, so it returns when the other end is gone. Not sys.stdin, whose lock python wants
        # when it ends.
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def run(config: SweepConfig, watch: Callable[[], None]) -> list[str]:
    """Runs config.workers processes until each has ended; one that dies is started again. What they refused.

    Args:
        watch: called twice a second meanwhile.

    Raises:
        UserError: they died too often.
    """
    crew = _Crew(config)
    try:
        crew.start()
        while crew.running():
            watch()
            time.sleep(_POLL_SECONDS)
            crew.replace_the_dead()
        watch()
    finally:
        crew.stop()
    return crew.errors


class _Crew:
    """The workers of one command."""

    def __init__(self, config: SweepConfig) -> None:
        params = as_params(config) | {"workers": "1"}
        flags = [f"--{name}={value}" for name, value in params.items()]
        self._command = [sys.executable, str(Path(__file__).with_name("optimize.py")), *flags]
        self._count = config.workers
        self._restarts = _RESTARTS * config.workers
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._said: dict[str, None] = {}

    @property
    def errors(self) -> list[str]:
        """What workers said when they ended with an error."""
        return list(self._said)

    def start(self) -> None:
        for number in range(self._count):
            self._start(number)

    def running(self) -> bool:
        return bool(self._processes)

    def replace_the_dead(self) -> None:
        """Forgets who is done, and starts again who died."""
        for number, process in list(self._processes.items()):
            code = process.poll()
            if code is None:
                continue
            del self._processes[number]
            if code in (0, EXIT_USER_ERROR):
                continue
            self._restarts -= 1
            if self._restarts < 0:
                raise UserError(
                    f"wanted {self._count} workers that last. Received: {_RESTARTS * self._count + 1} that died, the "
                    f"last with code {code}. Way out: fewer --workers, or more memory; see what they said above"
                )
            progress.note(f"worker {number} ended with code {code}; starting another")
            self._start(number)

    def stop(self) -> None:
        """Ends who still runs, and waits for it."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(_FAREWELL_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self, number: int) -> None:
        process = subprocess.Popen(
            self._command,
            env={**os.environ, **environment(number, self._count)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes[number] = process
        threading.Thread(target=self._pass_on, args=(number, process), daemon=True).start()

    def _pass_on(self, number: int, process: subprocess.Popen[str]) -> None:
        for line in process.stderr or ():
            if line.startswith("error: "):
                self._said[line.removeprefix("error: ").strip()] = None  # workers that refuse the same say it once
            elif line.strip():
                progress.note(f"worker {number}: {line.rstrip()}")


def environment(number: int, count: int) -> dict[str, str]:
    """What worker `number` of `count` is told: its share of the cores, and its GPU where there are some.

    A setting that a person made stays.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = dict.fromkeys(_THREADS, str(max(1, cores // count)))
    gpus = _gpus()
    device = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
    return {**{name: os.environ.get(name, value) for name, value in threads.items()}, **device, INDEX: str(number)}


def _gpus() -> list[str]:
    """As CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip()]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return [str(place) for place, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU")]
