"""What the searches of all cells share, and how they take turns."""

from __future__ import annotations

from collections.abc import Collection, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.config import SweepConfig
from pipeline.datasets import Dataset
from tuning.executors import TaskExecutor
from tuning.storage import DriverLock

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

T = TypeVar("T")

Steps = Generator[Collection[Future[Any]], None, T]
"""Does a piece of work at a time, and yields futures between: it goes on when one of them is done."""


@dataclass(frozen=True)
class Driver:
    """What the searches of all cells share.

    Attributes:
        lock: checked before anything is written.
        sweep_run: the MLflow run above the cells' runs.
    """

    config: SweepConfig
    dataset: Dataset
    tracker: Tracker
    executor: TaskExecutor
    lock: DriverLock
    sweep_run: str
