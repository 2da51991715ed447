"""One pass over the pictures of a split: decoded once, resized for each resolution, run through every backbone.

Three things go on at once: tf.data decodes and resizes in its own threads, each of the engine's lanes computes, and
this thread writes. What waits between them is bounded, so memory does not grow with the data set.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import tensorflow as tf

from pipeline.config import Cell, EngineName, Precision
from pipeline.datasets import Split, check_readable
from pipeline.features import engines
from pipeline.features.engines import Engine
from pipeline.networks.backbones import Backbone, preprocess, preprocessing
from pipeline.shell import progress
from pipeline.shell.errors import UserError

BATCH = 32  # pictures a lane takes at once; 8 cost 5 % more where lanes change between the weights of two cells
QUEUED = 2  # decoded batches that wait for a lane
BUFFER_BYTES = 256 * 2**20  # that tf.data may fill; by default it takes half of the machine's memory

Batch = dict[str, np.ndarray]
"""form, see `_form` -> preprocessed pictures, float32 (n, resolution, resolution, 3)."""


class Sink(Protocol):
    """Where features go: pipeline.features.partial.Partial, of which these are a part."""

    rows: int

    @property
    def is_whole(self) -> bool: ...

    def start_clock(self, engine: str) -> None: ...

    def add(self, features: np.ndarray) -> None: ...


@dataclass(frozen=True)
class Wanted:
    """A table that a pass is to complete.

    Attributes:
        mirrored: of the pictures' mirror images. Resizing is symmetric, so they are mirrored after it.
    """

    backbone: Backbone
    sink: Sink
    mirrored: bool

    @property
    def form(self) -> str:
        return _form(self.backbone.cell)


Lane = tuple[Callable[[Batch], np.ndarray], Sink]
"""What makes a table's features of a batch, and where they go."""


def extract(
    split: Split,
    tables: Sequence[Wanted],
    asked: EngineName,
    work_dir: str,
    precision: Precision = "float32",
) -> None:
    """Completes the tables of `split`.

    Raises:
        UserError: a picture cannot be decoded (it is named), the features are not finite, or there is no such engine,
            no GPU for mixed precision, or no memory.
    """
    todo = [table for table in tables if not table.sink.is_whole]
    if not todo:
        return
    begin = min(table.sink.rows for table in todo)
    batches = _batches(split, begin, [table.backbone.cell for table in todo])
    first = next(batches)
    made: dict[int, Engine] = {}  # both views of a backbone share one
    for table in todo:
        if id(table.backbone) not in made:
            made[id(table.backbone)] = engines.make(asked, table.backbone, work_dir, first[table.form], precision)
    lanes: list[Lane] = []
    for table in todo:
        engine = made[id(table.backbone)]
        table.sink.start_clock(engine.name)
        lanes.append((partial(_features, engine, table.form, table.mirrored), table.sink))
    cells = list(dict.fromkeys(table.backbone.cell.name for table in tables))
    title = f"features {split.name} {cells[0] if len(cells) == 1 else f'of {len(cells)} cells'}"
    with progress.bar(title, total=len(split), unit="img") as advance:
        advance(begin)
        _run(first, batches, begin, max(engine.lanes for engine in made.values()), lanes, advance)


def _features(engine: Engine, form: str, mirrored: bool, batch: Batch) -> np.ndarray:
    """float32 (n, d)."""
    return engine(np.ascontiguousarray(batch[form][:, :, ::-1]) if mirrored else batch[form])


def _run(
    first: Batch,
    others: Iterator[Batch],
    begin: int,
    threads: int,
    lanes: Sequence[Lane],
    advance: Callable[[int], None],
) -> None:
    """Computes batches ahead of the one that is written next, in as many threads as the engines have use for."""
    pending: deque[tuple[int, list[tuple[Sink, Future[np.ndarray]]]]] = deque()

    def write() -> None:
        count, results = pending.popleft()
        for sink, features in results:
            sink.add(features.result())
        advance(count)

    with ThreadPoolExecutor(threads) as pool:
        batch: Batch | None = first
        while batch is not None:
            count = len(next(iter(batch.values())))
            wanting = [lane for lane in lanes if lane[1].rows <= begin]  # after a kill some tables are further
            pending.append((count, [(sink, pool.submit(compute, batch)) for compute, sink in wanting]))
            begin += count
            if len(pending) > threads:
                write()
            batch = next(others, None)
        while pending:
            write()


def _form(cell: Cell) -> str:
    """What cells share whose backbones are given the same numbers."""
    return f"{cell.resolution},{preprocessing(cell)}"


def _batches(split: Split, begin: int, cells: Sequence[Cell]) -> Iterator[Batch]:
    """The pictures from `begin` on, in every form that one of `cells` wants."""
    wanted = {_form(cell): cell for cell in cells}
    options = tf.data.Options()
    options.autotune.ram_budget = BUFFER_BYTES
    rows = np.arange(begin, len(split)) if begin else None
    pictures = (
        split.pictures(rows)
        .map(
            lambda image, _label: {form: preprocess(image, cell) for form, cell in wanted.items()},
            num_parallel_calls=os.cpu_count(),
            deterministic=True,
        )
        .batch(BATCH)
        .prefetch(QUEUED)
        .with_options(options)
    )
    try:
        yield from pictures.as_numpy_iterator()
    except tf.errors.InvalidArgumentError as error:
        unreadable = check_readable(split)
        if not unreadable:
            raise
        name, reason = unreadable[0]
        raise UserError(
            f"wanted pictures that can be decoded. Received: {name} ({reason}), the first of {len(unreadable)}. "
            "Try: mend or remove it, or leave such pictures out with --skip_unreadable"
        ) from error
