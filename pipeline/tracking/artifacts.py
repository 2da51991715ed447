"""Files of runs: read, written; and whether the artifact folder of an experiment takes them and gives them back."""

from __future__ import annotations

import contextlib
import io
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.rest_utils import verify_rest_response
from mlflow.utils.uri import append_to_uri_path, get_uri_scheme

from pipeline.shell.errors import UserError, is_temporary
from pipeline.shell.patience import masked
from pipeline.tracking import lookup, server, trials
from pipeline.tracking.outages import explained, impatient, one_line, waiting
from pipeline.tracking.runs import KEY_TAG

LIST = "/api/2.0/mlflow/artifacts/list"
CHECK_KEY = "artifact check"  # of the one run, in the trash, that asks a server


def read_text(client: MlflowClient, run_id: str, path: str) -> str | None:
    """The artifact `path` of a run, as it was written; None where there is none."""
    found = _read(client, run_id, path)
    return None if found is None else found.decode()


def read_frame(client: MlflowClient, run_id: str, path: str) -> pd.DataFrame | None:
    """The artifact `path`, a Parquet file; None where there is none. Raises UserError where it is none."""
    found = _read(client, run_id, path)
    try:
        return None if found is None else pd.read_parquet(io.BytesIO(found))
    except (ValueError, OSError) as error:  # pyarrow's are of these
        raise UserError(
            f"wanted {path} of the run {run_id} as alpharho writes it. Received: {one_line(error)}. "
            "Try: delete that artifact; the page is then made without it"
        ) from error


def write_frame(client: MlflowClient, run_id: str, frame: pd.DataFrame, path: str) -> None:
    """Writes the artifact `path`, a Parquet file."""
    with tempfile.TemporaryDirectory() as local:
        file = Path(local, path)
        frame.to_parquet(file, index=False)
        client.log_artifact(run_id, str(file))


def _read(client: MlflowClient, run_id: str, path: str) -> bytes | None:
    folder = path.rpartition("/")[0]
    # Asked for first: what a missing file raises differs between disks, servers and object storage.
    if path not in (file.path for file in client.list_artifacts(run_id, folder or None) if not file.is_dir):
        return None
    with tempfile.TemporaryDirectory() as local:
        return Path(client.download_artifacts(run_id, path, local)).read_bytes()


def check(client: MlflowClient, experiment_id: str) -> None:
    """Writes a small file there, reads it again and removes it.

    Raises UserError where that fails, or where a server does not see the file: without --serve-artifacts MLflow's
    client writes to the server's path itself, on whatever disk this machine has there.
    """
    location = waiting(lambda: client.get_experiment(experiment_id)).artifact_location
    name = f"check-{uuid.uuid4().hex}"
    try:
        with impatient(), explained():
            if get_uri_scheme(location) in ("", "file") and server.is_server(client):
                run_id = _run_in_trash(client, experiment_id)
                folder = append_to_uri_path(client.get_run(run_id).info.artifact_uri, name)
                _write_and_read(client, folder, lambda: _server_sees(client, run_id, name))
            else:
                _write_and_read(client, append_to_uri_path(location, name))
    except Exception as error:  # every kind of storage raises its own
        cause = error.__cause__ or error
        if isinstance(cause, OSError) and is_temporary(cause):
            raise
        raise UserError(
            f"wanted the artifact folder {masked(location)} to take a small file and to give it back. "
            f"Received: {one_line(cause)}. Try: let this machine, and every other that writes or reads runs, reach "
            "that folder and write there; or start the server with `mlflow server --serve-artifacts`, through which "
            "files go then, and choose another --experiment."
        ) from error


def _write_and_read(client: MlflowClient, folder: str, is_seen: Callable[[], bool] = lambda: True) -> None:
    """Raises OSError where the file that comes back is another one, or where `is_seen`, called meanwhile, is false."""
    repository = get_artifact_repository(folder, client.tracking_uri)
    with tempfile.TemporaryDirectory() as local:
        file = Path(local, "check.txt")
        file.write_text(folder)
        try:
            repository.log_artifact(str(file))
            file.unlink()
            if Path(repository.download_artifacts(file.name, local)).read_text() != folder:
                raise OSError("another file than was written")
            if not is_seen():
                raise OSError("the server has another disk there than this machine")
        finally:
            with contextlib.suppress(Exception):  # an account that may write and not delete leaves a few bytes
                repository.delete_artifacts()


def _run_in_trash(client: MlflowClient, experiment_id: str) -> str:
    """The id of a run whose files a server may be asked for: it tells of runs' files alone."""
    for run in lookup.search(client, [experiment_id], f"tags.`{KEY_TAG}` = '{CHECK_KEY}'", deleted=True):
        return run.run_id
    run_id = trials.create(client, experiment_id, CHECK_KEY, {KEY_TAG: CHECK_KEY})
    client.delete_run(run_id)
    return run_id


def _server_sees(client: MlflowClient, run_id: str, path: str) -> bool:
    response = server.ask(client, LIST, {"run_id": run_id, "path": path})
    return bool(verify_rest_response(response, LIST).json().get("files"))
