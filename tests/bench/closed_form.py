"""What the closed-form head costs on a table that does not fit into memory.

    python -m tests.bench.closed_form [--rows 1000000] [--classes 1000]

The table, float32 (rows, 768), is noise around a mean for each class, and lies on the disk.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from pipeline.training import closed_form

WIDTH = 768
WRITTEN_AT_ONCE = 10_000  # rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=1000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        features, labels = table(Path(folder, "features"), asked.rows, asked.classes)
        tracemalloc.start()  # which numpy tells of its arrays; of the file no page counts
        begun = time.perf_counter()
        moments = closed_form.Moments.of(features, labels, asked.classes)
        summed = time.perf_counter()
        closed_form.Discriminant(moments)
        decomposed = time.perf_counter()
        (head,) = closed_form.discriminants(features, labels, asked.classes)
        whole = time.perf_counter() - decomposed
        _now, peak = tracemalloc.get_traced_memory()
        some = slice(0, None, max(1, asked.rows // 20_000))
        right = np.mean((features[some] @ head.kernel + head.bias).argmax(axis=1) == labels[some])
    print(f"{asked.rows:,} x {WIDTH}, {asked.classes:,} classes: {features.nbytes / 1e9:.1f} GB on the disk")
    print(f"sums and Gram matrix {summed - begun:.1f} s, one decomposition {decomposed - summed:.1f} s")
    print(f"a head with its shrinkage by leaving one out, all of that in it, {whole:.1f} s; top-1 {100 * right:.1f} %")
    print(f"arrays took {peak / 1e9:.2f} GB at most")


def table(path: Path, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels, means = rng.integers(classes, size=rows), rng.normal(0, 0.15, (classes, WIDTH)).astype(np.float32)
    features = np.memmap(path, np.float32, "w+", shape=(rows, WIDTH))
    for begin in range(0, rows, WRITTEN_AT_ONCE):
        part = labels[begin : begin + WRITTEN_AT_ONCE]
        features[begin : begin + len(part)] = means[part] + rng.standard_normal((len(part), WIDTH), np.float32)
    features.flush()
    del features
    return np.memmap(path, np.float32, "r", shape=(rows, WIDTH)), labels


if __name__ == "__main__":
    main()
