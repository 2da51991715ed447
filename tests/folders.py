"""A folder to work in, with the stores of MLflow and Optuna that come to lie there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

# What would point at another store, or make a run that is started here a child of another.
OF_MLFLOW = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Works in `folder`, with nothing in the environment that would point elsewhere."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        for name in OF_MLFLOW:
            patched.setenv(name, "")
        yield
