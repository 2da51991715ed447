"""Sweeps of two small cells of digits, in the process of the tests."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pipeline import tracking
from pipeline.config import SweepConfig
from tuning.executors import InlineExecutor, TaskExecutor
from tuning.storage import driver_lock, open_storage
from tuning.summary import CellResult
from tuning.sweep import sweep

CONFIG = SweepConfig(
    dataset="digits", weights="tiny", alphas=(0.25,), resolutions=(32, 48), trials=2, wave=2, epochs=2, train_limit=60
)
ONE = dataclasses.replace(CONFIG, resolutions=(32,))


def run(config: SweepConfig, executor: TaskExecutor | None = None) -> tuple[list[CellResult], list[str]]:
    with driver_lock(config.storage) as lock:
        tracker = tracking.connect(config.experiment)
        storage = open_storage(config.storage)
        _run, cells, failures = sweep(config, storage, lock, tracker, executor or InlineExecutor())
    return cells, failures


def of_kind(kind: str) -> list[tracking.RunRecord]:
    return tracking.connect("alpharho").search(f"tags.`alpharho.kind` = '{kind}'")


def stores(folder: Path) -> tuple[str, str]:
    return f"sqlite:///{folder}/optuna.db", f"sqlite:///{folder}/mlflow.db"
