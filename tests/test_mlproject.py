"""The MLflow project as `mlflow run` starts it, in the environment that the tests run in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DIGITS = {"dataset": "digits", "weights": "tiny", "epochs": "2"}


def mlflow_run(folder: Path, entry_point: str, params: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the project with its state in `folder`."""
    beside_python = Path(sys.executable).parent  # `--env-manager local` starts the first python on PATH
    flags = [flag for name, value in params.items() for flag in ("-P", f"{name}={value}")]
    return subprocess.run(
        [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", entry_point, "--env-manager", "local", *flags],
        env={
            **os.environ,
            "PATH": f"{beside_python}{os.pathsep}{os.environ['PATH']}",
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


def runs(folder: Path) -> dict[str, list[mlflow.entities.Run]]:
    """Kind -> runs of the experiment that `mlflow run` used."""
    found = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db").search_runs(["0"])
    kinds = {run.data.tags.get("alpharho.kind", "none") for run in found}
    return {kind: [run for run in found if run.data.tags.get("alpharho.kind", "none") == kind] for kind in kinds}


@pytest.fixture(scope="module")
def main_run(tmp_path_factory) -> tuple[Path, mlflow.entities.Run]:
    folder = tmp_path_factory.mktemp("main")
    done = mlflow_run(folder, "main", {**DIGITS, "alpha": "0.25", "resolution": "32", "work_dir": str(folder / "work")})
    assert done.returncode == 0, done.stderr
    (run,) = runs(folder)["main"]
    return folder, run


def test_main_prepares_trains_and_evaluates_in_the_projects_own_run(main_run):
    _folder, run = main_run
    assert run.info.status == "FINISHED"
    assert {"pictures_test", "best_val_top1", "test_top1", "test_top1_low", "mult_adds"} <= set(run.data.metrics)
    assert [inputs.dataset.name for inputs in run.inputs.dataset_inputs] == ["digits"]


def test_evaluate_takes_the_id_of_a_run(main_run):
    folder, run = main_run
    done = mlflow_run(folder, "evaluate", {"run_id": run.info.run_id})
    assert done.returncode == 0, done.stderr
    (evaluation,) = runs(folder)["evaluate"]
    assert evaluation.data.metrics["test_top1"] == run.data.metrics["test_top1"]


def test_a_sweep_puts_its_cells_below_the_projects_run(tmp_path):
    flags = {
        "alphas": "0.25",
        "resolutions": "32",
        "trials": "2",
        "storage": f"sqlite:///{tmp_path}/optuna.db",
        "work_dir": str(tmp_path / "work"),
    }
    done = mlflow_run(tmp_path, "sweep", {**DIGITS, **flags})
    assert done.returncode == 0, done.stderr
    found = runs(tmp_path)
    (sweep,), (cell,), trials = found["sweep"], found["cell"], found["trial"]
    assert cell.data.tags["mlflow.parentRunId"] == sweep.info.run_id
    assert {trial.data.tags["mlflow.parentRunId"] for trial in trials} == {cell.info.run_id}
    assert sweep.data.tags["mlflow.project.entryPoint"] == "sweep"
    assert len(found["published"]) == 10


def test_wrong_input_leaves_no_run_running(tmp_path):
    done = mlflow_run(tmp_path, "sweep", {**DIGITS, "alphas": "0.25", "resolutions": "32", "trials": "0"})
    assert done.returncode != 0
    assert "wanted trials >= 1" in done.stdout + done.stderr
    assert {run.info.status for group in runs(tmp_path).values() for run in group} == {"FAILED"}
