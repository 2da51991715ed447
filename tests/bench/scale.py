"""Where the seconds of a sweep the size of Stanford Dogs' go, and what the naive way would take.

    make bench
    python -m tests.bench.scale --pictures 240 --test_pictures 120 --trials 3 --epochs 3     # a look, in two minutes

`python -m pipeline.prepare` and `python tuning/optimize.py`, as a person starts them, in an empty folder: 4 cells, 1.0
and 0.75 by 224 and 192 px, on generated JPEGs of 120 classes (photos.py), which the system may still hold in memory.
Random weights take the place of ImageNet's, in files with the names that Keras looks for, so accuracies mean nothing
and are not shown. The seconds come from the runs in MLflow. The naive way (naive.py) is measured on a few hundred
pictures and extrapolated. At full size it ends with exit code 1 where a limit is not kept.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
from absl import logging as absl_logging
from PIL import Image
from rich.console import Console
from rich.table import Table

from pipeline import tracking
from pipeline.config import Cell
from pipeline.networks import backbones
from pipeline.tracking import RunRecord
from tests.bench import naive, photos
from tests.bench.limits import kept
from tests.bench.sweeps import OPTIMIZE, run

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

CLASSES = 120
CELLS = [Cell(alpha, side) for alpha, side in itertools.product((1.0, 0.75), (224, 192))]
CALIBRATED = 4  # pictures, for batch normalisation's averages; few, for what we take till then counts as a child's peak
MOST_MINUTES = 25.0
MOST_GB = 3.0


def main() -> None:
    asked, full = parse()
    with tempfile.TemporaryDirectory() as name:
        pictures, models, work = (Path(name, part) for part in ("pictures", "keras/models", "sweep"))
        begun = time.perf_counter()
        photos.write(pictures, CLASSES, train=asked.pictures, test=asked.test_pictures)
        make_weights(models, pictures)
        print(f"pictures and weights made in {time.perf_counter() - begun:.0f} s; now the sweep", flush=True)
        marks = sweep(work, pictures, models, asked)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{work / 'mlflow.db'}"
        tracker = tracking.connect("alpharho")
        parts = account(tracker, marks)
        print(f"done in {marks[-1] - marks[0]:.0f} s; now the naive way", flush=True)
        naively = extrapolate(tracker, pictures, models, asked)
    sys.exit(0 if show(asked, parts, peak, naively) or not full else 1)


def parse() -> tuple[argparse.Namespace, bool]:
    """The flags, and whether they ask for the full size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("pictures", 12_000), ("test_pictures", 8_580), ("trials", 40), ("epochs", 30)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    return asked, asked == parser.parse_args([])


def make_weights(models: Path, pictures: Path) -> None:
    """Random ones for CELLS; with batch normalisation's averages from a few pictures, features vary as trained ones."""
    models.mkdir(parents=True)
    absl_logging.set_verbosity(absl_logging.ERROR)  # Keras calls the format of its own weights a legacy
    keras.utils.set_random_seed(0)
    files = sorted(pictures.glob("train/*/*.jpg"))
    some = np.stack([np.asarray(Image.open(file)) for file in files[:: max(1, len(files) // CALIBRATED)][:CALIBRATED]])
    for cell in CELLS:
        model = keras.applications.MobileNet((cell.resolution, cell.resolution, 3), cell.alpha, weights=None)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0  # takes these pictures' averages in place of its first ones
        model(backbones.preprocess(some, cell), training=True)
        model.save(weights_file(models, cell))


def weights_file(models: Path, cell: Cell) -> Path:
    return models / cell.architecture.file_for(cell.alpha, cell.resolution)


def sweep(work: Path, pictures: Path, models: Path, asked: argparse.Namespace) -> list[float]:
    """Prepares and sweeps; the times, as time.time(), at which the first was begun, the second was, and it was done."""
    work.mkdir()
    data = f"--dataset=folder:{pictures}"
    grid = (
        "--alphas=1.0,0.75",
        "--resolutions=224,192",
        f"--trials={asked.trials}",
        f"--epochs={asked.epochs}",
        "--export=none",
    )
    marks = [time.time()]
    for command in (("-m", "pipeline.prepare", data), (str(OPTIMIZE), data, *grid)):
        run(work, *command, KERAS_HOME=str(models.parent))
        marks.append(time.time())
    return marks


def account(tracker: Tracker, marks: list[float]) -> dict[str, float]:
    """What -> seconds, all of them together being those between the first and the last of `marks`."""
    (whole,) = runs_of(tracker, "sweep")
    parts = Counter({"reading and checking the data (prepare)": marks[1] - marks[0]})
    parts["sweep: starting and reading"] = whole.started.timestamp() - marks[1]
    begun = whole.started.timestamp()
    for cell in sorted(runs_of(tracker, "cell"), key=lambda run: run.started):
        trials = tracker.children(cell.run_id)
        first = min(trial.started for trial in trials).timestamp()
        last = max(trial.started.timestamp() + trial.seconds for trial in trials)
        trained = sum(trial.metrics["seconds"] for trial in trials)
        tested = cell.metrics["test_pictures"] / cell.metrics["pictures_per_second"]
        parts["features of train and val"] += first - begun  # a cell's run is opened when its tables are there
        parts["trials: training"] += trained
        parts["trials: Optuna's and MLflow's records"] += last - first - trained
        parts["features of test"] += tested
        parts["final models: training, testing, logging"] += end_of(cell) - last - tested
        begun = end_of(cell)
    parts["report page"] = marks[2] - end_of(whole)
    parts["the rest"] = marks[2] - marks[0] - parts.total()
    return dict(parts)


def runs_of(tracker: Tracker, kind: str) -> list[RunRecord]:
    return tracker.search(f"tags.`alpharho.kind` = '{kind}'")


def end_of(run: RunRecord) -> float:
    """As time.time()."""
    return run.started.timestamp() + run.seconds


def extrapolate(tracker: Tracker, pictures: Path, models: Path, asked: argparse.Namespace) -> tuple[float, float]:
    """Seconds of the naive way: with all epochs, and with those alone that the pruner left of ours.

    The best models are trained again for as many epochs as ours, and tested in one pass.
    """
    every = pruned = 0.0
    runs = {run.params["cell"]: run for run in runs_of(tracker, "cell")}
    for cell in CELLS:
        picture = naive.seconds_per_picture(pictures, backbones.load(cell, str(weights_file(models, cell))))
        run = runs[cell.name]
        curves = tracker.curves([trial.run_id for trial in tracker.children(run.run_id)], ["val_top1"])
        final = run.metrics["best_epoch"] * asked.pictures + asked.test_pictures
        every += picture * (asked.trials * asked.epochs * asked.pictures + final)
        pruned += picture * (sum(map(len, curves.values())) * asked.pictures + final)
    return every, pruned


def show(asked: argparse.Namespace, parts: dict[str, float], peak: float, naively: tuple[float, float]) -> bool:
    """Prints it all; whether the limits are kept."""
    title = (
        f"{len(CELLS)} cells x {asked.trials} trials x {asked.epochs} epochs, "
        f"{asked.pictures:,} + {asked.test_pictures:,} pictures, {os.cpu_count()} cores"
    )
    table = Table(title=title)
    for column in ("what", "s", "part of the whole"):
        table.add_column(column, justify="left" if column == "what" else "right")
    whole = sum(parts.values())
    for what, seconds in parts.items():
        table.add_row(what, f"{seconds:.1f}", f"{100 * seconds / whole:.1f} %")
    table.add_section()
    table.add_row("the whole", f"{whole:.1f}", "1")
    for what, seconds in zip(("all epochs", "as pruned"), naively, strict=True):
        table.add_row(f"the naive way, extrapolated, {what}", f"{seconds:,.0f}", f"{seconds / whole:.1f}")
    Console().print(table)
    # Both are printed, whatever the first comes to.
    return all([kept("minutes", whole / 60, MOST_MINUTES), kept("peak memory in GB", peak, MOST_GB)])


if __name__ == "__main__":
    main()
