"""The demo's cells as a person starts them: the seconds of 4 cells x 24 trials of digits, twice.

make bench
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPTIMIZE = ROOT / "tuning" / "optimize.py"
FOUR = (
    *("--dataset=digits", "--weights=tiny", "--export=none"),
    *("--alphas=0.25,0.5", "--resolutions=48,96", "--trials=24"),
)


def main() -> None:
    for _ in range(2):
        print(f"4 cells x 24 trials of digits: {seconds(*FOUR):.1f} s", flush=True)


def seconds(*flags: str) -> float:
    """Of a sweep in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        run(folder, str(OPTIMIZE), *flags)
        return time.perf_counter() - begun


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
