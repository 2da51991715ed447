"""What tests of several modules share."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Postgres, why_no_postgres

ROOT = Path(__file__).parents[1]


def pytest_xdist_auto_num_workers() -> int:
    """One more than cores, for many tests wait for servers to start and for processes to be missed."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that none of them is begun when everything else is done."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures and weights (shared/data/README.md); skips the test where it is missing."""
    folder = ROOT / os.environ.get("REAL_DATA_DIR", "../shared/data")
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}: name its folder with REAL_DATA_DIR")
    return folder.resolve()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server, for tests marked `postgres`: each makes a database of its own, `postgres.create(name)`.

    Skips the test where this machine has none.
    """
    if reason := why_no_postgres():
        pytest.skip(reason)
    with Postgres() as server:
        yield server


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A new sqlite database."""
    return f"sqlite:///{tmp_path}/optuna.db"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def any_url(request: pytest.FixtureRequest, url: str) -> str:
    """A new database, of either kind."""
    if request.param == "sqlite":
        return url
    return request.getfixturevalue("postgres").create(f"t{time.monotonic_ns()}")
