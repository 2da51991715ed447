"""What a sweep will cost, told by `tuning/optimize.py --plan` before it is begun.

What is there already, tables and trials, is not counted again. No picture of the test split is read, nothing is begun.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import optuna
from rich.table import Table

from pipeline import datasets, tracking
from pipeline.config import HEAD_FIRST_EPOCHS, HEAD_FIRST_RATES, Cell, SweepConfig
from pipeline.datasets import Dataset
from pipeline.features.table import CELLS_AT_ONCE, Left, has_table, rows_left
from pipeline.networks import backbones, sizes
from pipeline.networks.backbones import Backbone
from pipeline.shell import progress
from pipeline.shell.errors import UserError
from pipeline.training import finetune
from tuning import studies
from tuning.estimate import arithmetic, measure
from tuning.estimate.arithmetic import Shared, Speeds, Work
from tuning.publish import is_finished
from tuning.storage import open_existing, sqlite_file
from tuning.studies import CellStudy

PICTURES = 640  # the first training pictures, through the backbones
TRAINED_BYTES = 2e9  # of a process that trains a whole network, beside its decoded pictures


@dataclass(frozen=True)
class Plan:
    """Seconds, and bytes."""

    work: tuple[Work, ...]
    features: float
    test: float
    trials: float
    finals: float
    disk: float
    memory: float

    @property
    def seconds(self) -> float:
        """Of all parts."""
        return self.features + self.test + self.trials + self.finals

    def table(self) -> Table:
        """What --plan prints."""
        shown = Table(title="What the sweep will cost", box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for column in ("what", "how many", "time"):
            shown.add_column(column, justify="left" if column == "what" else "right")
        rows, tested = (sum(getattr(item, name) for item in self.work) for name in ("rows", "test_rows"))
        shown.add_row("pictures of train and val, times cells", f"{rows:,}", duration(self.features))
        shown.add_row("pictures of test, times cells", f"{tested:,}" if tested else "-", duration(self.test))
        shown.add_row("trials", f"{sum(item.trials for item in self.work):,}", duration(self.trials))
        shown.add_row("best models, trained again and logged", f"{len(self.work)}", duration(self.finals))
        shown.add_row("together", "", duration(self.seconds))
        shown.add_row("disk", f"{self.disk / 1e6:,.0f} MB", "")
        shown.add_row("memory, at most", f"{self.memory / 1e9:.1f} GB", "")
        return shown


def show(config: SweepConfig) -> None:
    """Prints what the sweep will cost. Raises UserError where the sweep would be refused, too."""
    backbones.require_file(config.cells, config.weights)
    dataset = datasets.load(config)
    found = _begun(config, dataset)
    planned = make(config, dataset, found, _finished(config, found))
    if planned is None:
        print("nothing is left to do")
    else:
        progress.show(planned.table())


def make(
    config: SweepConfig, dataset: Dataset, found: Mapping[Cell, CellStudy], finished: Collection[Cell]
) -> Plan | None:
    """Measures for some ten seconds, and adds up what is left; None where nothing is.

    Args:
        found: the studies that have been begun.
        finished: the cells that are done for good.

    Raises:
        UserError: a backbone cannot be loaded, or a picture not be decoded.
    """
    cells = [cell for cell in config.cells if cell not in finished]
    return _of_cells(config, cells, dataset, found) if cells else None


def duration(seconds: float) -> str:
    """As a person says it: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _begun(config: SweepConfig, dataset: Dataset) -> dict[Cell, CellStudy]:
    """The studies that are there."""
    file = sqlite_file(config.storage)
    if file and not file.exists():
        return {}
    storage, found = open_existing(config.storage), {}
    there = set(optuna.get_all_study_names(storage))
    for cell in config.cells:
        name, settings = studies.named(config, cell, dataset)
        if name in there and studies.IDENTITY in optuna.load_study(study_name=name, storage=storage).user_attrs:
            found[cell] = studies.open_study(storage, name, settings, database="")
    return found


def _finished(config: SweepConfig, found: Mapping[Cell, CellStudy]) -> list[Cell]:
    """The cells that are done for good, their runs in MLflow included; none where there is no such store."""
    with contextlib.suppress(UserError):
        tracker = tracking.connect(config.experiment, make=False)
        return [cell for cell, study in found.items() if is_finished(study, config, tracker)]
    return []


def _of_cells(config: SweepConfig, cells: list[Cell], dataset: Dataset, found: Mapping[Cell, CellStudy]) -> Plan:
    begun, loaded = time.perf_counter(), {cell: backbones.load(cell, config.weights) for cell in cells}
    load = (time.perf_counter() - begun) / len(loaded)
    work = tuple(_work(config, backbone, dataset, found.get(cell)) for cell, backbone in loaded.items())
    views = 2 if config.views == "flip" else 1
    folds = studies.fold_count(config, dataset)
    shared = Shared(config, len(dataset.train), views, config.outputs(dataset.num_classes), folds)
    if not config.freeze_conv:
        return _of_networks(shared, work, dataset, _of_heads_first(config, cells, dataset))
    measured = [loaded[item.cell] for item in work if item.rows][:CELLS_AT_ONCE] or [loaded[_largest(cells)]]
    speeds = _measure(shared, work, dataset, measured, load)
    return Plan(
        work=work,
        features=arithmetic.feature_seconds(work, shared, speeds, len(measured)),
        test=arithmetic.test_seconds(work, speeds),
        trials=arithmetic.trial_seconds(work, shared, speeds),
        finals=arithmetic.final_seconds(work, shared, speeds),
        disk=arithmetic.disk_bytes(work, shared),
        memory=arithmetic.memory_bytes(work, shared),
    )


def _largest(cells: list[Cell]) -> Cell:
    return max(cells, key=lambda cell: sizes.of(cell).mult_adds)


def _work(config: SweepConfig, backbone: Backbone, dataset: Dataset, study: CellStudy | None) -> Work:
    rows, test_rows = Left(0, 0), dataset.num_test or 0
    if config.freeze_conv or config.finetunes:
        where = (dataset.source, backbone, config.work_dir)
        rows = rows_left(dataset.train, *where, config.views, config.precision)
        if config.freeze_conv and has_table("test", *where):
            test_rows = 0
    trials = study.left(config) if study else config.most_trials
    return Work(backbone.cell, rows.computed, test_rows, trials, rows.copied)


def _measure(shared: Shared, work: tuple[Work, ...], dataset: Dataset, measured: list[Backbone], load: float) -> Speeds:
    config = shared.config
    base = config.train_config(measured[0].cell)
    ready, picture = measure.of_pictures(base, dataset, measured, PICTURES)
    mult_adds = sum(sizes.of(backbone.cell).mult_adds for backbone in measured)
    trials = max(item.trials for item in work) or config.round_size
    widest, heads = max(item.width for item in work), min(config.round_size, trials) * shared.folds
    rows = (int(shared.train_rows), math.ceil(shared.rows * config.val_fraction))
    compiling, epoch = measure.of_epochs(base, rows, (widest, shared.outputs), heads)
    return Speeds(load, ready / len(measured), picture / mult_adds / shared.views, compiling, epoch)


def _of_heads_first(config: SweepConfig, cells: list[Cell], dataset: Dataset) -> float:
    """Seconds for the heads that fine-tuning starts from, feature tables included."""
    if not config.finetunes:
        return 0.0
    count = len(HEAD_FIRST_RATES)
    frozen = dataclasses.replace(config, freeze_conv=True, unfreeze="all", batch_size=config.batch)
    heads = dataclasses.replace(frozen, epochs=HEAD_FIRST_EPOCHS, trials=count, wave=count, pruner="none")
    first = _of_cells(heads, cells, dataset, {})
    return first.features + first.trials + first.finals


def _of_networks(shared: Shared, work: tuple[Work, ...], dataset: Dataset, heads: float) -> Plan:
    """Of whole networks, by a few steps of the largest; the others in proportion to their mult-adds."""
    config, largest = shared.config, max(work, key=lambda item: item.mult_adds)
    compiling, picture = measure.of_networks(config.train_config(largest.cell), dataset)
    rows = shared.rows * (1 - config.val_fraction)
    pruned = arithmetic.PRUNED[shared.pruner]
    trials = finals = 0.0
    for item in work:
        epoch = rows * picture * item.mult_adds / largest.mult_adds
        trials += item.trials * (compiling + epoch * config.epochs * pruned)
        finals += compiling + epoch * config.epochs * arithmetic.BEST_EPOCH / (1 - config.val_fraction)
    # A picture that is only looked at takes a third of one that is learned from (forwards, and twice backwards).
    test = sum(item.test_rows * picture * item.mult_adds / largest.mult_adds / 3 for item in work)
    cached = min(shared.rows * largest.cell.resolution**2 * 3 * 4, finetune.CACHE_BYTES)
    disk = arithmetic.disk_bytes(work, shared)
    return Plan(work, heads, test, trials, finals, disk, TRAINED_BYTES + cached)
