"""Rows of earlier tables for a new one: features are those of a picture, whatever split it stands in.

So when pictures are added, removed or moved, only those are computed that no table of the same backbone has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.features.kept import Kept, tables
from pipeline.features.partial import AND, CHUNK, HASHES, Partial, hash_of

# What table.json says that is no part of the recipe by which features were made.
_OF_THE_PICTURES = frozenset({"data", "split", "pictures", "engine", "sha256", "pictures_per_second"})


@dataclass(frozen=True)
class Source:
    """An earlier table.

    Attributes:
        features: float32 (m, d), memory-mapped.
        engine, pictures_per_second: how it was made.
    """

    features: np.ndarray
    engine: str
    pictures_per_second: float


@dataclass(frozen=True)
class Known:
    """Which rows of a new table earlier ones have.

    Attributes:
        sources: those that have any.
        where: int (n, 2), for each row the number of its source, or -1, and the row there.
    """

    sources: tuple[Source, ...]
    where: np.ndarray

    @property
    def lacks(self) -> np.ndarray:
        """bool (n,), rows that none has."""
        return self.where[:, 0] < 0

    def chunks(self, begin: int, end: int) -> Iterator[tuple[int, np.ndarray, str, float]]:
        """The rows from `begin` to `end`, of which none may be missing, as Partial.add takes them."""
        for first in range(begin, end, CHUNK):
            part = self.where[first : min(first + CHUNK, end)]
            if (part[:, 0] < 0).any():
                raise ValueError(f"wanted known rows from {first} on. Received: {(part[:, 0] < 0).sum()} that none has")
            features = np.empty((len(part), self.sources[0].features.shape[1]), np.float32)
            engines, seconds = set(), 0.0
            for number in np.unique(part[:, 0]):
                rows, source = part[:, 0] == number, self.sources[number]
                features[rows] = source.features[part[rows, 1]]
                engines.add(source.engine)
                seconds += rows.sum() / source.pictures_per_second
            yield first, features, AND.join(sorted(engines)), float(seconds)


class Filled:
    """A table on its way, to which known rows are copied, and the others added when they are computed.

    Attributes:
        lacks: bool (n,), rows that are still to be computed.
    """

    def __init__(self, partial: Partial, rows: Known) -> None:
        self._partial, self._known = partial, rows
        self.lacks = rows.lacks & (np.arange(len(rows.where)) >= partial.rows)

    def add(self, rows: np.ndarray, features: np.ndarray, engine: str, seconds: float) -> None:
        """Takes what was computed next of `lacks`: rows, int (k,), ascending, and features, float32 (k, d)."""
        for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) > 1) + 1):
            self._copy(rows[part[0]])
            self._partial.add(int(rows[part[0]]), features[part], engine, seconds * len(part) / len(rows))

    def finish(self) -> None:
        """Puts the table in its place. Needs all that it lacked."""
        self._copy(len(self.lacks))
        self._partial.finish()

    def _copy(self, end: int) -> None:
        for chunk in self._known.chunks(self._partial.next_row, end):
            self._partial.add(*chunk)


def known(work_dir: str, about: Mapping[str, str], hashes: np.ndarray) -> Known:
    """What whole tables in `work_dir` have of the pictures with these hashes, uint8 (n, 32).

    Args:
        about: what table.json is to say of the new one.
    """
    where = np.full((len(hashes), 2), -1, np.int64)
    sources: list[Source] = []
    for kept in _alike(work_dir, about):
        rows = _rows_of(kept.path, hashes)
        found = (rows >= 0) & (where[:, 0] < 0)
        if found.any() and (source := _opened(kept)) is not None:
            where[found] = np.column_stack([np.full(found.sum(), len(sources)), rows[found]])
            sources.append(source)
    return Known(tuple(sources), where)


def told(work_dir: str, about: Mapping[str, str], hashes: np.ndarray) -> np.ndarray:
    """bool (n,): which of these pictures `known` would find, by what tables say; none of them is read."""
    found = np.zeros(len(hashes), bool)
    for kept in _alike(work_dir, about):
        found |= _rows_of(kept.path, hashes) >= 0
    return found


def _alike(work_dir: str, about: Mapping[str, str]) -> Iterator[Kept]:
    """Whole tables that were made by the same recipe."""
    return (kept for kept in tables(work_dir) if kept.kind == "table" and _recipe(kept.about) == _recipe(about))


def _recipe(about: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in about.items() if name not in _OF_THE_PICTURES}


def _rows_of(folder: Path, hashes: np.ndarray) -> np.ndarray:
    """int (n,): the row of each of `hashes`, uint8 (n, 32), in the table; -1 where it has none, or does not tell."""
    try:
        there, wanted = (np.ascontiguousarray(one).view("S32")[:, 0] for one in (np.load(folder / HASHES), hashes))
    except (OSError, ValueError, EOFError, IndexError):  # damaged
        there = np.zeros(0, "S32")
    if not len(there):
        return np.full(len(hashes), -1, np.int64)
    order = np.argsort(there, kind="stable")
    nearest = order[np.minimum(np.searchsorted(there, wanted, sorter=order), len(there) - 1)]
    return np.where(there[nearest] == wanted, nearest, -1)


def _opened(kept: Kept) -> Source | None:
    """None where it is damaged."""
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError):
        features = np.load(kept.path / "features.npy", mmap_mode="r")
        whole = hash_of(kept.path / "features.npy") == kept.about["sha256"]
        if whole and len(features) == len(np.load(kept.path / HASHES, mmap_mode="r")):
            return Source(features, kept.about["engine"], kept.about["pictures_per_second"])
    return None
