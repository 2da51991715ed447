"""What one more trial costs: seconds per epoch and trial, for Keras' `fit` and for waves of 1, 8 and 16 heads.

    make bench

All on one feature table, in one process, in turn; the best of three epochs after the first, which compiles. Where the
real Stanford Dogs pictures and weights lie under REAL_DATA_DIR (default ../shared/data) their 0.75-224 table is used,
and elsewhere random features of the size that Stanford Dogs has.
"""

from __future__ import annotations

import dataclasses
import time

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline import datasets
from pipeline.config import TrainConfig
from pipeline.shell import cli
from pipeline.training import heads, schedules
from pipeline.training.fit import go_on
from pipeline.training.frozen import HeadTrainer
from pipeline.training.heads import Samples
from tests.bench import real_pictures

CONFIG = TrainConfig(alpha=0.75, epochs=4, lr_schedule="constant", batch_size=128)
CLASSES = 120


def main() -> None:
    source, train, val = real_table() if real_pictures.FOLDER.exists() else random_table()
    seconds = {"Keras fit": keras_epoch(train, val)}
    seconds |= {f"wave of {size}": wave_epoch(train, val, size) / size for size in (1, 8, 16)}
    table = Table(title=f"{len(train.labels)} rows x {train.features.shape[1]}, batch {CONFIG.batch}: {source}")
    for column in ("how", "s per epoch and trial", "times faster than fit"):
        table.add_column(column, justify="right")
    for how, cost in seconds.items():
        table.add_row(how, f"{cost:.4f}", f"{seconds['Keras fit'] / cost:.1f}")
    Console().print(table)


def real_table() -> tuple[str, Samples, Samples]:
    config = dataclasses.replace(CONFIG, data_dir=real_pictures.DATA_DIR, weights=real_pictures.WEIGHTS)
    dataset = datasets.load(config)
    table = np.asarray(HeadTrainer(config, dataset).table.features)
    train, val = datasets.cut(dataset.train, config.val_fraction, config.seed)
    return "Stanford Dogs, 0.75-224", *(Samples(table[rows], dataset.train.labels[rows]) for rows in (train, val))


def random_table() -> tuple[str, Samples, Samples]:
    rng = np.random.default_rng(0)

    def draw(count: int) -> Samples:
        return Samples(rng.random((count, 768), np.float32), rng.integers(CLASSES, size=count).astype(np.int32))

    return "random features, the real data are not here", draw(10_200), draw(1_800)


def keras_epoch(train: Samples, val: Samples) -> float:
    """Seconds of one epoch of Keras' fit on the same table, batches, dropout and optimizer."""
    width = train.features.shape[1]
    layers = [
        keras.Input((width,)),
        keras.layers.Dropout(CONFIG.dropout),
        keras.layers.Dense(CLASSES, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(CONFIG.learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    clock = Clock()
    model.fit(
        train.features,
        train.labels,
        validation_data=(val.features, val.labels),
        batch_size=CONFIG.batch,
        epochs=CONFIG.epochs,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: clock.tick())],
    )
    return clock.shortest()


def wave_epoch(train: Samples, val: Samples, size: int) -> float:
    """Seconds of one epoch of `size` heads together."""
    configs = [dataclasses.replace(CONFIG, learning_rate=1e-4 * (k + 1)) for k in range(size)]
    start = heads.random_head(train.features.shape[1], CLASSES, seed=0)
    clock = Clock()
    heads.fit(train, val, (start,), configs, schedules.of(configs), clock.watch)
    return clock.shortest()


class Clock:
    """Takes the time at the end of every epoch."""

    def __init__(self) -> None:
        self.ticks: list[float] = []

    def tick(self) -> None:
        self.ticks.append(time.perf_counter())

    def watch(self, epoch: int, indices: np.ndarray, val_top1: np.ndarray) -> np.ndarray:
        self.tick()
        return go_on(epoch, indices, val_top1)

    def shortest(self) -> float:
        return float(np.diff(self.ticks).min())


if __name__ == "__main__":
    cli.run(main)
