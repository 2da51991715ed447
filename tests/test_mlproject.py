"""The MLflow project as a stranger starts it, by `mlflow run` on a git address, in the environment of the tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.folders import OF_MLFLOW

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
ADDRESS = "https://example.org/alpharho.git"
DIGITS = ("dataset=digits", "weights=tiny", "epochs=2", "alphas=0.25", "resolutions=32", "trials=2", "export=none")


@dataclass(frozen=True)
class Swept:
    folder: Path
    """in which `mlflow run` was called"""
    clone: Path
    """which mlflow made"""
    printed: str
    runs: dict[str, list[Run]]
    """kind -> runs of the experiment that `mlflow run` used"""


def git(*arguments: str | Path, folder: Path = ROOT) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def repository(folder: Path) -> Path:
    """A git repository of the files that stand here now."""
    for name in git("ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git("init", "--quiet", "--initial-branch=main", folder=folder)
    git("add", "--all", folder=folder)
    git("-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "-m", "all", folder=folder)
    return folder


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    """A sweep with the defaults of every folder and database. git takes the address for the repository on this disk."""
    source, folder = repository(tmp_path_factory.mktemp("repository")), tmp_path_factory.mktemp("called")
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "run", ADDRESS, "-e", "sweep", "--env-manager", "local"]
        + [word for setting in DIGITS for word in ("-P", setting)],
        env={name: value for name, value in os.environ.items() if name not in OF_MLFLOW}
        | {
            # `--env-manager local` starts the first python on PATH.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.file://{source}.insteadOf",
            "GIT_CONFIG_VALUE_0": ADDRESS,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"Fetching project from \S+ into (\S+) ===", done.stderr)
    assert found
    runs: dict[str, list[Run]] = {}
    for run in MlflowClient(f"sqlite:///{folder}/mlflow.db").search_runs(["0"]):
        runs.setdefault(run.data.tags.get("alpharho.kind", "none"), []).append(run)
    yield Swept(folder, Path(found[1]), done.stdout, runs)
    shutil.rmtree(found[1])


def test_a_sweep_puts_its_cells_below_the_projects_run(swept: Swept) -> None:
    (sweep,), (cell,), trials = swept.runs["sweep"], swept.runs["cell"], swept.runs["trial"]
    assert sweep.data.tags["mlflow.project.entryPoint"] == "sweep"
    assert cell.data.tags["mlflow.parentRunId"] == sweep.info.run_id
    assert [trial.data.tags["mlflow.parentRunId"] for trial in trials] == [cell.info.run_id] * 2
    assert {run.info.status for run in (sweep, cell)} == {"FINISHED"}
    assert "published" in swept.runs


def test_everything_lands_where_mlflow_run_was_called_and_the_last_line_says_so(swept: Swept) -> None:
    assert {"mlflow.db", "optuna.db", "report.html", "work"} <= {path.name for path in swept.folder.iterdir()}
    left = git("status", "--porcelain", "--ignored", folder=swept.clone).splitlines()
    assert [line for line in left if not line.endswith("__pycache__/")] == []
    assert swept.printed.splitlines()[-1] == f"Results are in {swept.folder}, unless a flag named another folder."
