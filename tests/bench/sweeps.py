"""Whole sweeps as a person starts them: the demo's cells, and one cell of real dogs with each pruner.

    make bench

First the seconds of 4 cells x 24 trials of digits, twice. Then one cell of the real dogs (of digits, where there are no
real data) from a head of noise, 40 trials, with each pruner, on a feature table made before: the seconds of its trials,
final training and test, and the best validation top-1.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import real_pictures

ROOT = Path(__file__).parents[2]
OPTIMIZE = ROOT / "tuning" / "optimize.py"
DIGITS = ("--dataset=digits", "--weights=tiny", "--export=none")
FOUR = (*DIGITS, "--alphas=0.25,0.5", "--resolutions=48,96", "--trials=24")
DOGS = (
    *("--dataset=stanford_dogs", f"--data_dir={real_pictures.DATA_DIR}"),
    *("--alphas=0.75", "--resolutions=224", "--export=none"),
)
PRUNERS = ("none", "median", "hyperband", "successive_halving")


def main() -> None:
    for _ in range(2):
        print(f"4 cells x 24 trials of digits: {sweep(*FOUR)[0]:.1f} s", flush=True)
    cell = DOGS if real_pictures.FOLDER.exists() else (*DIGITS, "--alphas=0.5", "--resolutions=96")
    with tempfile.TemporaryDirectory() as work:
        flags = (*cell, "--head_init=random", f"--work_dir={work}")
        sweep(*flags, "--trials=1", "--epochs=1")  # makes the feature table
        for pruner in PRUNERS:
            _, row = sweep(*flags, "--trials=40", f"--pruner={pruner}")
            print(f"{row[0]}, pruner {pruner}: {row[-1]} s, best val {row[3]} %", flush=True)


def sweep(*flags: str) -> tuple[float, list[str]]:
    """Runs one in an empty folder; its seconds, and the last row of its table in words."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        shown = run(folder, str(OPTIMIZE), *flags, KERAS_HOME=str(real_pictures.FOLDER / "keras"))
        seconds = time.perf_counter() - begun
    return seconds, re.findall(r"^mobilenet_.*", shown, flags=re.MULTILINE)[-1].split()


def run(folder: str | Path, *command: str, **environment: str) -> str:
    """What a Python program of this project prints, started in `folder`, where MLflow's store comes to lie.

    Raises RuntimeError, with what it said, where it fails.
    """
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": "", **environment},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
