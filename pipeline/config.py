"""Every knob of alpharho, its default and its allowed values; nothing else holds them.

The command-line flags (pipeline/cli.py) are generated from these dataclasses, MLproject lists the same names and
defaults (a test compares them), and each object checks itself when it is made, before anything is downloaded.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import UserError

BASE_RESOLUTION = 224  # px; rho is measured against it (Howard et al. 2017, section 3.4)
MIN_RESOLUTION = 32  # px; the smallest input that keras.applications.MobileNet accepts
IMAGENET_ALPHAS = (0.25, 0.5, 0.75, 1.0)  # Keras publishes ImageNet weights for these alone
IMAGENET_RESOLUTIONS = (128, 160, 192, 224)
TINY_ALPHAS = (0.25, 0.5)  # the two backbones that ship with the package
MOBILENET_WIDTH = 1024  # channels of the last layer at alpha = 1 (Howard et al. 2017, table 1)

# The search space (tuning/search_space.py). 1 - beta is searched on a log scale, since 0.9 -> 0.99 is as large a step
# of Adam's memory as 0.99 -> 0.999. The learning rates reach from fine corrections of ImageNet's own classifier
# (best near 3e-5 on Stanford Dogs) to a freshly drawn head (best near 2e-3).
LEARNING_RATE_RANGE = (1e-5, 1e-1)
ONE_MINUS_BETA_1_RANGE = (1e-2, 0.5)
ONE_MINUS_BETA_2_RANGE = (1e-4, 0.1)

# Reduce on plateau: the learning rate is multiplied by the factor after `patience` epochs in which the validation
# loss fell by less than `min_delta`. The report says only that its rate was "dynamic"; these are Keras' own
# min_delta, and a patience short enough to act several times in 30 epochs.
PLATEAU_FACTOR = 0.5
PLATEAU_PATIENCE = 2
PLATEAU_MIN_DELTA = 1e-4

LrSchedule = Literal["plateau", "constant", "cosine"]
HeadInit = Literal["auto", "imagenet", "random"]
ReportParams = Literal["head", "imagenet_head"]
Augment = Literal["flip_crop", "crop", "none"]
EngineName = Literal["auto", "keras", "litert"]
Pruner = Literal["median", "hyperband", "successive_halving", "none"]

MAX_WORKERS = 64  # a slip of the pen above it; each takes about 1 GB of memory

KNOWN_DATASETS = ("stanford_dogs", "cifar10", "digits", "letters", "folder:PATH")


@dataclass(frozen=True)
class Cell:
    """One combination of the two multipliers.

    Args:
        alpha: width multiplier, > 0 (Howard et al. 2017, section 3.3).
        resolution: input side in px, >= 32; rho = resolution / 224 (section 3.4).
    """

    alpha: float
    resolution: int

    def __post_init__(self) -> None:
        # int(alpha * 32) channels leave the first layer, so a smaller alpha would leave none.
        _require(
            math.isfinite(self.alpha) and 1 / 32 <= self.alpha <= 4,
            "alpha between 0.03125 and 4",
            self.alpha,
            "the paper's are 0.25, 0.5, 0.75 and 1.0",
        )
        _require(
            self.resolution >= MIN_RESOLUTION,
            f"a resolution of at least {MIN_RESOLUTION} px",
            self.resolution,
            "the paper's are 128, 160, 192 and 224",
        )

    @property
    def rho(self) -> float:
        """Resolution multiplier, resolution / 224."""
        return self.resolution / BASE_RESOLUTION

    @property
    def name(self) -> str:
        return f"mobilenet_{self.alpha}_{self.resolution}"


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
        _require(bool(self.dataset), "the name of a data set", self.dataset, f"known: {', '.join(KNOWN_DATASETS)}")
        for field in ("val_fraction", "test_fraction"):
            value = getattr(self, field)
            _require(0 < value < 1, f"{field} between 0 and 1, both excluded", value)
        _require(self.train_limit >= 0, "train_limit >= 0", self.train_limit, "0 takes all pictures")
        _require(0 <= self.seed < 2**31, "a seed from 0 to 2147483647", self.seed)


@dataclass(frozen=True, kw_only=True)
class FitConfig(DataConfig):
    """What every fit of a run or a sweep shares."""

    weights: str = "imagenet"
    """imagenet (Keras' own), tiny (shipped), none (from scratch), or a FILE of MobileNet weights (.h5, .weights.h5)"""
    freeze_conv: bool = True
    """train the head alone on features computed once; false trains the whole network on pictures"""
    head_init: HeadInit = "auto"
    """imagenet starts from ImageNet's own columns for the classes it knows; auto does so where at least half match"""
    report_params: ReportParams = "head"
    """count parameters with this data set's head, or with the 1000-way ImageNet head as the report did"""
    epochs: int = 30
    batch_size: int = 32
    dropout: float = 0.001
    """on the pooled features, while training; Keras' MobileNet has 0.001"""
    lr_schedule: LrSchedule = "plateau"
    """how the learning rate moves: plateau halves it when the validation loss stalls"""
    augment: Augment = "flip_crop"
    """of pictures, when the whole network is trained"""
    engine: EngineName = "auto"
    """what runs frozen convolutions: litert on a CPU and keras on a GPU is what auto takes"""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells that this configuration trains."""
        raise TypeError(f"{type(self).__name__} names no cells")

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.epochs >= 1, "epochs >= 1", self.epochs)
        _require(self.batch_size >= 1, "batch_size >= 1", self.batch_size)
        _require(0 <= self.dropout < 1, "dropout from 0 to below 1", self.dropout)
        _require(
            self.weights != "none" or not self.freeze_conv,
            "trained weights where the convolutions are frozen",
            "weights none with freeze_conv true",
            "choose --weights imagenet, or --freeze_conv false to train from scratch",
        )
        _require(
            self.weights not in ("none", "tiny") or self.head_init != "imagenet",
            "ImageNet weights for head_init imagenet",
            f"weights {self.weights}",
            "choose --head_init random",
        )
        for cell in self.cells:
            check_weights(cell, self.weights)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(FitConfig):
    """One fit of one cell."""

    alpha: float = 1.0
    """width multiplier"""
    resolution: int = 224
    """input side, px"""
    learning_rate: float = 1e-3
    beta_1: float = 0.9
    """Adam's memory of the gradient"""
    beta_2: float = 0.999
    """Adam's memory of the squared gradient"""
    export_backbone: str = ""
    """write the trained convolutions to this .weights.h5 file (float16), to be used as --weights FILE"""

    @property
    def cell(self) -> Cell:
        return Cell(self.alpha, self.resolution)

    @property
    def cells(self) -> tuple[Cell, ...]:
        return (self.cell,)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_adam(self.learning_rate, self.beta_1, self.beta_2)
        _require(
            not self.export_backbone or self.export_backbone.endswith(".weights.h5"),
            "export_backbone to end in .weights.h5",
            self.export_backbone,
        )


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

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(Cell(alpha, resolution) for alpha in self.alphas for resolution in self.resolutions)

    def train_config(self, cell: Cell) -> TrainConfig:
        """What the trials of `cell` share."""
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(FitConfig)}
        return TrainConfig(**shared, alpha=cell.alpha, resolution=cell.resolution)

    def __post_init__(self) -> None:
        asked = f"alphas {spell(self.alphas)!r}, resolutions {spell(self.resolutions)!r}"
        way_out = "such as --alphas 1.0,0.75 --resolutions 224,192"
        _require(bool(self.alphas) and bool(self.resolutions), "at least one alpha and one resolution", asked, way_out)
        super().__post_init__()
        _require(len(set(self.cells)) == len(self.cells), "each cell once", asked, way_out)
        _require(self.trials >= 1, "trials >= 1", self.trials, "40 is the default")
        _require(self.wave >= 1, "wave >= 1", self.wave)
        _require(1 <= self.workers <= MAX_WORKERS, f"workers from 1 to {MAX_WORKERS}", self.workers)


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Which trained run is tested."""

    run_id: str = ""
    """the MLflow run that holds the model; it is tested on the data that it was trained for"""
    dataset: str = ""
    """folder:PATH, if a folder of pictures is not where the run found it"""
    data_dir: str = ""
    """where TFDS keeps the data set, if that is not where the run found it"""
    work_dir: str = ""
    """where feature tables are kept, if not where the run kept them"""
    experiment: str = DataConfig.experiment

    def __post_init__(self) -> None:
        _require(bool(self.run_id), "the id of a finished train or cell run", self.run_id, "see it in `mlflow ui`")


def check_weights(cell: Cell, weights: str) -> None:
    """Raises UserError where `weights` cannot be had for `cell`."""
    if weights == "imagenet":
        _require(
            cell.alpha in IMAGENET_ALPHAS and cell.resolution in IMAGENET_RESOLUTIONS,
            f"for weights imagenet an alpha of {IMAGENET_ALPHAS} and a resolution of {IMAGENET_RESOLUTIONS}",
            f"alpha {cell.alpha}, resolution {cell.resolution}",
            "choose one of these, or give a weights file of that alpha: --weights FILE",
        )
    elif weights == "tiny":
        _require(
            cell.alpha in TINY_ALPHAS,
            f"for weights tiny an alpha of {TINY_ALPHAS}",
            f"alpha {cell.alpha}",
            "add --alphas 0.25,0.5 (sweep) or --alpha 0.25 (train)",
        )
    elif weights != "none":
        _require(
            Path(weights).is_file(),
            "weights imagenet, tiny, none or a file that exists",
            weights,
            "mind the folder that you are in, or give the whole path",
        )


def check_adam(learning_rate: float, beta_1: float, beta_2: float) -> None:
    """Raises UserError where Adam would not be defined."""
    _require(
        math.isfinite(learning_rate) and learning_rate > 0,
        "a learning_rate > 0",
        learning_rate,
        "0.001 is Adam's usual",
    )
    for name, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
        _require(0 < beta < 1, f"{name} between 0 and 1, both excluded", beta, "Adam's usual are 0.9 and 0.999")


def as_params(config: DataConfig | EvaluateConfig) -> dict[str, str]:
    """The one spelling in which a configuration is written to MLflow: name -> text."""
    return {field.name: spell(getattr(config, field.name)) for field in dataclasses.fields(config)}


def spell(value: object) -> str:
    """A value as a person types it after its flag: true, 1e-05, "0.75,1.0"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(spell(item) for item in value)
    return str(value)


def _require(holds: bool, wanted: str, received: object, way_out: str = "") -> None:
    if not holds:
        raise UserError(f"wanted {wanted}. Received: {received!r}." + (f" Way out: {way_out}." if way_out else ""))
