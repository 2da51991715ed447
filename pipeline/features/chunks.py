"""A pass over the pictures in chunks, which any machine may make: a worker holds pictures and engines between them.

The chunks are whole batches of the one pass, so that a table made of them is the same, byte for byte.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.config import EngineName, Precision
from pipeline.datasets import Split, streams
from pipeline.features.engines import Engine
from pipeline.features.extract import BATCH, Made, Wanted, features_of
from pipeline.shell.cores import cores
from pipeline.shell.errors import UserError, first_line

LARGEST = 4096  # pictures of a chunk; at either end of one the cores idle for half a second, and all of it may be lost
SMALLEST = 128
PER_WORKER = 2  # chunks at least, so that all workers end at about the same time; one alone has nobody to wait for
LOOKED_AT = 4  # places with so many pictures each, by which a machine shows that it sees the driver's before it works
READ_AT_ONCE = 64  # pictures; one by one they take three times as long
_LONGEST_PATH = 4096


@dataclass(eq=False)
class Pass:
    """What a worker needs for any chunk; see features_of.

    Attributes:
        split: of which a worker reads the pictures by itself, unless they are in memory.
    """

    split: Split
    wanted: Sequence[Wanted]
    engine: EngineName
    work_dir: str
    precision: Precision = "float32"
    held: list[Engine] = field(default_factory=list)

    def made(self, begin: int, end: int) -> Made:
        """The features of the pictures from `begin` to `end`."""
        told: list[Made] = []
        wanted = [replace(one, lacks=None if one.lacks is None else one.lacks[begin:end]) for one in self.wanted]
        part = self.split.between(begin, end)
        with ThreadPoolExecutor(1) as beside:
            same = beside.submit(_require_same, part)  # which reads ahead of what is decoded
            features_of(part, wanted, self.engine, self.work_dir, self.precision, tell=told.append, held=self.held)
            same.result()
        parts = [[one.features[slot] for one in told] for slot in range(len(wanted))]
        features = [_joined([part for part in of_one if part is not None]) for of_one in parts]
        return Made(begin, end - begin, features, told[0].engines, sum(one.seconds for one in told))


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray | None:
    return np.concatenate(parts) if parts else None


def make_chunk(of: Pass, begin: int, end: int) -> Made:
    """A task. Raises UserError as features_of does."""
    return of.made(begin, end)


def spans(count: int, workers: int) -> list[tuple[int, int]]:
    """Begin and end of the chunks of a pass over `count` pictures, all of them whole batches but for the last."""
    parts = PER_WORKER * workers if workers > 1 else 1
    size = min(LARGEST, max(SMALLEST, -(-count // parts)))
    size = -(-size // BATCH) * BATCH
    return [(begin, min(begin + size, count)) for begin in range(0, count, size)]


def require_seen(of: Pass) -> None:
    """A task. Reads a few pictures in evenly spread places, and compares their hashes; the others follow with a chunk.

    Raises UserError where this machine does not see them, or sees others.
    """
    count = len(of.split)
    for row in np.unique(np.linspace(0, max(count - LOOKED_AT, 0), LOOKED_AT).round().astype(int)).tolist():
        _require_same(of.split.between(row, min(row + LOOKED_AT, count)))


def _require_same(part: Split) -> None:
    """Raises UserError unless each picture is what the driver saw when it listed them."""
    found: list[bytes] = []
    try:
        with ThreadPoolExecutor(cores() + 4) as threads:  # some of which wait for the disk
            for batch in streams.arrays(part.raw().batch(READ_AT_ONCE)):
                found += threads.map(_hash, batch)
    except (OSError, tf.errors.OpError, AssertionError) as error:  # TFDS raises the last for files that are missing
        raise UserError(_UNSEEN.format(part.ids[len(found)], first_line(error))) from error
    for name, seen, known in zip(part.ids, found, part.hashes, strict=True):
        if seen != bytes(known):
            raise UserError(_UNSEEN.format(name, "another file of that name"))


_UNSEEN = (
    "wanted to see the picture {} as the driver does. Received: {}. "
    "Try: a folder that all nodes share, or the same files at the same path on each"
)


def _hash(raw: Any) -> bytes:
    """SHA-256 of a picture as it is stored: encoded, in a file of this path, or as pixels."""
    if isinstance(raw, bytes) and len(raw) < _LONGEST_PATH and (os.path.isabs(raw) or os.path.exists(raw)):
        raw = Path(os.fsdecode(raw)).read_bytes()
    return hashlib.sha256(raw if isinstance(raw, bytes) else raw.tobytes()).digest()
