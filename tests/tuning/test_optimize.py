"""The sweep as its users run it, on digits at 32 px, with a real MLflow store and a real Optuna database."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import keras
import mlflow
import numpy as np
import optuna
import pytest

from pipeline.config import Cell
from pipeline.networks import backbones

ROOT = Path(__file__).parents[2]
SWEEP = (
    *("--dataset=digits", "--weights=tiny", "--alphas=0.25", "--resolutions=32,48"),
    *("--epochs=3", "--wave=2", "--trials=3"),
)


def start(folder: Path, *flags: str, program: tuple[str, ...] = ("tuning/optimize.py",), **environment: str):
    return subprocess.Popen(
        [sys.executable, str(ROOT / program[0]), *program[1:], *flags],
        cwd=folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def sweep(folder: Path, *flags: str) -> str:
    """Runs it to its end; what it printed."""
    process = start(folder, *SWEEP, *flags)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def runs(folder: Path) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    return client.search_runs([client.get_experiment_by_name("alpharho").experiment_id], max_results=500)


def in_training(folder: Path) -> bool:
    """Whether a trial runs: asked by plain SQL, for a client would create tables while the sweep is doing so."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{folder}/optuna.db?mode=ro", uri=True)) as database:
            return database.execute("SELECT 1 FROM trials WHERE state = 'RUNNING' LIMIT 1").fetchone() is not None
    except sqlite3.OperationalError:  # no file, no table, or locked by the sweep: not yet
        return False


def wait_until_in_training(process: subprocess.Popen, folder: Path) -> None:
    deadline = time.monotonic() + 120
    while not in_training(folder):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "no trial within two minutes"
        time.sleep(0.2)


def of_kind(found: list[mlflow.entities.Run], kind: str) -> list[mlflow.entities.Run]:
    return [run for run in found if run.data.tags.get("alpharho.kind") == kind]


def draws(folder: Path) -> dict[str, list[float]]:
    """Study -> the learning rate of every trial, in order."""
    storage = f"sqlite:///{folder}/optuna.db"
    return {
        name: [trial.params["learning_rate"] for trial in optuna.load_study(study_name=name, storage=storage).trials]
        for name in optuna.get_all_study_names(storage)
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("sweep")
    return folder, sweep(folder)


def test_a_sweep_ends_with_a_row_for_each_cell(finished):
    _folder, out = finished
    rows = [line.split() for line in out.splitlines() if line.startswith("mobilenet_")]
    assert [row[0] for row in rows] == ["mobilenet_0.25_32", "mobilenet_0.25_48"]
    assert all(float(row[4]) > 30 for row in rows)


def test_a_sweep_ends_with_its_report_which_is_also_on_its_run(finished):
    folder, out = finished
    assert out.endswith("The report: report.html\n")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(f'<option value="c{place}"' in page for place in range(2))
    (outer,) = of_kind(runs(folder), "sweep")
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    assert Path(client.download_artifacts(outer.info.run_id, "report.html", str(folder))).read_text("utf-8") == page


def test_runs_are_nested_sweep_cell_trial(finished):
    found = runs(finished[0])
    (outer,) = of_kind(found, "sweep")
    cells, trials = of_kind(found, "cell"), of_kind(found, "trial")
    assert {run.data.tags["mlflow.parentRunId"] for run in cells} == {outer.info.run_id}
    parents = [run.data.tags["mlflow.parentRunId"] for run in trials]
    assert sorted(parents.count(run.info.run_id) for run in cells) == [3, 3]
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {run.data.tags["optuna.state"] for run in trials} == {"COMPLETE"}


def test_a_trial_carries_its_draw_its_costs_and_its_curves(finished):
    folder, _out = finished
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    trial = of_kind(runs(folder), "trial")[0]
    assert {"learning_rate", "beta_1", "beta_2", "cell", "alpha", "resolution"} <= set(trial.data.params)
    assert {"params_total", "params_trainable", "mult_adds"} <= set(trial.data.metrics)
    for name in ("train_loss", "train_top1", "val_loss", "val_top1", "learning_rate"):
        assert [point.step for point in client.get_metric_history(trial.info.run_id, name)] == [1, 2, 3]


def test_the_published_numbers_stand_beside_the_cells(finished):
    baselines = of_kind(runs(finished[0]), "published")
    by_name = {run.info.run_name: run.data.metrics["test_top1"] for run in baselines}
    assert by_name["paper mobilenet_0.75_192"] == pytest.approx(0.805)
    assert by_name["replication mobilenet_1.0_224"] == pytest.approx(0.776)
    assert {run.data.tags["source"] for run in baselines} == {"paper", "replication"}


def test_a_cell_carries_its_test_and_a_model_for_raw_pictures(finished):
    folder, _out = finished
    cell = of_kind(runs(folder), "cell")[0]
    measured = cell.data.metrics
    assert measured["test_top1_low"] < measured["test_top1"] < measured["test_top1_high"]
    assert measured["trials_complete"] == 3
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    name = cell.info.run_name
    model = mlflow.pyfunc.load_model(f"models:/{name}@best")
    for side in (8, 61):
        answers = model.predict(np.zeros((2, side, side + 3, 3), np.uint8))
        assert answers.shape == (2, 10)
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    files = {file.path for file in mlflow.MlflowClient().list_artifacts(cell.info.run_id)}
    assert {"per_class.csv", "confusion.csv", "classes.json"} <= files


def save_backbone(cell: Cell, path: Path) -> None:
    """Random weights, normalised on random pictures, or every picture would have the same features."""
    model = backbones.load(cell, "none").model
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    patches = np.random.default_rng(0).integers(0, 256, (16, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    model(patches.astype(np.float32), training=True)
    model.save_weights(path)


@pytest.mark.slow
def test_another_backbone_under_the_reports_protocol(tmp_path):
    weights = tmp_path / "any.weights.h5"
    save_backbone(Cell(1.0, 32, "mobilenet_v3_small"), weights)
    flags = (f"--weights={weights}", "--backbone=mobilenet_v3_small", "--alphas=1.0", "--protocol=replication")
    sweep(tmp_path, *flags, "--resolutions=32", "--trials=1")
    found = runs(tmp_path)
    (cell,), (trial,) = of_kind(found, "cell"), of_kind(found, "trial")
    assert cell.data.params["cell"] == trial.data.params["cell"] == "mobilenet_v3_small_1.0_32"
    assert cell.info.run_name == "digits-mobilenet_v3_small_1.0_32-frozen-report"
    assert cell.data.metrics["params_total"] == 2_554_968
    assert cell.data.metrics["params_trainable"] == trial.data.metrics["params_trainable"] == 1_025_000
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    model = mlflow.pyfunc.load_model(f"models:/{cell.info.run_name}@best")
    assert model.predict(np.zeros((2, 20, 30, 3), np.uint8)).shape == (2, 1000)
    assert "mobilenet_v3_small 1.0-32" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_the_same_command_again_does_nothing_and_more_trials_add_only_new_ones(finished, tmp_path):
    (original, out), folder = finished, tmp_path / "copy"
    shutil.copytree(original, folder)
    before = draws(folder)
    assert sweep(folder) == out
    assert draws(folder) == before
    assert len(of_kind(runs(folder), "sweep")) == 1
    (folder / "report.html").unlink()
    (folder / "report.html").mkdir()
    assert "The report" not in sweep(folder, "--trials=5")  # which ends well without it
    for name, after in draws(folder).items():
        assert after[:3] == before[name]
        assert len(set(after)) == 5
    assert {run.data.metrics["trials_complete"] for run in of_kind(runs(folder), "cell")} == {5}
    assert len(of_kind(runs(folder), "trial")) == 10


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_closes_its_runs_and_tells_how_to_go_on(tmp_path, number):
    process = start(tmp_path, *SWEEP, "--epochs=20000", "--resolutions=32")
    wait_until_in_training(process, tmp_path)
    process.send_signal(number)
    try:
        _out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted. To go on: python" in err
    assert "Traceback" not in err
    found = runs(tmp_path)
    assert {run.info.status for run in found if run.data.tags["alpharho.kind"] != "published"} == {"KILLED"}
    (study,) = optuna.get_all_study_summaries(f"sqlite:///{tmp_path}/optuna.db")
    states = {
        trial.state.name
        for trial in optuna.load_study(study_name=study.study_name, storage=f"sqlite:///{tmp_path}/optuna.db").trials
    }
    assert states == {"FAIL"}


@pytest.mark.slow
def test_two_workers_share_a_sweep_and_a_killed_one_is_finished_by_the_next(tmp_path):
    flags = ("--epochs=100", "--trials=6", "--workers=2")
    killed = start(tmp_path, *SWEEP, *flags)
    wait_until_in_training(killed, tmp_path)
    killed.kill()
    killed.communicate(timeout=60)
    rows = [line.split() for line in sweep(tmp_path, *flags).splitlines() if line.startswith("mobilenet_")]
    assert [row[0] for row in rows] == ["mobilenet_0.25_32", "mobilenet_0.25_48"]
    found = runs(tmp_path)
    assert [
        run.data.metrics["trials_complete"] + run.data.metrics["trials_pruned"] for run in of_kind(found, "cell")
    ] == [6, 6]
    assert {run.info.status for run in of_kind(found, "cell") + of_kind(found, "sweep")} == {"FINISHED"}
    assert len(of_kind(found, "sweep")) == 1
    trials = of_kind(found, "trial")
    assert len({run.data.tags["alpharho.key"] for run in trials}) == len(trials)
    states = Counter(run.data.tags["optuna.state"] for run in trials)
    assert states["COMPLETE"] + states["PRUNED"] == 12


@pytest.mark.parametrize("fault", ["nobody there", "newer"])
def test_a_database_that_cannot_be_used_is_told_in_one_line(tmp_path, fault):
    url = "postgresql+psycopg://me:hush@127.0.0.1:1/optuna"
    if fault == "newer":
        url = f"sqlite:///{tmp_path}/optuna.db"
        optuna.storages.RDBStorage(url)
        with contextlib.closing(sqlite3.connect(tmp_path / "optuna.db")) as database, database:
            database.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    process = start(tmp_path, *SWEEP, f"--storage={url}")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("error: wanted an Optuna")
    assert "hush" not in err
