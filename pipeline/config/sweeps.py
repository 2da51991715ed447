"""A search over many cells."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from pipeline.config.cells import Cell
from pipeline.config.checks import require
from pipeline.config.fits import FitConfig, TrainConfig
from pipeline.config.spelling import spell

Pruner = Literal["median", "hyperband", "successive_halving", "none"]

MAX_WORKERS = 64  # a slip of the pen above it; each takes about 1 GB of memory


@dataclass(frozen=True, kw_only=True)
class SweepConfig(FitConfig):
    """A search over learning_rate, beta_1 and beta_2 for every cell."""

    alphas: tuple[float, ...] = (1.0, 0.75)
    """width multipliers"""
    resolutions: tuple[int, ...] = (224, 192)
    """input sides, px"""
    trials: int = 40
    """total per cell: a second call does only what is left"""
    wave: int = 8
    """trials that are drawn and trained together"""
    pruner: Pruner = "median"
    """which of Optuna's pruners stops a trial early"""
    workers: int = 1
    """processes on this machine; with GPUs, each worker has one of them"""
    storage: str = "sqlite:///optuna.db"
    """Optuna's storage; further machines join the sweep through postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"""
    plan: bool = False
    """measure for some ten seconds, print what the sweep will cost, and stop"""

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(Cell(alpha, resolution, self.backbone) for alpha in self.alphas for resolution in self.resolutions)

    def train_config(self, cell: Cell) -> TrainConfig:
        """What the trials of `cell` share."""
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(FitConfig)}
        return TrainConfig(**shared, alpha=cell.alpha, resolution=cell.resolution)

    def __post_init__(self) -> None:
        asked = f"alphas {spell(self.alphas)!r}, resolutions {spell(self.resolutions)!r}"
        way_out = "such as --alphas 1.0,0.75 --resolutions 224,192"
        require(bool(self.alphas) and bool(self.resolutions), "at least one alpha and one resolution", asked, way_out)
        super().__post_init__()
        require(len(set(self.cells)) == len(self.cells), "each cell once", asked, way_out)
        require(self.trials >= 1, "trials >= 1", self.trials, "40 is the default")
        require(self.wave >= 1, "wave >= 1", self.wave)
        require(1 <= self.workers <= MAX_WORKERS, f"workers from 1 to {MAX_WORKERS}", self.workers)
