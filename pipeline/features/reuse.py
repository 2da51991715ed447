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
from pipeline.features.partial import CHUNK, HASHES, hash_of
from pipeline.shell.errors import require

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
    def missing(self) -> np.ndarray:
        """int (m,), rows that none has."""
        return np.flatnonzero(self.where[:, 0] < 0)

    def chunks(self, begin: int) -> Iterator[tuple[int, np.ndarray, Source]]:
        """From row `begin` on: first row, features (k, d), and the source of most of them.

        Raises UserError where a row is missing, for a table may be removed while a new one is made of it.
        """
        require(
            not len(self.missing),
            "earlier tables to stay while a new one is made of them",
            f"{len(self.missing)} rows that are gone",
            "the same command again",
        )
        for first in range(begin, len(self.where), CHUNK):
            part = self.where[first : first + CHUNK]
            features = np.empty((len(part), self.sources[0].features.shape[1]), np.float32)
            for number in np.unique(part[:, 0]):
                rows = part[:, 0] == number
                features[rows] = self.sources[number].features[part[rows, 1]]
            yield first, features, self.sources[np.bincount(part[:, 0]).argmax()]


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


def count_known(work_dir: str, about: Mapping[str, str], hashes: np.ndarray) -> int:
    """How many of these pictures `known` would find, by what tables say; none of them is read."""
    found = np.zeros(len(hashes), bool)
    for kept in _alike(work_dir, about):
        found |= _rows_of(kept.path, hashes) >= 0
    return int(found.sum())


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
