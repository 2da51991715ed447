"""The feature table: what a frozen backbone makes of each picture, computed once and kept on disk.

A table is a folder `work/features/<key>/` with `features.npy` (float32 (n, d)) and `table.json`. The key is a hash of
everything that shapes the numbers, so a changed picture, weight or preprocessing step finds no old table. It is
written beside and renamed, and its own hash is checked whenever it is read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import tensorflow as tf
from filelock import FileLock

from pipeline import progress
from pipeline.backbones import PREPROCESSING, Backbone, preprocess
from pipeline.datasets import Split, check_readable
from pipeline.errors import UserError

BATCH = 8  # pictures; the fastest for a plain graph on two cores (32 overflow the second-level cache)


@dataclass(frozen=True)
class FeatureTable:
    """Features of every picture of one split.

    Attributes:
        features: float32 (n, d), memory-mapped, read-only, in the order of the split.
        pictures_per_second: from encoded picture to features, measured when this table was made.
    """

    features: np.ndarray
    pictures_per_second: float


def load(split: Split, source: str, backbone: Backbone, work_dir: str) -> FeatureTable:
    """Reads the table of `split` under `backbone`, or makes it; one process makes it while others wait.

    Args:
        source: name and version of the data set.

    Raises:
        UserError: a picture cannot be decoded (it is named), or the features are not finite.
    """
    shaped_by = {
        "data": source,
        "split": split.name,
        "pictures": split.digest,
        "cell": backbone.cell.name,
        "weights": backbone.digest,
        "preprocessing": PREPROCESSING,
    }
    key = hashlib.sha256(json.dumps(shaped_by, sort_keys=True).encode()).hexdigest()[:20]
    folder = Path(work_dir, "features", key)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.exists():
            try:
                return _read(folder, len(split))
            except (OSError, ValueError, KeyError) as error:
                progress.note(f"feature table {folder.name} is damaged ({error}); making it again")
        _write(folder, split, backbone, shaped_by)
        return _read(folder, len(split))


def _read(folder: Path, rows: int) -> FeatureTable:
    """Raises ValueError, KeyError or OSError where the table is not whole."""
    about = json.loads((folder / "table.json").read_text())
    if _hash(folder / "features.npy") != about["sha256"]:
        raise ValueError("its hash does not match")
    features = np.load(folder / "features.npy", mmap_mode="r")
    if len(features) != rows:
        raise ValueError(f"{len(features)} rows for {rows} pictures")
    return FeatureTable(features, about["pictures_per_second"])


def _write(folder: Path, split: Split, backbone: Backbone, shaped_by: dict[str, str]) -> None:
    beside = folder.with_name(f"{folder.name}.part")  # under the lock, so there is one writer
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        # Written through a file, not a memory map: on a full disk the map would end the process with SIGBUS.
        with (beside / "features.npy").open("wb") as file:
            rate = _write_rows(file, split, backbone)
        about = {**shaped_by, "sha256": _hash(beside / "features.npy"), "pictures_per_second": rate}
        (beside / "table.json").write_text(json.dumps(about, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write_rows(file: IO[bytes], split: Split, backbone: Backbone) -> float:
    """Writes the whole array; returns pictures per second after the first batch, which waits for the start."""
    shape = (len(split), backbone.model.output_shape[-1])
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    begun, ends = time.perf_counter(), []
    title = f"features {split.name} {backbone.cell.name}"
    with progress.bar(title, total=len(split), unit="img") as advance:
        for batch in _extract(split, backbone):
            if not np.isfinite(batch).all():
                raise UserError(f"wanted finite features from {backbone.weights} weights. Received: NaN or infinity")
            file.write(batch.astype("<f4").tobytes())
            advance(len(batch))
            ends.append(time.perf_counter())
    steady = len(ends) > 1
    return (len(split) - BATCH) / (ends[-1] - ends[0]) if steady else len(split) / (ends[-1] - begun)


def _extract(split: Split, backbone: Backbone) -> Iterator[np.ndarray]:
    """Features batch by batch, float32 (<= 8, d)."""
    resolution = backbone.cell.resolution

    # Not compiled by XLA: on a CPU it runs MobileNet's convolutions several times slower than the plain graph.
    @tf.function(input_signature=[tf.TensorSpec((None, resolution, resolution, 3), tf.float32)])
    def forward(pictures: tf.Tensor) -> tf.Tensor:
        return backbone.model(pictures, training=False)

    pictures = split.pictures().map(
        lambda image, _label: preprocess(image, resolution), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    try:
        for batch in pictures.batch(BATCH).prefetch(4):
            yield forward(batch).numpy()
    except tf.errors.InvalidArgumentError as error:
        unreadable = check_readable(split)
        if not unreadable:
            raise
        name, reason = unreadable[0]
        raise UserError(
            f"wanted pictures that can be decoded. Received: {name} ({reason}), the first of {len(unreadable)}. "
            "Way out: mend or remove it, or leave such pictures out with --skip_unreadable"
        ) from error


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
