"""What benches have of real pictures, and means of what they repeat."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

FOLDER = Path(os.environ.get("REAL_DATA_DIR", Path(__file__).parents[2] / ".." / "shared" / "data")).resolve()
WEIGHTS = str(FOLDER / "keras" / "models" / "mobilenet_7_5_224_tf.h5")
DATA_DIR = str(FOLDER / "tfds")


def require() -> None:
    """Ends the bench, with what to do, where there are none."""
    if not FOLDER.exists():
        sys.exit(f"wanted real pictures under {FOLDER}. Received: none. Try: REAL_DATA_DIR=FOLDER")


def at_075_224(folder: str) -> dict[str, Any]:
    """Settings of a SweepConfig of that one cell, which keeps what it makes in `folder`."""
    where = {"data_dir": DATA_DIR, "work_dir": folder, "weights": WEIGHTS}
    return {**where, "alphas": (0.75,), "resolutions": (224,)}


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean of (n,), and its 95 % interval by Student's t."""
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean(), values.mean() - half, values.mean() + half
