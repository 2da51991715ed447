"""Opens the MLflow store: makes it once, checks it, and says in one line what is wrong with it."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import urllib.parse
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import get_uri_scheme

from pipeline.config import DataConfig
from pipeline.shell.errors import UserError
from pipeline.shell.patience import masked
from pipeline.tracking.outages import advice, explained, impatient, is_refused, one_line

DEFAULT_URI = "sqlite:///mlflow.db"
BY_NAME, BY_ID = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"
ARTIFACTS = "mlartifacts"  # the folder that `mlflow server` uses too


def open_store(experiment: str, in_project: bool = True, make: bool = True) -> tuple[MlflowClient, str]:
    """See `connect`. Returns the client and the experiment's id."""
    uri = _absolute(os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI)
    _quieten()
    path = _sqlite_path(uri)
    if path and not make and not path.exists():
        raise UserError(
            f"wanted an MLflow store at {path}. Received: no such file. "
            "Try: go where the sweep ran, or set MLFLOW_TRACKING_URI to the store that holds it."
        )
    with explained(), _lock(uri):
        if _scheme(uri) in DATABASE_ENGINES:
            from pipeline.tracking import database  # its imports take a second, which a server's clients need not spend

            database.prepare(uri, path)
        # Explicit, because mlflow would choose a stray ./mlruns over ./mlflow.db; children inherit it.
        mlflow.set_tracking_uri(uri)
        try:
            with impatient():
                client = MlflowClient()
                return client, _experiment(client, uri, experiment, in_project, make).experiment_id
        except MlflowException as error:
            hint = f"start one with `mlflow server`, or unset MLFLOW_TRACKING_URI to use {DEFAULT_URI}"
            raise UserError(
                f"wanted an MLflow store at {masked(uri)} (MLFLOW_TRACKING_URI). Received: {one_line(error)}. "
                f"Try: {advice(error) if is_refused(error) else hint}."
            ) from error


def _lock(uri: str) -> AbstractContextManager[object]:
    """Held by one process of this machine while a database is made; a sqlite file's lock lies beside it."""
    path = _sqlite_path(uri)
    if _scheme(uri) not in DATABASE_ENGINES:
        return nullcontext()
    if path is None:
        digest = hashlib.sha256(uri.encode()).hexdigest()[:16]
        return FileLock(Path(tempfile.gettempdir()) / f"alpharho-{digest}.lock", mode=0o666)
    return FileLock(path.with_name(f"{path.name}.lock"))


def _quieten() -> None:
    """Keeps mlflow's news off the terminal; MLFLOW_LOGGING_LEVEL brings it back."""
    if not os.environ.get("MLFLOW_LOGGING_LEVEL"):
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        # It prints the traceback of database errors that it raises as well.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL + 1)
        # Without git a run carries no commit, and that is all.
        logging.getLogger("mlflow.utils.git_utils").setLevel(logging.ERROR)


def _scheme(uri: str) -> str:
    """ "postgresql" of postgresql+psycopg://..."""
    return uri.partition(":")[0].partition("+")[0]


def _sqlite_path(uri: str) -> Path | None:
    if _scheme(uri) != "sqlite":
        return None
    import sqlalchemy

    database = sqlalchemy.make_url(uri).database
    return Path(database).absolute() if database else None


def _absolute(uri: str) -> str:
    """A sqlite URI that means the same file wherever the program, or a child of it, goes; others unchanged."""
    path = _sqlite_path(uri)
    return uri if path is None or "?" in uri else sqlite_uri(path)


def sqlite_uri(path: Path) -> str:
    """Of a file."""
    return "sqlite:///" + str(path).replace("%", "%25")


def _experiment(client: MlflowClient, uri: str, name: str, in_project: bool, make: bool) -> Experiment:
    run_id = os.environ.get("MLFLOW_RUN_ID")
    asked = name == DataConfig.experiment and not run_id  # by MLflow's own variables, not by a flag
    if run_id and in_project:
        experiment = _experiment_of(client, uri, run_id)
    elif asked and not os.environ.get(BY_NAME) and os.environ.get(BY_ID):
        experiment = _experiment_with_id(client, uri, os.environ[BY_ID])
    else:
        experiment = _experiment_called(client, uri, (os.environ.get(BY_NAME) if asked else "") or name, make)
    _check_usable(experiment, uri)
    return experiment


def _check_usable(experiment: Experiment, uri: str) -> None:
    if experiment.lifecycle_stage == LifecycleStage.DELETED:
        raise UserError(
            f"wanted an experiment that is in use. Received: {experiment.name!r}, which was deleted. Try: "
            f"`mlflow experiments restore --experiment-id {experiment.experiment_id}`, or another --experiment."
        )
    if experiment.artifact_location.startswith("mlflow-artifacts:") and _scheme(uri) in DATABASE_ENGINES:
        raise UserError(
            f"wanted an experiment whose files can be reached through {masked(uri)}. Received: {experiment.name!r}, "
            "made by an MLflow server, which alone can reach them. Try: set MLFLOW_TRACKING_URI to that server, or "
            "take another experiment (`--experiment NAME`; with mlflow run, `--experiment-name NAME`)."
        )
    if path := _sqlite_path(uri):
        _check_not_moved(experiment, path)


def _check_not_moved(experiment: Experiment, database: Path) -> None:
    """MLflow keeps the artifacts' folder as a full path: where the project was moved, it would write at the old one."""
    location = experiment.artifact_location
    if get_uri_scheme(location) not in ("", "file"):
        return
    root = Path(local_file_uri_to_path(location)).parent
    if root.name not in (ARTIFACTS, "mlruns") or root.parent == database.parent:
        return  # a folder that a person chose, or the one beside the database
    if root.parent.exists() and root.parent.samefile(database.parent):
        return
    raise UserError(
        f"wanted the files of experiment {experiment.name!r} beside {database}. Received: {root}, where that database "
        f"was made. Try: bring the project back to {root.parent}, or set MLFLOW_TRACKING_URI to another store, such as "
        "sqlite:///new.db."
    )


def _experiment_called(client: MlflowClient, uri: str, name: str, make: bool) -> Experiment:
    known = client.get_experiment_by_name(name)
    if known is None and not make:
        raise UserError(
            f"wanted the experiment {name!r} in {masked(uri)}. Received: none of that name. "
            "Try: see the names in `mlflow ui`, and choose with --experiment."
        )
    return known or _create_experiment(client, uri, name)


def _experiment_with_id(client: MlflowClient, uri: str, experiment_id: str) -> Experiment:
    try:
        return client.get_experiment(experiment_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise UserError(
            f"wanted the experiment that {BY_ID} names in {masked(uri)}. Received: {experiment_id}, which is not "
            f"there. Try: unset {BY_ID}, or choose with --experiment."
        ) from error


def _experiment_of(client: MlflowClient, uri: str, run_id: str) -> Experiment:
    try:
        return client.get_experiment(client.get_run(run_id).info.experiment_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise UserError(
            f"wanted the run that MLFLOW_RUN_ID names in {masked(uri)}. Received: {run_id}, which is not there. "
            "Try: unset MLFLOW_RUN_ID, or set MLFLOW_TRACKING_URI to the store that holds it."
        ) from error


def _create_experiment(client: MlflowClient, uri: str, name: str) -> Experiment:
    location = None
    if _scheme(uri) in DATABASE_ENGINES:
        root = (_sqlite_path(uri) or Path("mlflow.db").absolute()).parent / ARTIFACTS
        location = f"{root.as_uri()}/{urllib.parse.quote(name, safe='')}"
    try:
        client.create_experiment(name, artifact_location=location)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another machine was first
            raise
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        raise MlflowException(f"the experiment {name!r} was made and is not there")
    return experiment
