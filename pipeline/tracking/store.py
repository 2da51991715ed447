"""Opens the MLflow store: makes it once, checks it, and says in one line what is wrong with it."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import urllib.parse
from pathlib import Path

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.store.db.db_types import DATABASE_ENGINES

from pipeline.shell.errors import UserError
from pipeline.shell.patience import masked
from pipeline.tracking.outages import explained, impatient, one_line

DEFAULT_URI = "sqlite:///mlflow.db"
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
    with explained(), lock(uri):
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
            raise UserError(
                f"wanted an MLflow store at {masked(uri)} (MLFLOW_TRACKING_URI). Received: {one_line(error)}. "
                f"Try: start one with `mlflow server`, or unset MLFLOW_TRACKING_URI to use {DEFAULT_URI}."
            ) from error


def lock(uri: str) -> FileLock:
    """Held by one process of this machine at a time for each store: a sqlite file's lock lies beside it."""
    path = _sqlite_path(uri)
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
    return "sqlite:///" + str(path).replace("%", "%25")


def _experiment(client: MlflowClient, uri: str, name: str, in_project: bool, make: bool) -> Experiment:
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id and in_project:
        experiment = _experiment_of(client, uri, run_id)
    else:
        known = client.get_experiment_by_name(name)
        if known is None and not make:
            raise UserError(
                f"wanted the experiment {name!r} in {masked(uri)}. Received: none of that name. "
                "Try: see the names in `mlflow ui`, and choose with --experiment."
            )
        experiment = known or _create_experiment(client, uri, name)
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
    return experiment


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
