"""What can be set of a search, and of the commands that look at its database."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from pipeline.config.cells import Cell
from pipeline.config.documents import ReportConfig, check_margin
from pipeline.config.settings import DataConfig, FitConfig, TrainConfig
from pipeline.config.spelling import spell
from pipeline.shell.errors import require
from pipeline.shell.patience import has_password, masked

Pruner = Literal["median", "hyperband", "successive_halving", "none"]
Wave = int | Literal["auto"]
Trials = int | Literal["auto"]
Folds = Literal["auto", "1", "5"]
Export = Literal["none", "chosen", "all"]
ExecutorName = Literal["inline", "ray"]

OF_EXECUTOR = ("executor", "workers", "cpus_per_worker", "gpus_per_worker", "ray_address")  # change nothing found
MOST_TRIALS = 40  # of trials auto
HEADS_OF_A_ROUND = 8  # docs/speed.md: larger rounds teach the sampler less; smaller ones take longer
NETWORKS_OF_A_ROUND = 1  # each of minutes, so that every draw knows what came of the one before
FOLDS = 5
# Pictures x outputs x folds, below which a round takes as long, or all but, however many of its heads go on: by
# heads.WORTH_COMPILING, for half of 8 heads, half of 30 epochs and 768 features.
WORTH_PRUNING = 100_000
FEW_PICTURES = 5000  # of train and val, up to which folds choose better heads, and tell cells apart (docs/heads.md)


@dataclass(frozen=True, kw_only=True)
class SweepConfig(FitConfig):
    """A search over learning_rate, beta_1 and beta_2 for every cell."""

    alphas: tuple[float, ...] = (1.0, 0.75)
    """width multipliers"""
    resolutions: tuple[int, ...] = (224, 192)
    """input sides, px"""
    trials: Trials = MOST_TRIALS
    """total per cell: a second call does only what is left; auto: until more are not worth it, at most 40"""
    wave: Wave = "auto"
    """trials of a round, which are drawn together (and trained together, if heads); auto: 8 heads, or 1 network"""
    folds: Folds = "auto"
    """5: five heads a trial, each validated on the part that it is not trained on; auto: up to 5,000 pictures"""
    repeats: int = 0
    """how often each winner is fitted again with other seeds, on all pictures and on other cuts: how scores vary"""
    pruner: Pruner | Literal["auto"] = "auto"
    """what stops trials early; auto: none for quick heads, successive_halving for other annealed ones, else median"""
    storage: str = "sqlite:///optuna.db"
    """Optuna's database, or postgresql+psycopg://USER@HOST/DATABASE with the password in PGPASSWORD or PGPASSFILE"""
    executor: ExecutorName = "inline"
    """where features are made and trials trained: in this process, or by ray on any number of machines"""
    workers: int | Literal["auto"] = "auto"
    """of ray: processes that run a task each; auto: one for each GPU of the cluster, or 1"""
    cpus_per_worker: int | Literal["auto"] = "auto"
    """of ray: cores, and threads, of each worker; auto: as many as all of them can have"""
    gpus_per_worker: float | Literal["auto"] = "auto"
    """of ray: 0.5 has two workers share a GPU; auto: 1 where there are any, else 0"""
    ray_address: str = ""
    """of ray: auto or HOST:PORT is the cluster that is there; without it one is started on this machine"""
    margin: float = ReportConfig.margin
    """points of top-1 that a cheaper cell may lose to the best, at most, to be called enough"""
    export: Export = "chosen"
    """of which cells files for a device are made: chosen: the best one, and the one that is enough; none; all"""
    plan: bool = False
    """measure for some ten seconds, print what the sweep will cost, and stop"""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Each alpha at each resolution."""
        return tuple(Cell(alpha, resolution, self.backbone) for alpha in self.alphas for resolution in self.resolutions)

    @property
    def most_trials(self) -> int:
        """Of a cell."""
        return MOST_TRIALS if self.trials == "auto" else self.trials

    @property
    def round_size(self) -> int:
        """Trials of a round."""
        if self.wave == "auto":
            return HEADS_OF_A_ROUND if self.freeze_conv else NETWORKS_OF_A_ROUND
        return self.wave

    def pruner_kind(self, pictures: int, outputs: int, folds: int) -> Pruner:
        """What pruner comes to.

        Optuna's median pruner goes by a trial's best epoch so far. Of annealed ones, whose last epoch counts and all of
        which begin alike, it stops few, and successive halving many, with no loss that could be told (docs/speed.md).

        Args:
            pictures: of train and val.
            outputs: of a head.
            folds: heads of each trial.
        """
        if self.pruner != "auto":
            return self.pruner
        if self.schedule != "cosine":
            return "median"
        is_quick = self.freeze_conv and pictures * outputs * folds < WORTH_PRUNING
        return "none" if is_quick else "successive_halving"

    def fold_count(self, pictures: int, is_dealt: bool) -> int:
        """How many parts the training pictures are cut into, of which each is validated on; 1: one val is cut off.

        Args:
            pictures: of train and val.
            is_dealt: whether a person keeps some of them for validation.

        Raises UserError where folds are asked for and a val is dealt.
        """
        require(
            self.folds != "5" or not is_dealt,
            "folds auto or 1, where you keep pictures for validation yourself",
            "--folds 5 with a val part",
            "--folds 1, or deal your val pictures to train",
        )
        few = self.freeze_conv and not is_dealt and pictures <= FEW_PICTURES
        return FOLDS if self.folds == "5" or (self.folds == "auto" and few) else 1

    def train_config(self, cell: Cell) -> TrainConfig:
        """What the trials of `cell` share."""
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(FitConfig)}
        return TrainConfig(**shared, alpha=cell.alpha, resolution=cell.resolution)

    def __post_init__(self) -> None:
        asked = f"alphas {spell(self.alphas)!r}, resolutions {spell(self.resolutions)!r}"
        hint = "such as --alphas 1.0,0.75 --resolutions 224,192"
        require(bool(self.alphas) and bool(self.resolutions), "at least one alpha and one resolution", asked, hint)
        super().__post_init__()
        require(len(set(self.cells)) == len(self.cells), "each cell once", asked, hint)
        require(self.most_trials >= 1, "trials auto, or >= 1", self.trials, "40 is the default")
        require(self.repeats == 0 or self.repeats >= 2, "repeats 0, or >= 2, for one has no spread", self.repeats)
        require(
            not self.repeats or self.freeze_conv,
            "no repeats where the whole network is trained, for a fit takes minutes",
            f"repeats {self.repeats} with freeze_conv false",
            "several --seed instead",
        )
        require(self.round_size >= 1, "wave auto, or 1 and more", self.wave)
        require(
            self.folds != "5" or self.freeze_conv,
            "folds auto or 1 where the whole network is trained, for a fit takes minutes",
            "folds 5 with freeze_conv false",
            "leave --folds out",
        )
        check_storage(self.storage)
        check_margin(self.margin)
        self._check_workers()

    def _check_workers(self) -> None:
        for name, least in (("workers", 1), ("cpus_per_worker", 1), ("gpus_per_worker", 0)):
            value = getattr(self, name)
            require(value == "auto" or value >= least, f"{name} auto, or {least} and more", value)
            require(
                value == "auto" or self.executor == "ray", f"--{name} with --executor ray", f"executor {self.executor}"
            )
        gpus = self.gpus_per_worker
        require(gpus == "auto" or gpus <= 1 or gpus == int(gpus), "gpus_per_worker up to 1, or a whole number", gpus)
        require(
            not self.ray_address or self.executor == "ray",
            "--ray_address with --executor ray",
            f"executor {self.executor}",
        )


def check_storage(url: str) -> None:
    """Raises UserError where the URL of a database holds a password."""
    require(
        not has_password(url),
        "--storage without a password, which process lists and logs would show",
        masked(url),
        "leave it out and set PGPASSWORD, or name a file of passwords with PGPASSFILE",
    )


@dataclass(frozen=True, kw_only=True)
class StatusConfig:
    """Prints what became of the trials of every study; may be asked while a sweep runs."""

    storage: str = SweepConfig.storage
    """Optuna's database"""

    def __post_init__(self) -> None:
        check_storage(self.storage)


@dataclass(frozen=True, kw_only=True)
class PruneConfig(StatusConfig):
    """Removes feature tables and converted models that no study of the database refers to."""

    work_dir: str = DataConfig.work_dir
    """where feature tables are kept"""
    yes: bool = False
    """without asking"""
