"""What features cost: LiteRT against Keras' `predict`, against the machine's matrix product, two tables in one pass.

    make bench

All ratios are within one run and one process, in rounds that take every way in turn; the best of each. On a machine
that others use, too, the ratio of processor time is the steadier. Where the real Stanford Dogs pictures and weights lie
under REAL_DATA_DIR (default ../shared/data), 1,200 training pictures are used at 0.75-224, from TFRecord on;
elsewhere drawn letters, as JPEGs of 224 px, at 0.5-224.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from pipeline import datasets
from pipeline.config import Cell, DataConfig
from pipeline.datasets import Split, reading
from pipeline.datasets.letters import render
from pipeline.datasets.pictures import from_arrays
from pipeline.features import engines
from pipeline.features.extract import BATCH
from pipeline.features.table import load_table
from pipeline.networks import backbones, costs
from pipeline.networks.backbones import Backbone
from pipeline.shell import cli
from tests.bench import real_pictures

PICTURES = 1200
ROUNDS = 4
PREDICT_BATCH = 32  # Keras' own default
PRODUCT_SIDE = 3000  # of the matrices that measure what the cores can do in single precision


def main() -> None:
    split, (large, small) = real() if real_pictures.FOLDER.exists() else drawn()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(split, large, small, folder)
    sys.exit(0 if show(measured, len(split), large) else 1)


def real() -> tuple[Split, list[Backbone]]:
    weights = real_pictures.WEIGHTS
    train = datasets.load(DataConfig(data_dir=real_pictures.DATA_DIR)).train
    # `subset` would read all records in every pass.
    first = dataclasses.replace(
        train,
        labels=train.labels[:PICTURES],
        ids=train.ids[:PICTURES],
        hashes=train.hashes[:PICTURES],
        raw=lambda: train.raw().take(PICTURES),
    )
    return first, [backbones.load(Cell(0.75, side), weights) for side in (224, 192)]


def drawn() -> tuple[Split, list[Backbone]]:
    pictures, labels = (array[:PICTURES] for array in render("test"))
    encoded = [
        tf.io.encode_jpeg(tf.cast(tf.image.resize(picture, (224, 224)), tf.uint8)).numpy() for picture in pictures
    ]
    split = dataclasses.replace(
        from_arrays("train", pictures, labels, "letters"),
        raw=lambda: tf.data.Dataset.from_tensor_slices(encoded),
        decode=reading.decode,
    )
    return split, [backbones.load(Cell(0.5, side), "tiny") for side in (224, 192)]


def measure(split: Split, large: Backbone, small: Backbone, folder: str) -> dict[str, np.ndarray]:
    """way -> seconds of its best round: elapsed, and of the processor."""
    product = np.random.default_rng(0).random((PRODUCT_SIDE, PRODUCT_SIDE), np.float32)
    batches = np.random.default_rng(0).uniform(-1, 1, (8, BATCH, 224, 224, 3)).astype(np.float32)
    engine = engines.make("auto", large, folder, batches[0])
    ways: dict[str, Callable[[], object]] = {
        "predict": partial(predict, split, large),
        "features": partial(extract, split, folder, large),
        "features, small": partial(extract, split, folder, small),
        "features, both": partial(extract, split, folder, large, small),
        "matrix product": lambda: product @ product,
        "convolutions": partial(compute, engine, batches),
    }
    seconds: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for _ in range(ROUNDS + 1):
        for way, work in ways.items():
            shutil.rmtree(Path(folder, "features"), ignore_errors=True)
            begun, busy = time.perf_counter(), time.process_time()
            work()
            seconds[way].append((time.perf_counter() - begun, time.process_time() - busy))
    return {way: np.min(times[1:], axis=0) for way, times in seconds.items()}  # the first compiles and converts


def predict(split: Split, backbone: Backbone) -> np.ndarray:
    """The plain way."""
    pictures = split.pictures().map(
        lambda image, _label: backbones.preprocess(image, backbone.cell), num_parallel_calls=tf.data.AUTOTUNE
    )
    return backbone.model.predict(pictures.batch(PREDICT_BATCH).prefetch(tf.data.AUTOTUNE), verbose=0)


def extract(split: Split, folder: str, backbone: Backbone, *beside: Backbone) -> None:
    load_table(split, "bench:1", backbone, folder, beside=beside)


def compute(engine: engines.Engine, batches: np.ndarray) -> None:
    """The convolutions alone, as `extract` runs them."""
    with ThreadPoolExecutor(engine.lanes) as lanes:
        list(lanes.map(engine, batches))


def show(seconds: dict[str, np.ndarray], count: int, backbone: Backbone) -> bool:
    """Whether all is as wanted."""
    mult_adds = costs.mobilenet_mult_adds(backbone.cell, 1) - backbone.model.output_shape[-1]
    reached = 2 * mult_adds * 8 * BATCH / seconds["convolutions"]
    possible = 2 * PRODUCT_SIDE**3 / seconds["matrix product"]
    faster = seconds["predict"] / seconds["features"]
    both, apart = seconds["features, both"], seconds["features"] + seconds["features, small"]
    table = Table(title=f"{count} pictures, {backbone.cell.name}, {os.cpu_count()} cores")
    for column in ("what", "measured", "ratio", "of processor time", "wanted"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("Keras' predict", f"{count / seconds['predict'][0]:.0f} img/s", "1.00", "1.00", "")
    table.add_row("features", f"{count / seconds['features'][0]:.0f} img/s", *_two(faster), ">= 2.80")
    table.add_row(f"matrix product of {PRODUCT_SIDE}", f"{possible[0] / 1e9:.0f} GFLOP/s", "1.00", "1.00", "")
    table.add_row("convolutions", f"{reached[0] / 1e9:.0f} GFLOP/s", *_two(reached / possible), ">= 0.70")
    table.add_row("224 and 192 px, two passes", f"{apart[0]:.2f} s", "1.00", "1.00", "")
    table.add_row("224 and 192 px, one pass", f"{both[0]:.2f} s", *_two(both / apart), "<= 0.95")
    Console().print(table)
    return faster[0] >= 2.8 and (reached / possible)[0] >= 0.7 and (both / apart)[0] <= 0.95


def _two(ratios: np.ndarray) -> list[str]:
    return [f"{ratio:.2f}" for ratio in ratios]


if __name__ == "__main__":
    cli.run(main)
