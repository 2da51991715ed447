"""Runs as they are found again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.shell.errors import UserError
from pipeline.shell.patience import masked
from pipeline.tracking.runs import KEY_TAG, DataRecord, RunRecord

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # how mlflow says that it knows no such run
PAGE = 1000  # runs; mlflow itself stops after so many


def get(client: MlflowClient, run_id: str) -> Run:
    """Raises UserError where there is no such run."""
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise
        raise UserError(
            f"wanted the id of a run in {masked(client.tracking_uri)}. Received: {run_id!r}, which is not there. "
            "Try: copy it from `mlflow ui`, or set MLFLOW_TRACKING_URI to the store that holds it."
        ) from error


def is_there(client: MlflowClient, run_id: str, experiment_id: str) -> bool:
    """Whether the experiment has this run, outside the trash."""
    try:
        info = client.get_run(run_id).info
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return False
        raise
    return info.experiment_id == experiment_id and info.lifecycle_stage == "active"


def experiments(client: MlflowClient) -> list[str]:
    """The ids of all experiments, outside the trash."""
    found: list[str] = []
    token: str | None = None
    while True:
        page = client.search_experiments(max_results=PAGE, page_token=token)
        found += [experiment.experiment_id for experiment in page]
        token = page.token
        if not token:
            return found


def search(
    client: MlflowClient, experiment_ids: Sequence[str], filter_string: str, deleted: bool
) -> Iterator[RunRecord]:
    """All runs that match, newest first; `deleted` adds those in the trash."""
    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    token: str | None = None
    while True:
        page = client.search_runs(list(experiment_ids), filter_string, view, PAGE, page_token=token)
        yield from map(_record, page)
        token = page.token
        if not token:
            return


def those(client: MlflowClient, experiment_id: str, run_ids: Iterable[str]) -> Iterator[RunRecord]:
    """The runs with these ids, newest first; leaves out what is not there or lies in the trash."""
    wanted = ", ".join(f"'{run_id}'" for run_id in run_ids)
    return search(client, [experiment_id], f"attributes.run_id IN ({wanted})", deleted=False) if wanted else iter(())


def children(client: MlflowClient, experiment_id: str, parent: str) -> Iterator[RunRecord]:
    """The runs right below another, newest first."""
    return search(client, [experiment_id], f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'", deleted=False)


def with_key(client: MlflowClient, experiment_id: str, key: str) -> list[str]:
    """The ids of the runs that carry this key, in ascending order: at most one, unless a call came through twice."""
    # mlflow's filters know no escape for a quote; LIKE has a letter that stands for any, and an escape of its own.
    pattern = key.replace("'", "_").replace("\\", "_")
    found = search(client, [experiment_id], f"tags.`{KEY_TAG}` LIKE '{pattern}'", deleted=False)
    return sorted(run.run_id for run in found if run.key == key)


def delete(client: MlflowClient, run_id: str) -> None:
    """Into the trash; what lies there already, or never was, stays so."""
    try:
        client.delete_run(run_id)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise


def delete_tag(client: MlflowClient, run_id: str, name: str) -> None:
    """Whether it is there or not."""
    try:
        client.delete_tag(run_id, name)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise


def _record(run: Run) -> RunRecord:
    info = run.info
    running = info.status == "RUNNING" or not info.end_time  # a resumed run still has its old end
    return RunRecord(
        run_id=info.run_id,
        name=info.run_name,
        status=info.status,
        parent=run.data.tags.get(MLFLOW_PARENT_RUN_ID, ""),
        started=datetime.fromtimestamp(info.start_time / 1000, UTC),
        seconds=math.nan if running else (info.end_time - info.start_time) / 1000,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=dict(run.data.tags),
        data=tuple(map(_data_record, run.inputs.dataset_inputs if run.inputs else ())),
    )


def _data_record(given: DatasetInput) -> DataRecord:
    dataset = given.dataset
    return DataRecord(dataset.name, dataset.digest, json.loads(dataset.profile or "{}"))
