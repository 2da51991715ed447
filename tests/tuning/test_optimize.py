"""The sweep as its users run it, on digits at 32 px, with a real MLflow store and a real Optuna database."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import keras
import mlflow
import numpy as np
import optuna
import pytest

from pipeline.config import Cell
from pipeline.networks import backbones
from pipeline.shell import cli
from pipeline.shell.errors import UserError
from pipeline.tracking.runs import ANSWERS
from tests.clusters import why_no_ray
from tests.drivers import Driver
from tests.folders import inside
from tuning import optimize
from tuning.storage import driver_lock

ROOT = Path(__file__).parents[2]
SWEEP = (
    *("--dataset=digits", "--weights=tiny", "--alphas=0.25", "--resolutions=32,48"),
    *("--epochs=3", "--wave=2", "--trials=3", "--export=none"),
)


def sweep(folder: Path, *flags: str) -> str:
    """Runs it to its end in this process; what it printed."""
    printed = io.StringIO()
    with inside(folder), contextlib.redirect_stdout(printed):
        optimize.main([*SWEEP, *flags])
    return printed.getvalue()


def runs(folder: Path) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    return client.search_runs([client.get_experiment_by_name("alpharho").experiment_id], max_results=500)


def of_kind(found: list[mlflow.entities.Run], kind: str) -> list[mlflow.entities.Run]:
    return [run for run in found if run.data.tags.get("alpharho.kind") == kind]


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
    assert "The report: " in out.splitlines()[-1]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(f'<option value="c{number}"' in page for number in range(2))
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
    published = of_kind(runs(finished[0]), "published")
    by_name = {run.info.run_name: run.data.metrics["test_top1"] for run in published}
    assert by_name["paper mobilenet_0.75_192"] == pytest.approx(0.805)
    assert by_name["replication mobilenet_1.0_224"] == pytest.approx(0.776)
    assert {run.data.tags["source"] for run in published} == {"paper", "replication"}


def test_a_cell_carries_its_test_and_a_model_for_raw_pictures(finished):
    folder, _out = finished
    cell = of_kind(runs(folder), "cell")[0]
    measured = cell.data.metrics
    assert measured["test_top1_low"] < measured["test_top1"] < measured["test_top1_high"]
    assert measured["trials_complete"] == 3
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    model = mlflow.pyfunc.load_model(f"models:/digits-{cell.data.params['cell']}-frozen@best")
    for side in (8, 61):
        answers = model.predict(np.zeros((2, side, side + 3, 3), np.uint8))
        assert answers.shape == (2, 10)
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    files = {file.path for file in mlflow.MlflowClient().list_artifacts(cell.info.run_id)}
    assert {"per_class.csv", "confusion.csv", "importance.csv", "classes.json", ANSWERS} <= files


def test_optunas_database_shows_parameters_and_curves_to_other_programs(finished):
    """As optuna-dashboard reads it."""
    folder, _out = finished
    storage = f"sqlite:///{folder}/optuna.db"
    for name in optuna.get_all_study_names(storage):
        start, *trials = optuna.load_study(study_name=name, storage=storage).trials
        assert (start.params, start.intermediate_values) == ({}, {})
        for trial in trials:
            assert trial.params.keys() == {"learning_rate", "one_minus_beta_1", "one_minus_beta_2"}
            assert sorted(trial.intermediate_values) == [1, 2, 3]
            assert trial.intermediate_values[3] == trial.value  # annealed by then


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
def test_another_backbone_under_the_replications_protocol(tmp_path):
    weights = tmp_path / "any.weights.h5"
    save_backbone(Cell(1.0, 32, "mobilenet_v3_small"), weights)
    flags = (f"--weights={weights}", "--backbone=mobilenet_v3_small", "--alphas=1.0", "--protocol=replication")
    sweep(tmp_path, *flags, "--resolutions=32", "--trials=1")
    found = runs(tmp_path)
    (cell,), (trial,) = of_kind(found, "cell"), of_kind(found, "trial")
    assert cell.data.params["cell"] == trial.data.params["cell"] == "mobilenet_v3_small_1.0_32"
    assert cell.data.metrics["params_total"] == 2_554_968
    assert cell.data.metrics["params_trainable"] == trial.data.metrics["params_trainable"] == 1_025_000
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    model = mlflow.pyfunc.load_model("models:/digits-mobilenet_v3_small_1.0_32-frozen@best")
    assert model.predict(np.zeros((2, 20, 30, 3), np.uint8)).shape == (2, 1000)
    assert "mobilenet_v3_small 1.0-32" in (tmp_path / "report.html").read_text()


def test_the_same_command_again_prints_the_same_and_needs_no_page(finished):
    folder, out = finished
    assert sweep(folder) == out
    (folder / "report.html").unlink()
    (folder / "report.html").mkdir()
    try:
        assert "The report" not in sweep(folder)  # which ends well without it
    finally:
        (folder / "report.html").rmdir()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "flags"),
    [
        (signal.SIGINT, []),
        (signal.SIGTERM, []),
        pytest.param(signal.SIGTERM, ["--executor=ray"], marks=pytest.mark.ray),
    ],
)
def test_an_interrupted_sweep_closes_its_runs_and_tells_how_to_go_on(tmp_path, number, flags):
    """A process of its own, since a signal goes to one."""
    if flags and (reason := why_no_ray()):
        pytest.skip(reason)
    driver = Driver(tmp_path, [*SWEEP, "--epochs=20000", "--resolutions=32", *flags])
    deadline = time.monotonic() + 120
    while not (tmp_path / "work" / "features").is_dir() or not list(
        (tmp_path / "work" / "features").glob("*/table.json")
    ):
        assert driver.code is None, driver.log.read_text()
        assert time.monotonic() < deadline, "no feature table within two minutes"
        time.sleep(0.1)
    # Again, as a person would: what a signal raises within a weakref's callback Python swallows.
    while driver.wait(20) is None:
        assert time.monotonic() < deadline + 120, "not interrupted within two minutes"
        os.kill(driver.pid, number)
    assert driver.code == 130
    said = driver.log.read_text()
    assert "interrupted. To go on: python tuning/optimize.py" in said
    assert "Traceback" not in said
    found = [run for run in runs(tmp_path) if run.data.tags["alpharho.kind"] != "published"]
    assert {run.info.status for run in found} == {"KILLED"}
    (study,) = optuna.get_all_study_summaries(f"sqlite:///{tmp_path}/optuna.db")
    assert study.n_trials <= 1  # the start, which is not trained


def test_a_second_driver_is_refused_in_one_line(tmp_path):
    with inside(tmp_path), driver_lock("sqlite:///optuna.db"):
        with pytest.raises(UserError, match=f"another is at work, process {os.getpid()} on .*, started") as refusal:
            optimize.main(list(SWEEP))
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:hush@127.0.0.1:1/optuna",
        "postgresql+psycopg://me:hu:sh@127.0.0.1:1/optuna",
        "postgresql+psycopg://me:hu/sh@127.0.0.1:1/optuna",
        "postgresql+psycopg://me@127.0.0.1:1/optuna?password=hush",
    ],
)
def test_a_password_on_the_command_line_is_refused_and_not_repeated(tmp_path, url):
    with inside(tmp_path), pytest.raises(UserError, match="PGPASSWORD") as refusal:
        optimize.main([*SWEEP, f"--storage={url}"])
    assert "sh@" not in str(refusal.value)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("fault", ["nobody there", "newer"])
def test_a_database_that_cannot_be_used_is_told_in_one_line(tmp_path, fault):
    url = "postgresql+psycopg://me@127.0.0.1:1/optuna"
    if fault == "newer":
        url = f"sqlite:///{tmp_path}/optuna.db"
        optuna.storages.RDBStorage(url)
        with contextlib.closing(sqlite3.connect(tmp_path / "optuna.db")) as database, database:
            database.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    with inside(tmp_path), pytest.raises(UserError, match="wanted an Optuna") as refusal:
        optimize.main([*SWEEP, f"--storage={url}"])
    assert "\n" not in str(refusal.value)


def test_the_command_as_it_is_typed(tmp_path):
    """A process: started by its path, as the README does it; wrong input is one line, and exit code 2."""
    command = [sys.executable, str(ROOT / "tuning" / "optimize.py"), "--trials=0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (cli.EXIT_USER_ERROR, "")
    assert done.stderr == "error: wanted trials auto, or >= 1. Received: 0. Try: 40 is the default.\n"
    assert list(tmp_path.iterdir()) == []
