"""What tests of several modules share."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from pipeline.networks import devices
from tests.browser import chromium, why_no_chromium
from tests.device_files import DeviceFiles, made
from tests.folders import OF_MLFLOW
from tests.servers import Postgres, why_no_postgres

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from pipeline.tracking import Tracker

ROOT = Path(__file__).parents[1]


def pytest_xdist_auto_num_workers() -> int:
    """One more than cores, for many tests wait for servers to start and for processes to be missed."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    """Sets tensorflow up before a test imports it, as entry points do; not where workers of xdist run the tests.

    What XLA has compiled is kept, for the processes of this run and for those of the next: that is half of what small
    fits take. Where several processes run tests, each does linear algebra in one thread: more of them than cores wait
    for each other, busily, and take four times as long.
    """
    is_worker, has_workers = hasattr(config, "workerinput"), bool(config.getoption("numprocesses", None))
    if not is_worker and (cache := getattr(config, "cache", None)):
        os.environ.setdefault("TF_XLA_FLAGS", f"--tf_xla_persistent_cache_directory={cache.mkdir('xla')}")
    if has_workers:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if is_worker or not has_workers:
        devices.set_up()


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
def dogs_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder in which the real dogs' features are made once, by whichever worker of pytest comes first."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "dogs"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server, for tests marked `postgres`: each makes a database of its own, `postgres.create(name)`.

    Skips the test where this machine has none.
    """
    if reason := why_no_postgres():
        pytest.skip(reason)
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def gpu() -> None:
    """For tests marked `gpu`; skips them where tensorflow has none."""
    if not devices.on_a_gpu():
        pytest.skip("no GPU that tensorflow can use")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for tests marked `browser`; skips them where this machine has none.

    Not for the whole session, since an event loop runs in this thread as long as it is open.
    """
    if reason := why_no_chromium():
        pytest.skip(reason)
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a `make demo`, not to be written to, with what it printed as `printed` and how long it took as
    `seconds`. All workers of pytest share it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demo"
    flags = re.search(r"^DEMO := (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE).group(1)
    with FileLock(f"{folder}.lock"):
        if not (folder / "seconds").exists():
            folder.mkdir(exist_ok=True)
            command = [sys.executable, str(ROOT / "tuning/optimize.py"), *flags.split()]
            environment = {**os.environ, "MLFLOW_TRACKING_URI": ""}
            begun = time.monotonic()
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
            assert done.returncode == 0, done.stderr
            (folder / "printed").write_text(done.stdout)
            (folder / "seconds").write_text(str(time.monotonic() - begun))
    return folder


@pytest.fixture(scope="session")
def device_files(tmp_path_factory: pytest.TempPathFactory) -> DeviceFiles:
    """Files of a small network, not to be written to. All workers of pytest share them."""
    return made(tmp_path_factory)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with nothing in the environment that would point elsewhere."""
    monkeypatch.chdir(tmp_path)
    for name in OF_MLFLOW:
        monkeypatch.setenv(name, "")  # remembered, so that what connect() sets is undone
    return tmp_path


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once, since MLflow takes a second for it."""
    from pipeline.tracking.database import create_sqlite

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    create_sqlite(path)
    return path


@pytest.fixture
def tracker(folder: Path, empty_database: Path) -> Tracker:
    """Of a new store in the test's own folder."""
    from pipeline.tracking import connect

    shutil.copy(empty_database, folder)
    return connect("alpharho")


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
