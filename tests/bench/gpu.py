"""What a GPU makes of features and of heads, in single and in mixed precision.

    make bench-gpu

The convolutions alone, on batches that are in memory; whole tables, from encoded pictures on, where decoding on the CPU
and XLA's compiling have their part; and epochs of waves of heads on a table of the size of Stanford Dogs'. In rounds
that take every way in turn; the best of each. Pictures and weights as in tests/bench/extraction.py.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.config import Precision
from pipeline.datasets import Split
from pipeline.features import engines
from pipeline.features.extract import BATCH
from pipeline.features.table import load_table
from pipeline.networks import devices
from pipeline.networks.backbones import Backbone
from pipeline.shell import cli
from pipeline.shell.errors import UserError
from pipeline.tracking import environment_tags
from tests.bench import real_pictures
from tests.bench.extraction import ROUNDS, compute, drawn, real
from tests.bench.heads import random_table, wave_epoch

BATCHES = 64  # for the convolutions alone
WAVES = (1, 8, 16)


def main() -> None:
    if not devices.on_a_gpu():
        raise UserError(
            "wanted a GPU. Received: none that tensorflow can use. Try: install requirements-gpu.txt on a machine "
            "that has one; `make bench` measures a CPU"
        )
    split, (backbone, *_smaller) = real() if real_pictures.FOLDER.exists() else drawn()
    with tempfile.TemporaryDirectory() as folder:
        rates = pictures_per_second(split, backbone, folder)
    _source, train, val = random_table()
    table = Table(title=f"{environment_tags()['device']}; {backbone.cell.name}, {len(split)} pictures")
    for column in ("what", "per second"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for way, rate in rates.items():
        table.add_row(way, f"{rate:.0f} img")
    for size in WAVES:
        table.add_row(f"epochs of a wave of {size}", f"{1 / wave_epoch(train, val, size):.1f}")
    Console().print(table)


def pictures_per_second(split: Split, backbone: Backbone, folder: str) -> dict[str, float]:
    """way -> of its best round."""
    side = backbone.cell.resolution
    some = np.random.default_rng(0).uniform(-1, 1, (BATCH, side, side, 3)).astype(np.float32)
    batches = np.broadcast_to(some, (BATCHES, *some.shape))
    ways: dict[str, tuple[int, Callable[[], object]]] = {}
    for precision in get_args(Precision):
        engine = engines.make("keras", backbone, folder, some, precision)
        ways[f"convolutions, {precision}"] = BATCH * BATCHES, partial(compute, engine, batches)
        whole = partial(load_table, split, "bench:1", backbone, folder, "keras", precision=precision)
        ways[f"tables, {precision}, compiling included"] = len(split), whole
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS + 1):
        for way, (_count, work) in ways.items():
            shutil.rmtree(Path(folder, "features"), ignore_errors=True)
            begun = time.perf_counter()
            work()
            seconds[way].append(time.perf_counter() - begun)
    return {way: count / min(seconds[way][1:]) for way, (count, _work) in ways.items()}  # the first compiles


if __name__ == "__main__":
    cli.run(main)
