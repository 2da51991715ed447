"""Which pictures."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.checks import require

KNOWN_DATASETS = ("stanford_dogs", "cifar10", "digits", "letters", "folder:PATH")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which pictures, and how they are cut."""

    dataset: str = "stanford_dogs"
    """stanford_dogs, cifar10, digits, letters, folder:PATH, or any image classification set of TFDS"""
    data_dir: str = "work/data"
    """where TFDS keeps its data sets, or is to put them"""
    work_dir: str = "work"
    """where feature tables are kept"""
    experiment: str = "alpharho"
    """MLflow experiment (inside `mlflow run` the project's own experiment is used)"""
    seed: int = 0
    """of the cut, the initial heads, the batches and the search"""
    val_fraction: float = 0.15
    """part of the training pictures that the search validates on, stratified"""
    test_fraction: float = 0.2
    """part kept for the test where the data set has no test split; the same for every seed"""
    train_limit: int = 0
    """use only so many training pictures, a stratified draw by seed; 0 = all"""
    skip_unreadable: bool = False
    """leave out pictures that cannot be decoded, and count them, instead of stopping"""

    def __post_init__(self) -> None:
        require(bool(self.dataset), "the name of a data set", self.dataset, f"known: {', '.join(KNOWN_DATASETS)}")
        for field in ("val_fraction", "test_fraction"):
            value = getattr(self, field)
            require(0 < value < 1, f"{field} between 0 and 1, both excluded", value)
        require(self.train_limit >= 0, "train_limit >= 0", self.train_limit, "0 takes all pictures")
        require(0 <= self.seed < 2**31, "a seed from 0 to 2147483647", self.seed)
