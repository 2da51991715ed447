"""Features made by all workers of an executor: chunk by chunk, in order, with a bounded number under way."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

from pipeline.config import EngineName, Precision
from pipeline.datasets import Split
from pipeline.features import chunks, table
from pipeline.features.chunks import Pass
from pipeline.features.extract import Made, Wanted
from pipeline.shell.errors import UserError
from tuning.executors import InlineExecutor, TaskError, TaskExecutor

AHEAD = 2  # chunks under way, or waiting for an earlier one, for each worker; their features are in memory


def run_on(executor: TaskExecutor) -> table.Run:
    """Where features are made: in this process, or by all workers."""
    return table.here if isinstance(executor, InlineExecutor) else partial(spread, executor)


def require_seen(executor: TaskExecutor, split: Split, work_dir: str) -> None:
    """Raises UserError, which names the machine, where one that is to train on these pictures does not see them."""
    if not isinstance(executor, InlineExecutor):
        executor.everywhere(chunks.require_seen, executor.share(Pass(_to_send(split), [], "auto", work_dir)))


def spread(
    executor: TaskExecutor,
    _task: Callable[..., None],
    split: Split,
    wanted: Sequence[Wanted],
    engine: EngineName,
    work_dir: str,
    precision: Precision = "float32",
    *,
    tell: Callable[[Made], None],
) -> None:
    """Does what `extract.features_of` does, by all workers; a `table.Run` but for its first argument.

    A chunk that was told is never made again; those that a worker took with it are.

    Raises UserError where a machine does not see the pictures, before the first chunk, or as features_of does.
    """
    shared = executor.share(Pass(_to_send(split), wanted, engine, work_dir, precision))
    executor.everywhere(chunks.require_seen, shared)
    todo, since, submitted = chunks.spans(len(split), executor.at_once), 0.0, 0
    running: dict[int, Future[Made]] = {}
    for place, (begin, _end) in enumerate(todo):
        while submitted < min(len(todo), place + AHEAD * executor.at_once):
            running[submitted] = executor.submit(chunks.make_chunk, shared, *todo[submitted])
            submitted += 1
        executor.wait([running[place]])
        try:
            made = running.pop(place).result()
        except TaskError as error:
            raise UserError(f"features of the {split.name} pictures from {split.ids[begin]} on: {error}") from error
        now = time.perf_counter()
        if not place:
            tell(dataclasses.replace(made, count=0, features=[None] * len(wanted), seconds=0.0))
            since = now - made.seconds
        tell(dataclasses.replace(made, seconds=now - since))
        since = now


def _to_send(split: Split) -> Split:
    """Without what features are not made of."""
    return dataclasses.replace(split, thumbnails=None, sizes=None)
