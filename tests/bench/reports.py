"""How long the report takes to read 5,000 runs: one sweep of 125 cells x 40 trials with five curves of 30 epochs.

    python -m tests.bench.reports             # from sqlite; writing takes three minutes
    python -m tests.bench.reports --server    # through `mlflow server` on that database, too

Every curve is read, where the report itself reads those of 40 trials a cell at most; once more with a fifth of them.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline import tracking
from pipeline.config import Cell
from reports import tables
from tests.reports.report_samples import write_sweep
from tests.servers import MlflowServer

CELLS = [Cell(alpha / 25, side) for alpha in range(1, 26) for side in (96, 128, 160, 192, 224)]
TRIALS = 40
EXPERIMENT = "bench"
FEWER = TRIALS // 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="store_true", help="read through `mlflow server`, too")
    asked = parser.parse_args()
    table = Table(title=f"{len(CELLS)} cells x {TRIALS} trials")
    for column in ("store", "curves of", "s", "curve points", "frames, MB", "process at most, MB"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/mlflow.db"
        if asked.server:  # files that are written without it could not be read through it
            with MlflowServer(database, Path(folder)) as server:
                fill(server.address)
                measure(table, "server", server.address)
        else:
            fill(database)
            measure(table, "sqlite", database)
    Console().print(table)


def fill(store: str) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = store
    begun = time.perf_counter()
    write_sweep(tracking.connect(EXPERIMENT), cells=CELLS, trials=TRIALS, classes=120, weights="none")
    print(f"written in {time.perf_counter() - begun:.0f} s")


def measure(table: Table, kind: str, store: str) -> None:
    """Reads all curves, and then the fewer; a row for each."""
    os.environ["MLFLOW_TRACKING_URI"] = store
    tracker = tracking.connect(EXPERIMENT)
    for count in (None, FEWER):
        begun = time.perf_counter()
        found = tables.read(tracker, tables.choose(tracker, []), count)
        seconds = time.perf_counter() - begun
        if len(found.trials) != len(CELLS) * TRIALS:
            raise RuntimeError(f"read {len(found.trials)} trials")
        frames = sum(int(frame.memory_usage(deep=True).sum()) for frame in vars(found).values())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        what = "all trials" if count is None else f"{count} a cell"
        table.add_row(kind, what, f"{seconds:.1f}", f"{len(found.curves):,}", f"{frames / 1e6:.0f}", f"{peak:.0f}")


if __name__ == "__main__":
    main()
