"""A working directory and an MLflow store for each test."""

from __future__ import annotations

import shutil

import pytest

from pipeline.tracking import connect
from pipeline.tracking.database import create_sqlite

pytest.register_assert_rewrite("samples")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working directory, with nothing in the environment that would point elsewhere."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.setenv(name, "")  # remembered, so that what connect() sets is undone
    return tmp_path


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Made once, since MLflow takes a second for it."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    create_sqlite(path)
    return path


@pytest.fixture
def tracker(folder, empty_database):
    shutil.copy(empty_database, folder)
    return connect("alpharho")
