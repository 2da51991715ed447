"""What a trial costs outside training, after 100 and after 2,000 finished ones; and how soon `optimize.py` speaks.

    make bench

Claiming, reporting 30 epochs with pruning, finishing, and writing the MLflow run, in waves of 8 that train nothing; the
mean of WAVES waves after a first one, which reads the study. Optuna on sqlite, and on PostgreSQL where it can be
started; MLflow on sqlite with as many runs. Then the seconds from the start of the command to its first line, "16 cells
x 40 trials: ... done", with 16 studies of 40 trials and one of 2,000 in the database.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tuning.ledger import Ledger
from tuning.pulse import beating
from tuning.study import CellStudy, open_study

from pipeline import tracking
from pipeline.config import SweepConfig
from pipeline.tracking import Tracker
from pipeline.training.fit import Fit
from tests.servers import Postgres, why_no_postgres
from tuning import claims, outcomes
from tuning import study as studies
from tuning.search import Watch
from tuning.storage import open_storage

ROOT = Path(__file__).parents[2]
CONFIG = SweepConfig(dataset="digits", weights="tiny", alphas=(0.25,), resolutions=(64,), trials=10**6)
MANY = SweepConfig(
    dataset="digits", weights="tiny", alphas=(0.25, 0.5), resolutions=(32, 40, 48, 56, 64, 72, 80, 96), trials=40
)
BASE = CONFIG.train_config(CONFIG.cells[0])
SIZES = (100, 2000)
WAVES = 5
EPOCHS = BASE.epochs


def main() -> None:
    table = Table(
        title=f"ms per trial outside training, waves of {CONFIG.wave}, {EPOCHS} epochs, pruner {CONFIG.pruner}"
    )
    steps = ("claim", "report", "finish", "MLflow", "all")
    for column in ("Optuna on", "finished trials", *steps):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder, databases(Path(folder)) as urls:
        for size in SIZES:
            os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow{size}.db"
            tracker = tracking.connect("alpharho")
            cell = tracker.open("cell", "cell")
            for kind, url in urls.items():
                cost = costs(tracker, cell, f"{url}{size}", size)
                table.add_row(kind, str(size), *(f"{1000 * cost[step]:.1f}" for step in steps))
        Console().print(table)
        for kind, url in urls.items():
            print(
                f"first line of optimize.py after {seconds_to_first_line(Path(folder), f'{url}start'):.1f} s on {kind}"
            )


@contextlib.contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """Kind -> URL of new databases, without the end of their names."""
    with contextlib.ExitStack() as stack:
        urls = {"sqlite": f"sqlite:///{folder}/optuna"}
        if reason := why_no_postgres():
            print(f"PostgreSQL is left out: {reason}")
        else:
            server = stack.enter_context(Postgres())
            for name in (*SIZES, "start"):
                server.create(f"optuna{name}")
            urls["PostgreSQL"] = server.url("optuna")
        yield urls


def fill(study: CellStudy, size: int) -> None:
    """Finished trials with curves, as a search leaves them."""
    rng = np.random.default_rng(0)
    config = dataclasses.replace(CONFIG, pruner="none")
    while missing := size - studies.done(study.trials()):
        wave(study, config, min(missing, 250), rng)


def wave(
    study: CellStudy, config: SweepConfig, size: int, rng: np.random.Generator
) -> tuple[dict[str, float], list[int]]:
    """One wave without training; seconds by step, and the trials that count."""
    times = [time.perf_counter()]
    claimed = claims.claim(study, config, size)
    times.append(time.perf_counter())
    curves = {name: rng.random((EPOCHS, len(claimed))) for name in ("train_loss", "train_top1", "val_loss", "val_top1")}
    ended = np.full(len(claimed), EPOCHS)
    with beating(study, claimed) as pulse:
        watch = Watch(claimed, pulse, EPOCHS, lambda _epochs: None)
        going = np.arange(len(claimed))
        for epoch in range(1, EPOCHS + 1):
            kept = watch(epoch, going, curves["val_top1"][epoch - 1, going])
            ended[going[~kept]] = epoch
            going = going[kept]
    times.append(time.perf_counter())
    found = []
    for index, trial in enumerate(claimed):
        own = {name: values[: ended[index], index] for name, values in curves.items()}
        own["learning_rate"] = np.full(ended[index], trial.params["learning_rate"])
        best = int(own["val_top1"].argmax()) + 1
        found.append(outcomes.outcome(trial, Fit(own, best, None, pruned=bool(ended[index] < EPOCHS)), 0.5))
    numbers = claims.finish(study, found)
    times.append(time.perf_counter())
    return dict(zip(("claim", "report", "finish"), np.diff(times), strict=True)), numbers


def costs(tracker: Tracker, cell: str, url: str, size: int) -> dict[str, float]:
    """Seconds per trial by step, in a study of `size` finished trials that MLflow knows."""
    study = open_study(open_storage(url), "bench", BASE, "p", "w")
    fill(study, size)
    ledger = Ledger(study, tracker, cell, BASE, {"params_total": 1.0})
    ledger.settle()
    rng = np.random.default_rng(1)
    fresh = open_study(open_storage(url), "bench", BASE, "p", "w")  # of a process that starts
    wave(fresh, CONFIG, CONFIG.wave, rng)
    sums: dict[str, float] = {}
    for _ in range(WAVES):
        seconds, numbers = wave(fresh, CONFIG, CONFIG.wave, rng)
        begun = time.perf_counter()
        ledger.deliver(numbers)
        seconds["MLflow"] = time.perf_counter() - begun
        for step, value in seconds.items():
            sums[step] = sums.get(step, 0.0) + value
    each = {step: value / WAVES / CONFIG.wave for step, value in sums.items()}
    return each | {"all": sum(each.values())}


def seconds_to_first_line(folder: Path, url: str) -> float:
    """From the start of the process; it is ended then."""
    storage = open_storage(url)
    for number, cell in enumerate(MANY.cells):
        base = MANY.train_config(cell)
        study = open_study(storage, studies.study_name(MANY, cell.name), base, "p", "w")
        fill(study, 2000 if number == 0 else 40)
    flags = [f"--{name}={value}" for name, value in (("storage", url), ("dataset", "digits"), ("weights", "tiny"))]
    cells = ["--alphas=0.25,0.5", "--resolutions=32,40,48,56,64,72,80,96"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tuning" / "optimize.py"), *flags, *cells],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    seconds = time.perf_counter() - begun
    process.kill()
    process.communicate()
    if "16 cells x 40 trials: 640 of 640 done" not in line:
        raise RuntimeError(f"optimize.py said: {line}")
    return seconds


if __name__ == "__main__":
    main()
