"""A real Ray cluster of two nodes on this machine, and tasks to run there."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from pipeline.config import SweepConfig


def why_no_ray() -> str:
    """Why tests marked `ray` are skipped here, or an empty text."""
    return "" if importlib.util.find_spec("ray") else "no package ray: requirements-ray.txt"


@contextlib.contextmanager
def two_nodes() -> Iterator[Any]:
    """Each with one core."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_worker_niceness", "0")  # or workers starve beside other tests
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def on(cluster: Any, **settings: Any) -> SweepConfig:
    """A sweep of digits by two workers there."""
    return SweepConfig(
        **{"dataset": "digits", "weights": "tiny", "alphas": (0.25,), "resolutions": (32,), **settings},
        executor="ray",
        ray_address=cluster.address,
        workers=2,
    )


def worker_processes() -> list[psutil.Process]:
    """Those that run tasks, of this user."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::Worker"):
                found.append(process)
    return found


def doubled(number: int) -> int:
    return 2 * number


def failing(number: int) -> None:
    raise ArithmeticError(f"no root of {number}")


def counting(last: int, tell: Callable[[int], None]) -> int:
    for number in range(last):
        tell(number)
    return os.getpid()


def identity(value: object) -> int:
    return id(value)


def dying_once(marker: str, tell: Callable[[int], None]) -> str:
    """Tells 1 and 2, takes its worker with it, and when it is run again ends well."""
    tell(1)
    tell(2)
    time.sleep(1)  # or the message would die with the worker
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    tell(3)
    return "well"


def dying() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def threads() -> int:
    from pipeline.shell.cores import cores

    return cores()


def no_fit(trainer: Any, configs: Any, trials: Any, tell: Any) -> None:
    """In place of tasks.fit_trials."""
    raise ArithmeticError("no fit")
