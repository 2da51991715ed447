"""What a sweep will cost, told before it is begun: by `tuning/optimize.py --plan`, and at the head of every sweep.

What is there already, tables and trials, is not counted again. No picture of the test split is read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from pipeline import datasets, tracking
from pipeline.config import Cell, SweepConfig
from pipeline.datasets import Dataset
from pipeline.features.table import CELLS_AT_ONCE, has_table, rows_left
from pipeline.networks import backbones, sizes
from pipeline.networks.backbones import Backbone
from pipeline.shell import progress
from pipeline.shell.errors import UserError
from pipeline.training import finetune
from tuning import costing, speeds
from tuning import study as studies
from tuning.costing import Speeds, Task, Work
from tuning.search import is_finished
from tuning.storage import open_storage, sqlite_file
from tuning.study import CellStudy

PICTURES = {False: 256, True: 640}  # thorough -> of the first training pictures, through the backbones
TRAINED_BYTES = 2e9  # of a process that trains a whole network, beside its decoded pictures


@dataclass(frozen=True)
class Plan:
    """Seconds of one process, and bytes."""

    work: tuple[Work, ...]
    features: float
    test: float
    trials: float
    finals: float
    disk: float
    memory: float

    @property
    def seconds(self) -> float:
        return self.features + self.test + self.trials + self.finals

    def line(self, workers: int = 1) -> str:
        """What stands at the head of a sweep."""
        shared = f" with {workers} workers" if workers > 1 else ""
        parts = (self.features + self.test, self.trials, self.finals)
        features, trials, finals = (duration(part / workers) for part in parts)
        return (
            f"about {duration(self.seconds / workers)} to go{shared}: features {features}, trials {trials}, "
            f"final models {finals}; {self.disk / 1e6:.0f} MB of disk, up to {self.memory / 1e9:.1f} GB of memory each"
        )

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
        shown.add_row("together, by one process", "", duration(self.seconds))
        shown.add_row("disk", f"{self.disk / 1e6:,.0f} MB", "")
        shown.add_row("memory of a process, at most", f"{self.memory / 1e9:.1f} GB", "")
        return shown


def show(config: SweepConfig) -> None:
    """Prints what the sweep will cost; begins no study and makes no database.

    Raises UserError where the sweep would be refused, too.
    """
    backbones.require_file(config.cells, config.weights)
    dataset = datasets.load(config)
    found = _begun(config, dataset)
    planned = make(config, dataset, found, _finished(config, found), thorough=True)
    if planned is None:
        print("nothing is left to do")
    else:
        progress.show(planned.table())


def _begun(config: SweepConfig, dataset: Dataset) -> dict[Cell, CellStudy]:
    """The studies that are there; raises UserError where one has trials with other settings, as the sweep would."""
    file = sqlite_file(config.storage)
    if file and not file.exists():  # which opening it would make
        return {}
    storage, found = open_storage(config.storage), {}
    for cell in config.cells:
        weights = backbones.weights_identity(cell, config.weights)
        settings = studies.settings_of(config.train_config(cell), dataset.train.digest, weights)
        with contextlib.suppress(KeyError):
            found[cell] = studies.find_study(storage, studies.study_name(config, cell.name), settings)
            if found[cell].trials():  # a study without any takes other settings
                found[cell].require_settings()
    return found


def _finished(config: SweepConfig, found: Mapping[Cell, CellStudy]) -> list[Cell]:
    """The cells that are done for good, their runs in MLflow included; none where there is no such store."""
    try:
        tracker = tracking.connect(config.experiment, make=False)
    except UserError:
        return []
    return [cell for cell, study in found.items() if is_finished(study, config.trials, tracker)]


def make(
    config: SweepConfig,
    dataset: Dataset,
    found: Mapping[Cell, CellStudy],
    finished: Collection[Cell],
    thorough: bool,
) -> Plan | None:
    """Measures, and adds up what is left; None where nothing is.

    Args:
        found: the studies that have been begun.
        finished: the cells that are done for good.
        thorough: for some ten seconds, pictures of every cell; else for about three, those of the largest cell alone,
            beside the compiling of an epoch that this process need not do again.

    Raises:
        UserError: a backbone cannot be loaded, or a picture not be decoded.
    """
    cells = [cell for cell in config.cells if cell not in finished]
    return _of_cells(config, cells, dataset, found, thorough) if cells else None


def _of_cells(
    config: SweepConfig, cells: list[Cell], dataset: Dataset, found: Mapping[Cell, CellStudy], thorough: bool
) -> Plan:
    begun, loaded = time.perf_counter(), _load(config, cells, thorough)
    load = (time.perf_counter() - begun) / len(loaded)
    work = tuple(_work(config, cell, dataset, found.get(cell), loaded.get(cell)) for cell in cells)
    task = Task(config, len(dataset.train), 2 if config.views == "flip" else 1, config.outputs(dataset.num_classes))
    if not config.freeze_conv:
        return _of_networks(task, work, dataset, _of_heads_first(config, cells, dataset, thorough))
    measured = [loaded[item.cell] for item in work if item.rows and item.cell in loaded] if thorough else []
    measured = measured[:CELLS_AT_ONCE] or [loaded[_largest(cells)]]
    speed = _measure(task, work, dataset, measured, load, PICTURES[thorough])
    return Plan(
        work=work,
        features=costing.feature_seconds(work, task, speed, len(measured)),
        test=costing.test_seconds(work, speed),
        trials=costing.trial_seconds(work, task, speed, set() if thorough else {_largest(cells).alpha}),
        finals=costing.final_seconds(work, task, speed),
        disk=costing.disk_bytes(work, task),
        memory=costing.memory_bytes(work, task),
    )


def duration(seconds: float) -> str:
    """As a person says it: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _largest(cells: list[Cell]) -> Cell:
    return max(cells, key=lambda cell: sizes.of(cell).mult_adds)


def _load(config: SweepConfig, cells: list[Cell], thorough: bool) -> dict[Cell, Backbone]:
    """All, where it is asked which tables are there: a table is known by its backbone."""
    all_of_them = thorough or any(Path(config.work_dir, "features").glob("*"))
    return {cell: backbones.load(cell, config.weights) for cell in cells if all_of_them or cell == _largest(cells)}


def _work(
    config: SweepConfig, cell: Cell, dataset: Dataset, study: CellStudy | None, backbone: Backbone | None
) -> Work:
    has_tables = config.freeze_conv or config.finetunes
    rows = len(dataset.train) * (2 if config.views == "flip" else 1) if has_tables else 0
    test_rows = dataset.num_test or 0
    if backbone is not None and has_tables:
        where = (dataset.source, backbone, config.work_dir)
        rows = rows_left(dataset.train, *where, config.views, config.precision)
        if config.freeze_conv and has_table("test", *where):
            test_rows = 0
    trials = studies.left(study.trials(), config.trials) if study else config.trials
    return Work(cell, rows, test_rows, trials)


def _measure(
    task: Task, work: tuple[Work, ...], dataset: Dataset, measured: list[Backbone], load: float, count: int
) -> Speeds:
    config = task.config
    base = config.train_config(measured[0].cell)
    ready, picture = speeds.of_pictures(base, dataset, measured, count)
    mult_adds = sum(sizes.of(backbone.cell).mult_adds for backbone in measured)
    train, val = datasets.cut(dataset.train, config.val_fraction, config.seed)
    widest, wave = max(item.width for item in work), min(config.wave, max(item.trials for item in work) or config.wave)
    rows = (len(train) * task.views, len(val))
    compiling, epoch = speeds.of_epochs(base, rows, (widest, task.outputs), wave)
    return Speeds(load, ready / len(measured), picture / mult_adds / task.views, compiling, epoch)


def _of_heads_first(config: SweepConfig, cells: list[Cell], dataset: Dataset, thorough: bool) -> float:
    """Seconds for the heads that fine-tuning starts from, feature tables included."""
    if not config.finetunes:
        return 0.0
    wave = len(finetune.HEAD_RATES)
    frozen = dataclasses.replace(config, freeze_conv=True, unfreeze="all")
    heads = dataclasses.replace(frozen, epochs=finetune.HEAD_EPOCHS, trials=wave, wave=wave, pruner="none")
    first = _of_cells(heads, cells, dataset, {}, thorough)
    return first.features + first.trials + first.finals


def _of_networks(task: Task, work: tuple[Work, ...], dataset: Dataset, heads: float) -> Plan:
    """Of whole networks, by a few steps of the largest; the others in proportion to their mult-adds."""
    config, largest = task.config, max(work, key=lambda item: item.mult_adds)
    compiling, picture = speeds.of_networks(config.train_config(largest.cell), dataset)
    rows = task.rows * (1 - config.val_fraction)
    pruned = costing.PRUNED[config.pruner]
    trials = finals = 0.0
    for item in work:
        epoch = rows * picture * item.mult_adds / largest.mult_adds
        trials += item.trials * (compiling + epoch * config.epochs * pruned)
        finals += compiling + epoch * config.epochs * costing.BEST_EPOCH / (1 - config.val_fraction)
    # A picture that is only looked at takes a third of one that is learned from (forwards, and twice backwards).
    test = sum(item.test_rows * picture * item.mult_adds / largest.mult_adds / 3 for item in work)
    cached = min(task.rows * largest.cell.resolution**2 * 3 * 4, finetune.CACHE_BYTES)
    return Plan(work, heads, test, trials, finals, costing.disk_bytes(work, task), TRAINED_BYTES + cached)
