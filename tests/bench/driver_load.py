"""What one driver writes for 200 workers: fine-tunings of 30 epochs that train nothing, as fast as it takes them.

    python -m tests.bench.driver_load

Epochs are told, and trials end, as from 200 workers side by side; Optuna's database and MLflow's are sqlite files, or a
PostgreSQL and an MLflow server on it, where this machine has PostgreSQL. What is counted is the driver's own calls: one
for an epoch in MLflow, one for a trial in each of the two. Nothing may be lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import TrialState

from pipeline import tracking
from pipeline.config import SweepConfig
from pipeline.shell import cli, progress
from pipeline.tracking.tracker import Tracker
from tests.servers import MlflowServer, Postgres, why_no_postgres
from tests.sweep_state import faults
from tuning import tasks
from tuning.executors import TaskExecutor
from tuning.storage import driver_lock, open_storage
from tuning.studies import CellStudy
from tuning.sweep import sweep
from tuning.tasks import Epoch, Outcome

WORKERS = 200
EPOCHS = 30
CURVES = ("train_loss", "train_top1", "val_loss", "val_top1", "val_balanced_top1", "learning_rate")
CONFIG = SweepConfig(
    dataset="digits",
    weights="none",
    freeze_conv=False,
    alphas=(0.25,),
    resolutions=(32,),
    epochs=EPOCHS,
    trials=WORKERS,
    wave=WORKERS,
    train_limit=60,
    pruner="none",
)


class Untrained(TaskExecutor):
    """Tells of each epoch of 200 fine-tunings in turn, and trains none of them."""

    at_once = WORKERS

    def __init__(self) -> None:
        self._jobs: deque[tuple[Iterator[None], Future[Any]]] = deque()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A fine-tuning waits for its turns; all else is done."""
        future: Future[Any] = Future()
        if fn is tasks.fit_trials:
            self._jobs.append((_told(future, **kwargs), future))
        else:
            future.set_result(fn(*args, **kwargs))
        return future

    def wait(self, futures: Collection[Future[Any]]) -> None:
        """An epoch of each in turn."""
        while futures and not any(future.done() for future in futures):
            steps, future = self._jobs.popleft()
            next(steps, None)
            if not future.done():
                self._jobs.append((steps, future))


def _told(future: Future[Any], tell: Callable[[Epoch], None]) -> Iterator[None]:
    started, ends = time.time(), []
    for number in range(1, EPOCHS + 1):
        ends.append(time.time())
        tell(Epoch(number, np.zeros(1, int), {name: np.array([number / EPOCHS]) for name in CURVES}, 0, ends[-1]))
        yield
    curve = [number / EPOCHS for number in range(1, EPOCHS + 1)]
    fit = {
        **{"curves": {name: curve for name in CURVES if name != "val_balanced_top1"}, "best_epoch": EPOCHS},
        **{"failure": "", "device": "none", "started": started, "ended": ends[-1], "epoch_ends": ends},
        **{"seconds": ends[-1] - started, "best_val_top1": 1.0, "best_val_balanced_top1": 1.0, "val_loss": 1.0},
        **{"temperature": 1.0, "reject_below": 0.0, "val_right": tasks.packed(np.ones(10, bool))},
    }
    future.set_result([Outcome(TrialState.COMPLETE, 1.0, fit, {})])


def main() -> None:
    whole = measure("sqlite", "sqlite:///optuna.db", "sqlite:///mlflow.db")
    if reason := why_no_postgres():
        print(f"no PostgreSQL: {reason}")
    else:
        with Postgres() as server, tempfile.TemporaryDirectory() as artifacts:
            optuna_url = server.create("load").replace(f":{server.password}@", "@")
            mlflow_url, os.environ["PGPASSWORD"] = server.create("load_mlflow"), server.password
            with MlflowServer(mlflow_url, Path(artifacts)) as mlflow:
                whole &= measure("PostgreSQL and an MLflow server", optuna_url, mlflow_url, mlflow.address)
    sys.exit(0 if whole else 1)


def measure(title: str, optuna_url: str, mlflow_url: str, tracking_uri: str = "") -> bool:
    """Prints what the calls took; whether nothing is lost."""
    config = dataclasses.replace(CONFIG, storage=optuna_url)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), timed() as seconds:
        os.environ["MLFLOW_TRACKING_URI"] = tracking_uri
        with driver_lock(config.storage) as lock, progress.no_bars():
            tracker = tracking.connect("alpharho")
            begun = time.perf_counter()
            sweep(config, open_storage(config.storage), lock, tracker, Untrained())
            whole = time.perf_counter() - begun
        lost = faults(config.storage, mlflow_url, cells=1, total=config.trials)
    print(f"{title}: {config.trials} trials of {EPOCHS} epochs in {whole:.0f} s; lost: {lost or 'nothing'}", flush=True)
    for name, found in seconds.items():
        p50, p99 = np.percentile(found, [50, 99]) * 1000
        rate = len(found) / sum(found)
        print(f"  {name}: {len(found)} calls, {rate:.0f} a second, p50 {p50:.1f} ms, p99 {p99:.1f} ms", flush=True)
    return not lost


@contextlib.contextmanager
def timed() -> Iterator[dict[str, list[float]]]:
    """Call -> the seconds of each."""
    seconds: dict[str, list[float]] = defaultdict(list)
    calls = ((Tracker, "log_epoch"), (Tracker, "publish"), (CellStudy, "add"))
    before = [getattr(of, name) for of, name in calls]

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """As it is, with a clock."""

        @functools.wraps(call)
        def timed_call(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                seconds[name].append(time.perf_counter() - begun)

        return timed_call

    for (of, name), call in zip(calls, before, strict=True):
        setattr(of, name, counted(f"{of.__name__}.{name}", call))
    try:
        yield seconds
    finally:
        for (of, name), call in zip(calls, before, strict=True):
            setattr(of, name, call)


if __name__ == "__main__":
    cli.run(main)
