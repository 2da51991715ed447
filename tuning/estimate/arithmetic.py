"""Arithmetic of an estimate: from what is left to do, and how fast this machine is, to seconds and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config import Cell, Pruner, SweepConfig
from pipeline.networks import costs, sizes
from pipeline.training import heads

# Seconds on two quiet cores, which compile an epoch in COMPILE there; elsewhere they are taken in proportion to it.
COMPILE = 1.35
FASTEST = 0.3  # an epoch that this process had compiled before says nothing of the machine
START = 1.1  # the sweep's run, and the published rows in MLflow
TRIAL = 0.04  # Optuna's and MLflow's transactions (tests/bench/studies.py)
MODEL = 0.6  # the final model and its tables in MLflow
REFIT = 0.65  # an epoch of one head compiled, with nothing to validate
ENGINE = 0.3  # a converted model opened and compared with Keras, for the test pictures

# An epoch of k heads takes time in proportion to HEADLESS + k (docs/speed.md: waves of 1, 8 and 16).
HEADLESS = 2.7
BEST_EPOCH = 0.7  # where the best trial's best epoch lies, as a part of all, where rates are not annealed
# What pruning leaves of the time of waves, which shrink by halves as their heads leave (tests/bench/pruners.py, whose
# searches have a final training, too).
PRUNED: dict[Pruner, float] = {"none": 1.0, "median": 0.8, "hyperband": 0.6, "successive_halving": 0.5}
SHRINKS = 2  # how often a wave of another size is compiled where pruning pays

PAGE_BYTES = 5e6  # plotly.js, mostly; on disk and in MLflow
PROCESS_BYTES = 9e8  # of tensorflow and mlflow
PASS_BYTES = 4e8  # of decoded pictures that wait, and of interpreters
COPIES = 4  # of the table while heads train: mapped from disk, scaled, handed to tensorflow, and gathered
STATES = 5  # kernels, their moments, and what an update takes beside


@dataclass(frozen=True)
class Work:
    """What is left to do for a cell.

    Attributes:
        rows: of train and val that are to be computed, those of mirror images included.
        test_rows: test pictures, by the data set's metadata; 0 where their table is there or their number unknown.
        trials: to be begun.
        copied: rows of train and val that its tables take from earlier ones.
    """

    cell: Cell
    rows: int
    test_rows: int
    trials: int
    copied: int = 0

    @property
    def mult_adds(self) -> int:
        """Of one picture."""
        return sizes.of(self.cell).mult_adds

    @property
    def width(self) -> int:
        """Of the features."""
        return sizes.of(self.cell).features


@dataclass(frozen=True)
class Speeds:
    """Seconds.

    Attributes:
        load: for a backbone.
        ready: for an engine, when it is made first.
        mult_add: for each one of a picture on its way, decoding included.
        compile: for an epoch of a wave.
        epoch: of a whole wave of the widest cell.
    """

    load: float
    ready: float
    mult_add: float
    compile: float
    epoch: float

    @property
    def pace(self) -> float:
        """How many times slower this machine is than those two quiet cores."""
        return max(self.compile / COMPILE, FASTEST)


@dataclass(frozen=True)
class Shared:
    """What all cells share.

    Attributes:
        rows: pictures of train and val.
        views: of each in training, 1 or 2.
        outputs: of the head.
        folds: heads of each trial.
    """

    config: SweepConfig
    rows: int
    views: int
    outputs: int
    folds: int = 1

    @property
    def train_rows(self) -> float:
        """Without those that are validated on; with folds all of them, each of which a head ignores by weight."""
        return self.rows * self.views * (1 - self.config.val_fraction if self.folds == 1 else 1)

    @property
    def pruner(self) -> Pruner:
        """Of all trials."""
        return self.config.pruner_kind(self.rows, self.outputs, self.folds)

    @property
    def heads(self) -> int:
        """Of a whole round."""
        return min(self.config.round_size, self.config.most_trials) * self.folds


def feature_seconds(work: Sequence[Work], shared: Shared, speeds: Speeds, made_ready: int) -> float:
    """Of train and val; `made_ready` cells have engines since they were measured."""
    missing = [item for item in work if item.rows]
    new = max(0, len(missing) - made_ready)
    opened = len(work) * speeds.load + new * speeds.ready + (len(missing) - new) * ENGINE * speeds.pace
    return opened + sum(item.rows * item.mult_adds for item in missing) * speeds.mult_add


def test_seconds(work: Sequence[Work], speeds: Speeds) -> float:
    """Of the test pictures' features, as far as their number is known."""
    opened = sum(ENGINE * speeds.pace for item in work if item.test_rows)
    return opened + sum(item.test_rows * item.mult_adds for item in work) * speeds.mult_add


def trial_seconds(work: Sequence[Work], shared: Shared, speeds: Speeds) -> float:
    """Of the search."""
    todo = [item for item in work if item.trials]
    widest = max(item.width for item in work)
    seconds = START * speeds.pace
    for item in todo:
        seconds += wave_epochs(item, shared) * speeds.epoch * item.width / widest + item.trials * TRIAL * speeds.pace
    for item in {item.cell.alpha: item for item in todo}.values():
        wave, rest = min(shared.config.round_size, item.trials), item.trials % shared.config.round_size
        shapes = 1 + (rest > 0 and item.trials > wave) + (SHRINKS if _shrinks(item, shared) else 0)
        seconds += shapes * speeds.compile
    return seconds


def final_seconds(work: Sequence[Work], shared: Shared, speeds: Speeds) -> float:
    """Of the best models: trained on train + val, and logged."""
    widest = max(item.width for item in work)
    one_head = (HEADLESS + 1) / (HEADLESS + shared.heads)
    part = 1.0 if shared.config.schedule == "cosine" else BEST_EPOCH
    epochs = part * shared.config.epochs * one_head * shared.rows * shared.views / shared.train_rows
    fits = sum(epochs * speeds.epoch * item.width / widest for item in work)
    return fits + (len(work) * MODEL + len({item.cell.alpha for item in work}) * REFIT) * speeds.pace


def wave_epochs(item: Work, shared: Shared) -> float:
    """How many epochs of whole waves the cell's trials come to, those that are pruned taken off."""
    config, total = shared.config, 0.0
    for begin in range(0, item.trials, config.round_size):
        size = min(config.round_size, item.trials - begin)
        first = begin == 0 and item.trials == config.most_trials and shared.pruner == "median"  # which that one teaches
        share = 1.0 if first or not _shrinks(item, shared) else PRUNED[shared.pruner]
        total += config.epochs * share * (HEADLESS + size * shared.folds) / (HEADLESS + shared.heads)
    return total


def _shrinks(item: Work, shared: Shared) -> bool:
    """Whether pruning pays: heads.py compiles fewer slots where that saves enough, here half of them half-way."""
    config = shared.config
    spared = min(config.round_size, item.trials) // 2 * shared.folds * (config.epochs / 2)
    saved = spared * shared.train_rows * item.width * shared.outputs
    return shared.pruner != "none" and item.trials > config.round_size and saved >= heads.WORTH_COMPILING


def disk_bytes(work: Sequence[Work], shared: Shared) -> float:
    """Of new feature tables, float32, the engines that make them, the models in MLflow, and the report twice."""
    tables = sum((item.rows + item.copied + item.test_rows) * item.width for item in work)
    engines = sum(sizes.of(item.cell).params for item in work if item.rows or item.test_rows)
    models = sum(sizes.of(item.cell).params + costs.dense_params(item.width, shared.outputs) for item in work)
    return 4 * (tables + engines + models) + 2 * PAGE_BYTES


def memory_bytes(work: Sequence[Work], shared: Shared) -> float:
    """At most, of one process."""
    width = max(item.width for item in work)
    table = COPIES * shared.rows * shared.views * width * 4
    kernels = STATES * width * shared.heads * shared.outputs * 4
    return PROCESS_BYTES + max(PASS_BYTES, table + kernels)
