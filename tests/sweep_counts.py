"""What Optuna's and MLflow's databases say of a sweep at its end, held against each other in plain SQL."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy

# What MLflow must say of a trial. A failed one is FAILED where its loss was not finite, KILLED where its process died.
STATUS = {"COMPLETE": ("FINISHED",), "PRUNED": ("KILLED",), "FAIL": ("FAILED", "KILLED"), "RUNNING": ()}
VALUE = {"COMPLETE": "best_val_top1", "PRUNED": "val_top1"}  # the metric whose last value is Optuna's
CURVES = ("train_loss", "train_top1", "val_loss", "val_top1", "learning_rate")
ENDED = ("FINISHED", "FAILED", "KILLED")


@dataclass(frozen=True)
class Trial:
    """As Optuna's database has it; `key` is the study's name, # and the number."""

    key: str
    state: str
    value: float | None
    params: dict[str, float]

    @property
    def study(self) -> str:
        return self.key.rpartition("#")[0]


@dataclass(frozen=True)
class Run:
    """As MLflow's database has it; `metrics` holds each metric's last value, `points` how many values it got."""

    run_id: str
    name: str
    status: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    points: dict[str, int]
    steps: dict[str, int]  # the last step of each metric

    @property
    def kind(self) -> str:
        return self.tags.get("alpharho.kind", "")

    @property
    def key(self) -> str:
        """Without what tells the study from one of the same name in another database."""
        return re.sub(r"@[0-9a-f]{8}#", "#", self.tags.get("alpharho.key", ""))


def check(optuna_url: str, mlflow_url: str, work_dir: Path, cells: int, trials: int) -> list[str]:
    """What is wrong at the end of a sweep of so many cells and trials a cell, a line each; both URLs are SQLAlchemy's.

    Runs in MLflow's waste basket do not count.
    """
    drawn, runs = read_trials(optuna_url), read_runs(mlflow_url)
    return [
        *check_totals(drawn, cells, trials),
        *check_trial_runs(drawn, [run for run in runs if run.kind == "trial"], cell_runs(runs)),
        *check_other_runs(runs, sorted({trial.study for trial in drawn})),
        *check_tables(work_dir, 2 * cells),  # train and test
    ]


def read_trials(url: str) -> list[Trial]:
    drawn, values, params = _query(
        url,
        "SELECT t.trial_id, s.study_name, t.number, t.state FROM trials t JOIN studies s ON s.study_id = t.study_id",
        "SELECT trial_id, value FROM trial_values",
        "SELECT trial_id, param_name, param_value FROM trial_params",
    )
    value_of, params_of = dict(values), _nested(params)
    return [
        Trial(f"{study}#{number}", state, value_of.get(trial_id), params_of.get(trial_id, {}))
        for trial_id, study, number, state in drawn
    ]


def read_runs(url: str) -> list[Run]:
    runs, tags, params, metrics, points, steps = _query(
        url,
        "SELECT run_uuid, name, status FROM runs WHERE lifecycle_stage = 'active'",
        "SELECT run_uuid, key, value FROM tags",
        "SELECT run_uuid, key, value FROM params",
        "SELECT run_uuid, key, value FROM latest_metrics",
        "SELECT run_uuid, key, COUNT(*) FROM metrics GROUP BY run_uuid, key",
        "SELECT run_uuid, key, MAX(step) FROM metrics GROUP BY run_uuid, key",
    )
    about = [_nested(rows) for rows in (tags, params, metrics, points, steps)]
    return [Run(run_id, name, status, *(part.get(run_id, {}) for part in about)) for run_id, name, status in runs]


def cell_runs(runs: Iterable[Run]) -> dict[str, Run]:
    """By the name of the study, which is the run's."""
    return {run.name: run for run in runs if run.kind == "cell"}


def check_totals(drawn: Sequence[Trial], cells: int, trials: int) -> Iterator[str]:
    """Exactly `trials` finished ones in each study, and none at work."""
    states = {study: Counter(t.state for t in drawn if t.study == study) for study in sorted({t.study for t in drawn})}
    if len(states) != cells:
        yield f"{len(states)} studies with trials, wanted {cells}"
    for study, count in states.items():
        if count["COMPLETE"] + count["PRUNED"] != trials:
            yield f"{study}: wanted {trials} trials COMPLETE or PRUNED, there are {dict(count)}"
    for trial in drawn:
        if trial.state == "RUNNING":
            yield f"{trial.key}: RUNNING in Optuna"
    yield from (f"{key}: {n} trials in Optuna" for key, n in Counter(trial.key for trial in drawn).items() if n > 1)


def check_trial_runs(drawn: Sequence[Trial], runs: Sequence[Run], cells: Mapping[str, Run]) -> Iterator[str]:
    """One run for each trial that began, and the same in both databases."""
    there = {trial.key: trial for trial in drawn if trial.state != "WAITING"}
    found = Counter(run.key for run in runs)
    yield from (f"{key}: no MLflow run" for key in there if not found[key])
    yield from (f"{key}: {number} MLflow runs" for key, number in found.items() if number > 1)
    for run in runs:
        if run.key not in there:
            yield f"MLflow run {run.name}: no trial {run.key!r} in Optuna"
            continue
        yield from (f"{run.key}: {what}" for what in differences(there[run.key], run))
        cell = cells.get(there[run.key].study)
        if cell and run.tags.get("mlflow.parentRunId") != cell.run_id:
            yield f"{run.key}: not below the run of its cell"


def differences(trial: Trial, run: Run) -> Iterator[str]:
    """Between what Optuna and MLflow have of one trial."""
    if run.tags.get("optuna.state") != trial.state:
        yield f"{trial.state} in Optuna, tagged {run.tags.get('optuna.state')} in MLflow"
    if run.status not in STATUS[trial.state]:
        yield f"{trial.state} in Optuna, {run.status} in MLflow"
    for name, wanted in hyperparameters(trial).items():
        spelled = run.params.get(name)
        if spelled is None or not math.isclose(float(spelled), wanted, rel_tol=1e-12):
            yield f"{name} {wanted} in Optuna, {spelled} in MLflow"
    if trial.state in VALUE:
        value = run.metrics.get(VALUE[trial.state])
        if trial.value is None or value is None or not math.isclose(value, trial.value, rel_tol=1e-12):
            yield f"value {trial.value} in Optuna, {VALUE[trial.state]} {value} in MLflow"
    for name in CURVES:
        if run.points.get(name, 0) != run.steps.get(name, 0):  # the first epoch's step is 1
            yield f"{name} has {run.points[name]} points up to epoch {run.steps[name]}"


def hyperparameters(trial: Trial) -> dict[str, float]:
    """As the trial's run calls them; a trial whose process died before it drew has none."""
    names = {"learning_rate": "learning_rate", "one_minus_beta_1": "beta_1", "one_minus_beta_2": "beta_2"}
    drawn = {names[name]: value for name, value in trial.params.items()}
    return {name: 1 - value if name.startswith("beta") else value for name, value in drawn.items()}


def check_other_runs(runs: Sequence[Run], studies: Sequence[str]) -> Iterator[str]:
    """Every cell tested once, one finished sweep, nothing at work, no run but the trials' twice."""
    for run in runs:
        if run.status not in ENDED:
            yield f"MLflow run {run.name} ({run.kind}): {run.status}"
    cells = cell_runs(runs)
    for study in studies:
        if study not in cells:
            yield f"{study}: no run of the cell"
        elif cells[study].status != "FINISHED" or cells[study].points.get("test_top1", 0) != 1:
            yield f"{study}: {cells[study].status}, tested {cells[study].points.get('test_top1', 0)} times"
    if [run.status for run in runs if run.kind == "sweep"] != ["FINISHED"]:
        yield f"wanted one sweep run, FINISHED, there are {[run.status for run in runs if run.kind == 'sweep']}"
    named = Counter(
        (run.kind, run.name, run.params.get("dataset")) for run in runs if run.kind in ("cell", "published")
    )
    yield from (f"{kind} run {name}: {number} times" for (kind, name, _), number in named.items() if number > 1)


def check_tables(work_dir: Path, count: int) -> Iterator[str]:
    """So many whole feature tables, and nothing half-made beside them."""
    folders = [path for path in sorted((work_dir / "features").glob("*")) if path.is_dir()]
    if len(folders) != count:
        yield f"{len(folders)} feature tables, wanted {count}"
    for folder in folders:
        try:
            wanted = json.loads((folder / "table.json").read_text())["sha256"]
            if hashlib.sha256((folder / "features.npy").read_bytes()).hexdigest() != wanted:
                yield f"feature table {folder.name}: its hash does not match"
        except (OSError, ValueError, KeyError) as error:
            yield f"feature table {folder.name}: {error!r}"


def _query(url: str, *statements: str) -> list[list[tuple]]:
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        answers = [[tuple(row) for row in connection.execute(sqlalchemy.text(text))] for text in statements]
    engine.dispose()
    return answers


def _nested(rows: Iterable[tuple]) -> dict[Any, dict[str, Any]]:
    """(id, name, value) -> {id: {name: value}}"""
    nested: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
    for identity, name, value in rows:
        nested[identity][name] = value
    return dict(nested)
