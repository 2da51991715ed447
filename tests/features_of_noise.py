"""Noisy pictures, and tables of their features."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.config import Cell
from pipeline.datasets import Split
from pipeline.datasets.pictures import from_arrays
from pipeline.features.table import FeatureTable, load_table
from pipeline.networks.backbones import Backbone

CELL = Cell(0.25, 32)


def pictures(count: int = 11) -> Split:
    rng = np.random.default_rng(0)
    return from_arrays("train", rng.integers(0, 256, (count, 20, 24, 3), dtype=np.uint8), np.arange(count) % 3, "noise")


def load(split: Split, backbone: Backbone, folder: Path) -> FeatureTable:
    return load_table(split, "noise:1", backbone, str(folder))


def only_table(folder: Path) -> Path:
    (table,) = [path for path in (folder / "features").iterdir() if path.is_dir()]
    return table


def tables(folder: Path) -> int:
    return len(list(folder.glob("features/*/table.json")))


def dying_after(batches: int, error: Exception):
    """Runs a task that tells of so many batches, and then fails."""

    def run(task, *args, tell, **kwargs):
        told = []

        def told_of(made) -> None:
            if len(told) == batches:
                raise error
            if made.count:  # and not that the engines are ready
                told.append(made)
            tell(made)

        task(*args, tell=told_of, **kwargs)

    return run
