"""One pass over the pictures of a split: decoded once, resized for each resolution, run through every backbone.

Three things go on at once: tf.data decodes and resizes in its own threads, each of the engine's lanes computes, and
this thread hands over. What waits between them is bounded, so memory does not grow with the data set.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.config import Cell, EngineName, Precision
from pipeline.datasets import Split, streams, unreadable_named
from pipeline.features import engines
from pipeline.features.engines import Engine
from pipeline.networks.backbones import Backbone, preprocess, preprocessing
from pipeline.shell.cores import cores

BATCH = 32  # pictures a lane takes at once; 8 cost 5 % more where lanes change between the weights of two cells

Pictures = dict[str, np.ndarray]
"""form, see `_form` -> preprocessed pictures, float32 (n, resolution, resolution, 3)."""


@dataclass(frozen=True)
class Wanted:
    """The features that a pass is asked for.

    Attributes:
        mirrored: of the pictures' mirror images. Resizing is symmetric, so they are mirrored after it.
        lacks: bool (n,), of which pictures of the split; None means all.
    """

    backbone: Backbone
    mirrored: bool = False
    lacks: np.ndarray | None = None


@dataclass(frozen=True)
class Made:
    """What a pass tells of: the features of the next few pictures.

    Attributes:
        begin: position in the split of the first of them.
        count: how many pictures.
        features: float32 (k, d) for each of the wanted, of those pictures that it lacks; None where it lacks none.
        engines: the name of what made them, for each of the wanted.
        seconds: since the pictures before them were done, or since the engines were ready.
    """

    begin: int
    count: int
    features: list[np.ndarray | None]
    engines: list[str]
    seconds: float


def features_of(
    split: Split,
    wanted: Sequence[Wanted],
    engine: EngineName,
    work_dir: str,
    precision: Precision = "float32",
    *,
    tell: Callable[[Made], None],
    held: list[Engine] | None = None,
) -> None:
    """Computes features of `split`. A task: it writes nothing but LiteRT's models, which this machine may need again.

    Args:
        wanted: one or more. Every picture is decoded, so each should be lacked by one of them.
        work_dir: where this machine keeps LiteRT's converted models.
        tell: called once with no pictures when the engines are ready, and then with one batch of features after the
            other, in the order of the pictures.
        held: the engines of an earlier call with the same backbones, or an empty list, which is given those of this.

    Raises:
        UserError: a picture cannot be decoded (it is named), there is no such engine, no GPU for mixed precision, or no
            memory.
    """
    begin = 0
    batches = _batches(split, [one.backbone.cell for one in wanted])
    first = next(batches)
    mine = held or _engines(wanted, engine, work_dir, first, precision)
    if held is not None:
        held[:] = mine
    lanes = [
        partial(_features, engine, _form(one.backbone.cell), one.mirrored)
        for one, engine in zip(wanted, mine, strict=True)
    ]
    pending: deque[tuple[int, int, list[Future[np.ndarray] | None]]] = deque()
    names, since = [engine.name for engine in mine], time.perf_counter()
    tell(Made(begin, 0, [None] * len(wanted), names, 0.0))

    def hand_over() -> None:
        """Tells of the oldest batch, when it is computed."""
        nonlocal since
        row, count, futures = pending.popleft()
        features = [None if future is None else future.result() for future in futures]
        now = time.perf_counter()
        tell(Made(row, count, features, names, now - since))
        since = now

    threads = max(engine.lanes for engine in mine)
    with ThreadPoolExecutor(threads) as pool:  # computes ahead of what is handed over next
        batch: Pictures | None = first
        while batch is not None:
            count = len(next(iter(batch.values())))
            lacks = [_lacked(one, begin, count) for one in wanted]
            futures = [
                pool.submit(lane, batch, rows) if rows.any() else None for rows, lane in zip(lacks, lanes, strict=True)
            ]
            pending.append((begin, count, futures))
            begin += count
            if len(pending) > threads:
                hand_over()
            batch = next(batches, None)
        while pending:
            hand_over()


def _engines(
    wanted: Sequence[Wanted], engine: EngineName, work_dir: str, sample: Pictures, precision: Precision
) -> list[Engine]:
    """One for each of `wanted`; both views of a backbone share theirs."""
    made: dict[int, Engine] = {}
    for one in wanted:
        if id(one.backbone) not in made:
            pictures = sample[_form(one.backbone.cell)]
            made[id(one.backbone)] = engines.make(engine, one.backbone, work_dir, pictures, precision)
    return [made[id(one.backbone)] for one in wanted]


def _lacked(one: Wanted, begin: int, count: int) -> np.ndarray:
    """bool (count,): which of the pictures from `begin` on are to be computed."""
    return np.ones(count, bool) if one.lacks is None else one.lacks[begin : begin + count]


def _features(engine: Engine, form: str, mirrored: bool, pictures: Pictures, lacks: np.ndarray) -> np.ndarray:
    """float32 (k, d), of the k pictures that are lacked."""
    shown = pictures[form] if lacks.all() else pictures[form][lacks]
    return engine(np.ascontiguousarray(shown[:, :, ::-1]) if mirrored else shown)


def _form(cell: Cell) -> str:
    """What cells share whose backbones are given the same numbers."""
    return f"{cell.resolution},{preprocessing(cell)}"


def _batches(split: Split, cells: Sequence[Cell]) -> Iterator[Pictures]:
    """The pictures, in every form that one of `cells` wants."""
    wanted = {_form(cell): cell for cell in cells}
    pictures = (
        split.pictures()
        .map(
            lambda image, _label: {form: preprocess(image, cell) for form, cell in wanted.items()},
            num_parallel_calls=cores(),
            deterministic=True,
        )
        .batch(BATCH)
        .prefetch(streams.READY)
    )
    with unreadable_named(split):
        yield from streams.arrays(pictures)
