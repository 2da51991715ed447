"""Worker processes on this machine: each takes part in the sweep as the same command on another machine would."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pipeline.config import SweepConfig
from pipeline.shell import cli, progress, signals
from pipeline.shell.errors import UserError

Work = Callable[[SweepConfig, int], object]
"""What a worker does: told the configuration and the place, among its cells, of the one to begin with."""

_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_RESTARTS = 3  # for each worker, on the average
_ROOT = str(Path(__file__).parents[1])
_POLL_SECONDS = 0.5
_FAREWELL_SECONDS = 60  # for a worker to close its runs


class Crew:
    """The workers of one command.

    They come from a process that imports tensorflow once for all of them, and begins with that when the crew is made.
    With GPUs, which do not bear to be forked, each imports it for itself.
    """

    def __init__(self, config: SweepConfig, work: Work) -> None:
        self.errors: list[str] = []  # what workers said that ended with an error, each once
        self.succeeded = False  # whether one ended well
        self._config, self._work = config, work
        self._gpus = _gpus()
        self._restarts = _RESTARTS * config.workers
        self._processes: dict[int, BaseProcess] = {}
        self._readers: list[threading.Thread] = []
        for name in _THREADS:  # inherited by all
            os.environ.setdefault(name, str(threads_each(config.workers)))
        forks = "forkserver" in multiprocessing.get_all_start_methods() and not self._gpus
        self._context: Any = multiprocessing.get_context("forkserver" if forks else "spawn")
        if forks:
            # Python 3.11 gives the server its environment, but not the path by which this module was found.
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
            self._context.set_forkserver_preload(["tuning.sweep"])
            forkserver.ensure_running()

    def run(self, watch: Callable[[], None]) -> None:
        """Starts the workers and waits until each has ended; one that dies is started again.

        Args:
            watch: called twice a second meanwhile.

        Raises:
            UserError: they died too often.
        """
        try:
            for number in range(self._config.workers):
                self._start(number)
            while self._processes:
                watch()
                time.sleep(_POLL_SECONDS)
                self._replace_the_dead()
            watch()
        finally:
            self._stop()

    def _start(self, number: int) -> None:
        reader, writer = self._context.Pipe(duplex=False)
        device = {"CUDA_VISIBLE_DEVICES": self._gpus[number % len(self._gpus)]} if self._gpus else {}
        process = self._context.Process(target=_take_part, args=(self._work, self._config, number, device, writer))
        process.start()
        writer.close()
        self._processes[number] = process
        self._readers.append(threading.Thread(target=self._pass_on, args=(number, reader), daemon=True))
        self._readers[-1].start()

    def _pass_on(self, number: int, reader: Connection) -> None:
        """What a worker says, line by line."""
        with os.fdopen(os.dup(reader.fileno()), errors="replace") as lines:
            for line in filter(None, map(str.strip, lines)):
                if not line.startswith("error: "):
                    progress.note(f"worker {number}: {line}")
                elif (error := line.removeprefix("error: ")) not in self.errors:
                    self.errors.append(error)

    def _replace_the_dead(self) -> None:
        """Forgets who is done, and starts again who died."""
        for number, process in list(self._processes.items()):
            code = process.exitcode
            if code is None:
                continue
            del self._processes[number]
            self.succeeded |= code == 0
            if code in (0, cli.EXIT_USER_ERROR):
                continue
            self._restarts -= 1
            if self._restarts < 0:
                raise UserError(
                    f"wanted {self._config.workers} workers that last. Received: "
                    f"{_RESTARTS * self._config.workers + 1} that died, the last with code {code}. "
                    "Try: fewer --workers, or more memory; see what they said above"
                )
            progress.note(f"worker {number} ended with code {code}; starting another")
            self._start(number)

    def _stop(self) -> None:
        """Ends who still runs, and waits for it."""
        with signals.uninterrupted():
            for process in self._processes.values():
                process.terminate()
            for process in self._processes.values():
                process.join(_FAREWELL_SECONDS)
                process.kill()
            for reader in self._readers:  # their last words
                reader.join(_POLL_SECONDS)


def threads_each(count: int) -> int:
    """Its share of the cores for each of `count` workers."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // count)


def first_cell(number: int, count: int, cells: int) -> int:
    """Which cell worker `number` of `count` begins with: those that start together begin with different ones."""
    return number * cells // count


def _take_part(work: Work, config: SweepConfig, number: int, device: dict[str, str], writer: Connection) -> None:
    """In the worker."""
    os.dup2(writer.fileno(), sys.stderr.fileno())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    os.environ.update(device)
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    cli.run(lambda: work(config, first_cell(number, config.workers, len(config.cells))))


def _end_with_the_command() -> None:
    """As by SIGTERM, however the command died that started this worker."""
    command = multiprocessing.parent_process()
    if command is not None:
        command.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _gpus() -> list[str]:
    """As CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip()]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return [str(place) for place, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU")]
