"""What Optuna's and MLflow's databases say of a sweep at its end: to be compared, and held against each other."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import optuna
import sqlalchemy

# What MLflow must say of a trial, and the metric whose last value is Optuna's.
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
VALUE = {"COMPLETE": "best_val_top1", "PRUNED": "val_top1"}
# What differs between two runs of the same sweep.
TIMES = ("seconds", "pictures_per_second")


@dataclass(frozen=True)
class Trial:
    """All that must be the same, to the last digit, however the search went."""

    state: str
    params: dict[str, float]
    value: float | None
    reported: dict[int, float]
    curves: dict[str, list[float]]
    best_epoch: int


@dataclass
class Run:
    """As MLflow has it; `points` are all values that a metric got, by step."""

    status: str
    parent: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    points: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    @property
    def key(self) -> str:
        """Without what tells the study from one of the same name in another database."""
        return re.sub(r"@[0-9a-f]{8}", "", self.tags.get("alpharho.key", ""))


def read_trials(url: str) -> dict[str, dict[int, Trial]]:
    """Study -> index -> trial. Raises AssertionError where an index comes twice, or a trial has none or no end."""
    found: dict[str, dict[int, Trial]] = {}
    storage = optuna.storages.RDBStorage(url)
    for name in optuna.get_all_study_names(storage):
        found[name] = {}
        for trial in optuna.load_study(study_name=name, storage=storage).get_trials():
            assert trial.state.is_finished(), f"{name}: trial {trial.number} is {trial.state.name}"
            index, fit = trial.user_attrs["index"], trial.user_attrs["fit"]
            assert index not in found[name], f"{name}: index {index} twice"
            curves, best = fit["curves"], fit["best_epoch"]
            found[name][index] = Trial(
                trial.state.name, trial.params, trial.value, trial.intermediate_values, curves, best
            )
    storage.engine.dispose()
    return found


def read_runs(url: str) -> dict[str, Run]:
    """Run id -> run, of those outside the trash; by plain SQL."""
    engine = sqlalchemy.create_engine(url)
    found: dict[str, Run] = {}
    with engine.connect() as connection:

        def ask(text: str) -> Iterator[Any]:
            return iter(connection.execute(sqlalchemy.text(text)))

        for run_id, status in ask("SELECT run_uuid, status FROM runs WHERE lifecycle_stage = 'active'"):
            found[run_id] = Run(status)
        for run_id, name, value in ask("SELECT run_uuid, key, value FROM tags"):
            if run_id in found:
                found[run_id].tags[name] = value
        for run_id, name, value in ask("SELECT run_uuid, key, value FROM latest_metrics"):
            if run_id in found:
                found[run_id].metrics[name] = value
        for run_id, name, step in ask("SELECT run_uuid, key, step FROM metrics ORDER BY step"):
            if run_id in found:
                found[run_id].points[name].append(step)
    engine.dispose()
    for run in found.values():
        run.parent = run.tags.get("mlflow.parentRunId", "")
    return found


def answers(url: str) -> dict[str, dict[str, float]]:
    """Cell's key -> what its test and its winner came to, without times."""
    cells = [run for run in read_runs(url).values() if run.tags.get("alpharho.kind") == "cell"]
    return {run.key: {name: value for name, value in run.metrics.items() if name not in TIMES} for run in cells}


def faults(optuna_url: str, mlflow_url: str, cells: int, total: int) -> list[str]:
    """What is wrong at the end of a sweep of so many cells and trials a cell, a line each."""
    trials, runs = read_trials(optuna_url), read_runs(mlflow_url)
    return [*_of_trials(trials, cells, total), *_of_trial_runs(trials, runs), *_of_other_runs(runs, cells)]


def _of_trials(trials: dict[str, dict[int, Trial]], cells: int, total: int) -> Iterator[str]:
    if len(trials) != cells:
        yield f"{len(trials)} studies, wanted {cells}"
    for name, found in trials.items():
        done = sum(trial.state in VALUE for trial in found.values())
        if done != total:
            yield f"{name}: {done} trials done, wanted {total}"
        if sorted(found) != list(range(len(found))):
            yield f"{name}: holes between the indices {sorted(found)}"


def _of_trial_runs(trials: dict[str, dict[int, Trial]], runs: dict[str, Run]) -> Iterator[str]:
    wanted = {f"{name}#{index}": trial for name, found in trials.items() for index, trial in found.items()}
    there = [run for run in runs.values() if run.tags.get("alpharho.kind") == "trial"]
    counted = Counter(run.key for run in there)
    yield from (f"{key}: {counted[key]} runs in MLflow" for key in wanted if counted[key] != 1)
    for run in there:
        trial = wanted.get(run.key)
        if trial is None:
            yield f"{run.key}: a run in MLflow and no trial"
            continue
        if (run.status, run.tags.get("optuna.state")) != (STATUS[trial.state], trial.state):
            yield f"{run.key}: {trial.state} in Optuna, {run.status} in MLflow"
        if f"{runs[run.parent].key if run.parent in runs else ''}#" != f"{run.key.partition('#')[0]} cell#":
            yield f"{run.key}: not below the run of its cell"
        value = run.metrics.get(VALUE.get(trial.state, ""), math.nan)
        if trial.value is not None and not math.isclose(value, trial.value, rel_tol=1e-12):
            yield f"{run.key}: value {trial.value} in Optuna, {value} in MLflow"
        for name, curve in trial.curves.items():
            if run.points[name] != list(range(1, len(curve) + 1)):
                yield f"{run.key}: {name} has the steps {run.points[name]}, wanted {len(curve)}"


def _of_other_runs(runs: dict[str, Run], cells: int) -> Iterator[str]:
    """Every cell tested once, one finished sweep, nothing at work."""
    yield from (f"{run.key}: still {run.status}" for run in runs.values() if run.status not in STATUS.values())
    of_cells = [run for run in runs.values() if run.tags.get("alpharho.kind") == "cell"]
    if [run.status for run in of_cells] != ["FINISHED"] * cells:
        yield f"cells: {[run.status for run in of_cells]}, wanted {cells} FINISHED"
    yield from (
        f"{run.key}: tested {len(run.points['test_top1'])} times"
        for run in of_cells
        if len(run.points["test_top1"]) != 1
    )
    sweeps = [run.status for run in runs.values() if run.tags.get("alpharho.kind") == "sweep"]
    if sweeps != ["FINISHED"]:
        yield f"sweeps: {sweeps}, wanted one, FINISHED"
