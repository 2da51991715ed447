"""What a trial costs outside training, after 100 and after 2,000 finished ones; and how soon `optimize.py` speaks.

    make bench

Drawing, pruning 30 epochs, writing to Optuna, and to MLflow, in rounds of 8 that train nothing; the mean of ROUNDS
rounds after a first one. Optuna on sqlite, and on PostgreSQL where it can be started; MLflow on sqlite. Then
the seconds from the start of the command to its first line, with 2,000 trials in the database.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline import tracking
from pipeline.config import SweepConfig
from pipeline.training.fit import Fit
from tests.servers import Postgres, why_no_postgres
from tests.study_samples import SPACE
from tuning import rounds, stopping, studies, tasks
from tuning.publish import Publisher
from tuning.storage import open_storage
from tuning.studies import CellStudy

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

ROOT = Path(__file__).parents[2]
CONFIG = SweepConfig(dataset="digits", weights="tiny", alphas=(0.25,), resolutions=(64,), trials=10**6)
BASE = CONFIG.train_config(CONFIG.cells[0])
PRUNER = "median"
SIZES = (100, 2000)
ROUNDS = 5
EPOCHS = BASE.epochs
STEPS = ("draw", "prune", "Optuna", "MLflow", "all")


class Noise:
    """Stands in for a trainer: every curve is noise."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(1)

    def fit(self, configs, watch):  # type: ignore[no-untyped-def]
        names = ("train_loss", "train_top1", "val_loss", "val_top1", "learning_rate")
        going = np.arange(len(configs))
        rows: list[list[dict[str, float]]] = [[] for _ in configs]
        for epoch in range(1, EPOCHS + 1):
            scores = {name: self._rng.random(len(going)) for name in names}
            for slot, index in enumerate(going):
                rows[index].append({name: values[slot] for name, values in scores.items()})
            going = going[watch(epoch, going, scores)]
        curves = [{name: np.array([row[name] for row in found]) for name in names} for found in rows]
        best = [int(curve["val_top1"].argmax()) + 1 for curve in curves]
        return [
            Fit(curve, epoch, None, pruned=len(curve["val_top1"]) < EPOCHS)
            for curve, epoch in zip(curves, best, strict=True)
        ]


def main() -> None:
    table = Table(
        title=f"ms per trial outside training, rounds of {CONFIG.round_size}, {EPOCHS} epochs, pruner {PRUNER}"
    )
    for column in ("Optuna on", "finished trials", *STEPS):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder, databases(Path(folder)) as urls:
        for size in SIZES:
            os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow{size}.db"
            tracker = tracking.connect("alpharho")
            for kind, url in urls.items():
                cost = costs(tracker, f"{url}{size}", size)
                table.add_row(kind, str(size), *(f"{1000 * cost[step]:.1f}" for step in STEPS))
        Console().print(table)
        for kind, url in urls.items():
            seconds = seconds_to_first_line(Path(folder), f"{url}{SIZES[-1]}")
            print(f"first line of optimize.py after {seconds:.1f} s on {kind}")


@contextlib.contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """Kind -> URL of new databases, without the end of their names."""
    with contextlib.ExitStack() as stack:
        urls = {"sqlite": f"sqlite:///{folder}/optuna"}
        if reason := why_no_postgres():
            print(f"PostgreSQL is left out: {reason}")
        else:
            server = stack.enter_context(Postgres())
            for size in SIZES:
                server.create(f"optuna{size}")
            os.environ["PGPASSWORD"] = server.password
            urls["PostgreSQL"] = server.url("optuna").replace(f":{server.password}@", "@")
        yield urls


def costs(tracker: Tracker, url: str, size: int) -> dict[str, float]:
    """Seconds per trial by step, in a study of `size` finished trials that MLflow knows."""
    settings = studies.settings_of(CONFIG, BASE, "pictures", "weights", PRUNER)
    name = studies.study_name("bench", BASE, settings)
    study = studies.open_study(open_storage(url), name, settings, "bench")
    noise, cell = Noise(), tracker.open(name, "cell")
    while len(study.trials) < size:
        one_round(study, noise)
    Publisher(study, tracker, BASE, {"params_total": 1.0}, lambda: cell).settle()
    fresh = studies.open_study(open_storage(url), name, settings, "bench")  # of a driver that starts
    publisher = Publisher(fresh, tracker, BASE, {"params_total": 1.0}, lambda: cell)
    one_round(fresh, noise)
    publisher.settle()
    sums = dict.fromkeys(STEPS, 0.0)
    for _ in range(ROUNDS):
        seconds = one_round(fresh, noise)
        begun = time.perf_counter()
        publisher.deliver()
        seconds["MLflow"] = time.perf_counter() - begun
        for step, value in seconds.items():
            sums[step] += value
    each = {step: value / ROUNDS / CONFIG.round_size for step, value in sums.items()}
    return each | {"all": sum(each.values())}


def one_round(study: CellStudy, noise: Noise) -> dict[str, float]:
    """Seconds by step."""
    times = [time.perf_counter()]
    left = stopping.left(study.trials, CONFIG.trials)
    current = rounds.next_round(study.ended, left, CONFIG.round_size, together=True)
    if current is None:
        raise RuntimeError("no round is left")
    (task,) = current.tasks
    trials = rounds.draw(study, current, task, CONFIG, SPACE)
    times.append(time.perf_counter())
    found = tasks.fit_trials(noise, [BASE] * len(trials), trials, lambda _epoch: None)  # type: ignore[arg-type]
    times.append(time.perf_counter())
    for index, trial, outcome in zip(task.indices, trials, found, strict=True):
        study.add(index, outcome.as_trial(trial, index, (task.first, task.size), None))
    times.append(time.perf_counter())
    return dict(zip(STEPS, np.diff(times).tolist(), strict=False))


def seconds_to_first_line(folder: Path, url: str) -> float:
    """From the start of the process; it is ended then."""
    flags = [f"--storage={url}", "--dataset=digits", "--weights=tiny", "--alphas=0.25,0.5", "--resolutions=48,96"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tuning" / "optimize.py"), *flags], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    seconds = time.perf_counter() - begun
    process.kill()
    process.communicate()
    if "4 cells x 40 trials" not in line:
        raise RuntimeError(f"optimize.py said: {line}")
    return seconds


if __name__ == "__main__":
    main()
