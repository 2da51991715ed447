"""What memory features take, of 200,000 generated pictures and of a tenth as many.

    make bench
    python -m tests.bench.memory --pictures 20000     # a look, in half a minute

Alpha 0.25 at 48 px, in a process of its own, which makes the one table after the other. Each picture is drawn, as
noise, and encoded as a JPEG of 32 px just before it is decoded: none lies in memory before.
It ends with exit code 1 where the limit is not kept.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipeline.config import Cell
from pipeline.datasets import Split, reading
from pipeline.features.table import load_table
from pipeline.networks import backbones
from tests.bench.limits import kept

CELL = Cell(0.25, 48)
SIDE = 32  # px
MOST_GB = 1.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200_000)
    counts = (parser.parse_args().pictures // 10, parser.parse_args().pictures)
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1) as pool:
        begun = time.perf_counter()
        few, many = pool.apply(peaks, (counts, folder))
        seconds = time.perf_counter() - begun
    for count, peak in zip(counts, (few, many), strict=True):
        print(f"features of {count:,} pictures, {CELL.name}: peak memory {peak / 1e6:.0f} MB")
    growth = (many - few) / (counts[1] - counts[0])
    print(f"that is {growth:.0f} bytes for each picture more; both in {seconds:.0f} s")
    sys.exit(0 if kept("peak memory in GB", many / 1e9, MOST_GB) else 1)


def peaks(counts: Sequence[int], folder: str) -> list[int]:
    """Bytes that this process took at most till the tables of so many pictures, in ascending order, were made."""
    found = []
    backbone = backbones.load(CELL, "tiny")
    for count in counts:
        load_table(generated(count), f"generated:{count}", backbone, folder)
        found.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    return found


def generated(count: int) -> Split:
    """Noise, each picture another one."""
    numbers = np.arange(count)
    return Split(
        name="train",
        labels=(numbers % 120).astype(np.int32),
        ids=[f"generated/train#{number}" for number in range(count)],
        hashes=np.repeat(numbers[:, None], 4, axis=1).astype("<i8").view(np.uint8),
        raw=lambda: tf.data.Dataset.range(count).map(_draw, num_parallel_calls=tf.data.AUTOTUNE),
        decode=reading.decode,
    )


def _draw(number: tf.Tensor) -> tf.Tensor:
    """A JPEG, scalar string."""
    pixels = tf.random.stateless_uniform((SIDE, SIDE, 3), [2017, number], maxval=256, dtype=tf.int32)
    return tf.io.encode_jpeg(tf.cast(pixels, tf.uint8))


if __name__ == "__main__":
    main()
