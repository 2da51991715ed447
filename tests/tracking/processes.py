"""Processes that use one store at once."""

from __future__ import annotations

import multiprocessing
import os
from unittest import mock


def children(count: int, target, *args) -> list[int]:
    """Runs `target`, which needs no tensorflow, in `count` processes at once; returns their exit codes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow", "mlflow.store.tracking.sqlalchemy_store", "alembic.script"])
    barrier = context.Barrier(count)
    environment = dict(os.environ)  # the fork server's own is that of the test that happened to start it
    processes = [context.Process(target=_child, args=(environment, target, barrier, *args)) for _ in range(count)]
    with mock.patch.dict(os.environ, TF_CPP_MIN_LOG_LEVEL="0"):  # at which `import pipeline` leaves tensorflow alone
        for process in processes:
            process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def _child(environment: dict[str, str], target, *args) -> None:
    os.environ.clear()
    os.environ.update(environment)
    target(*args)
