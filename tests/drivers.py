"""Real driver processes that start within a second, since tensorflow and mlflow are imported once for all of them."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Driver:
    """`tuning/optimize.py` with `flags`, a process of its own in `folder`; what it says goes to folder/driver.log."""

    def __init__(self, folder: Path, flags: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.log = folder / "driver.log"
        self._process = _context().Process(target=_drive, args=(str(folder), list(flags), dict(environment or {})))
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float) -> int | None:
        """Until it ends, or so long; its exit code."""
        self._process.join(seconds)
        return self.code

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.join()


def run(folder: Path, flags: Sequence[str], environment: Mapping[str, str] | None = None, limit: float = 300) -> float:
    """A driver that is to end well; the seconds it took, once its process was there.

    Raises AssertionError, with what it said, where it does not.
    """
    driver = Driver(folder, flags, environment)
    code = driver.wait(limit)
    if code != 0:
        driver.kill()
        raise AssertionError(f"exit code {code}: {driver.log.read_text(errors='replace')[-2000:]}")
    return time.time() - float(driver.log.read_text(errors="replace").rpartition("--- ")[2].split()[0])


def _context() -> multiprocessing.context.ForkServerContext:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # The server that forks gets the environment, but not the path by which this module was found.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tuning.sweep", "reports.build", "pipeline.tracking.store"])
    forkserver.ensure_running()
    return context


def _drive(folder: str, flags: list[str], environment: dict[str, str]) -> None:
    """In the new process."""
    os.chdir(folder)
    os.environ.update({"MLFLOW_TRACKING_URI": "", **environment})
    with open("driver.log", "a", buffering=1) as log:
        print(f"--- {time.time():.1f} process {os.getpid()}", file=log, flush=True)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    from pipeline.shell import cli
    from tuning import optimize

    cli.run(lambda: optimize.main(flags), optimize.resume_hint(["tuning/optimize.py", *flags]))
