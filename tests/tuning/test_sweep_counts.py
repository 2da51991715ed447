"""That the count of a harmed sweep finds every planted fault."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
import time
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from tests.sweep_counts import check

STUDY = "digits-mobilenet_0.25_32-frozen"
STATES = ("COMPLETE", "COMPLETE", "PRUNED", "FAIL", "WAITING")
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "KILLED"}
DRAWN = {"learning_rate": 0.001, "one_minus_beta_1": 0.1, "one_minus_beta_2": 0.001}
CURVE = (0.5, 0.75, 0.625)  # val_top1; a complete trial's value is the best, a pruned one's the last


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A folder with both databases and the feature tables of one finished cell."""
    folder = tmp_path_factory.mktemp("whole")
    make_trials(f"sqlite:///{folder}/optuna.db")
    make_runs(f"sqlite:///{folder}/mlflow.db")
    for name in ("train", "test"):
        table = folder / "work" / "features" / name
        table.mkdir(parents=True)
        (table / "features.npy").write_bytes(name.encode())
        (table / "table.json").write_text(json.dumps({"sha256": hashlib.sha256(name.encode()).hexdigest()}))
    return folder


@pytest.fixture
def whole(original, tmp_path) -> Path:
    return shutil.copytree(original, tmp_path / "copy")


def make_trials(url: str) -> None:
    study = optuna.create_study(storage=url, study_name=STUDY, direction="maximize")
    values = {"COMPLETE": max(CURVE), "PRUNED": CURVE[-1]}
    for state in STATES:
        study.add_trial(
            create_trial(
                state=TrialState[state],
                value=values.get(state),
                params=DRAWN,
                distributions={name: FloatDistribution(1e-5, 0.5, log=True) for name in DRAWN},
            )
        )


def make_runs(url: str) -> None:
    client = MlflowClient(url)
    experiment = client.create_experiment("alpharho")
    begun = int(time.time() * 1000)

    def make(name: str, kind: str, status: str, tags=None, params=None, metrics=(("seconds", 1.0, 0),)) -> str:
        run_id = client.create_run(experiment, run_name=name).info.run_id
        spelled = [RunTag(key, value) for key, value in {**(tags or {}), "alpharho.kind": kind}.items()]
        logged = [Param(key, str(value)) for key, value in (params or {}).items()]
        client.log_batch(run_id, [Metric(key, value, begun, step) for key, value, step in metrics], logged, spelled)
        client.set_terminated(run_id, status)
        return run_id

    make("paper mobilenet_1.0_224", "published", "FINISHED", params={"dataset": "stanford_dogs"})
    sweep = make("sweep digits", "sweep", "FINISHED")
    cell = make(STUDY, "cell", "FINISHED", {"mlflow.parentRunId": sweep}, metrics=[("test_top1", 0.9, 0)])
    params = {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999}
    curve = [("val_top1", value, epoch) for epoch, value in enumerate(CURVE, start=1)]
    for number, state in enumerate(STATES[:-1]):  # the last one waits: it has not begun
        best = [("best_val_top1", max(CURVE), 0)] if state == "COMPLETE" else []
        tags = {"alpharho.key": f"{STUDY}#{number}", "optuna.state": state, "mlflow.parentRunId": cell}
        make(f"trial {number}", "trial", STATUS[state], tags, params, [*best, *curve])


def found(folder: Path) -> list[str]:
    return check(f"sqlite:///{folder}/optuna.db", f"sqlite:///{folder}/mlflow.db", folder / "work", cells=1, trials=3)


def alter(database: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_whole_sweep_has_no_findings(whole):
    assert found(whole) == []


TRIAL_0 = f"SELECT run_uuid FROM tags WHERE key = 'alpharho.key' AND value = '{STUDY}#0'"
CELL = f"SELECT run_uuid FROM runs WHERE name = '{STUDY}'"


@pytest.mark.parametrize(
    ("database", "statement", "finding"),
    [
        ("mlflow", f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid IN ({TRIAL_0})", "#0: no MLflow run"),
        ("mlflow", f"UPDATE tags SET value = '{STUDY}#1' WHERE value = '{STUDY}#0'", "#1: 2 MLflow runs"),
        ("mlflow", f"UPDATE tags SET value = '{STUDY}#9' WHERE value = '{STUDY}#0'", f"no trial '{STUDY}#9' in Optuna"),
        ("mlflow", "UPDATE runs SET status = 'RUNNING' WHERE name = 'trial 0'", "run trial 0 (trial): RUNNING"),
        (
            "mlflow",
            "UPDATE runs SET status = 'FAILED' WHERE name = 'trial 2'",
            "#2: PRUNED in Optuna, FAILED in MLflow",
        ),
        ("mlflow", "UPDATE tags SET value = 'FAIL' WHERE value = 'PRUNED'", "#2: PRUNED in Optuna, tagged FAIL in"),
        ("mlflow", "UPDATE latest_metrics SET value = 0.7 WHERE key = 'best_val_top1'", "#0: value 0.75 in Optuna"),
        ("mlflow", f"UPDATE params SET value = '0.8' WHERE key = 'beta_1' AND run_uuid IN ({TRIAL_0})", "#0: beta_1"),
        (
            "mlflow",
            f"DELETE FROM metrics WHERE step = 2 AND run_uuid IN ({TRIAL_0})",
            "#0: val_top1 has 2 points up to",
        ),
        ("mlflow", "UPDATE metrics SET key = 'seconds' WHERE key = 'test_top1'", f"{STUDY}: FINISHED, tested 0 times"),
        ("mlflow", f"UPDATE tags SET value = 'no' WHERE run_uuid IN ({TRIAL_0}) AND key LIKE '%Run%'", "#0: not below"),
        ("mlflow", "UPDATE runs SET status = 'KILLED' WHERE name = 'sweep digits'", "sweep run, FINISHED, there are"),
        ("mlflow", f"UPDATE runs SET name = 'other' WHERE run_uuid IN ({CELL})", f"{STUDY}: no run of the cell"),
        ("optuna", "UPDATE trials SET state = 'RUNNING' WHERE number = 4", f"{STUDY}#4: RUNNING in Optuna"),
        ("optuna", "UPDATE trials SET state = 'FAIL' WHERE number = 1", f"{STUDY}: wanted 3 trials COMPLETE or PRUNED"),
        ("optuna", "UPDATE trials SET number = 0 WHERE number = 1", f"{STUDY}#0: 2 trials in Optuna"),
        ("optuna", "DELETE FROM trials", "0 studies with trials, wanted 1"),
        ("optuna", "UPDATE trial_values SET value = 0.1 WHERE trial_id = 3", "#2: value 0.1 in Optuna, val_top1 0.625"),
    ],
)
def test_a_planted_fault_is_found(whole, database, statement, finding):
    alter(whole / f"{database}.db", statement)
    assert [line for line in found(whole) if finding in line], found(whole)


def test_a_run_that_is_there_twice_is_found(whole):
    columns = "name, status, lifecycle_stage, experiment_id, start_time, end_time"
    alter(
        whole / "mlflow.db",
        f"INSERT INTO runs (run_uuid, {columns}) SELECT 'twin', {columns} FROM runs WHERE name LIKE 'paper %'",
    )
    for table in ("tags", "params"):
        alter(
            whole / "mlflow.db",
            f"INSERT INTO {table} (run_uuid, key, value) SELECT 'twin', key, value FROM {table} "
            "WHERE run_uuid IN (SELECT run_uuid FROM runs WHERE name LIKE 'paper %')",
        )
    assert found(whole) == ["baseline run paper mobilenet_1.0_224: 2 times"]


@pytest.mark.parametrize(
    ("file", "text", "finding"),
    [("features.npy", "cut", "feature table train: its hash does not match"), ("table.json", "{", "JSONDecodeError")],
)
def test_a_damaged_feature_table_is_found(whole, file, text, finding):
    (whole / "work" / "features" / "train" / file).write_text(text)
    (line,) = found(whole)
    assert finding in line


def test_a_half_made_feature_table_is_found(whole):
    (whole / "work" / "features" / "key.part").mkdir()
    assert [line.partition(": File")[0] for line in found(whole)] == [
        "3 feature tables, wanted 2",
        "feature table key.part",
    ]
