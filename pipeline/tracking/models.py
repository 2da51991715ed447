"""Keras models in MLflow: raw pictures in, class probabilities out, with all that serving them needs."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.types import Schema, TensorSpec

from pipeline.shell.errors import UserError, first_line
from pipeline.shell.patience import masked
from pipeline.tracking import lookup
from pipeline.tracking.environment import requirements
from pipeline.tracking.inputs import PICTURES
from pipeline.tracking.outages import impatient, waiting
from pipeline.tracking.runs import KEY_TAG

if TYPE_CHECKING:
    import keras

CLASSES = "classes.json"
MODEL_FILES = {"MLmodel", "data/model.keras"}


def log(
    client: MlflowClient, run: Run, model: keras.Model, class_names: Sequence[str], calibration: Mapping[str, float]
) -> str:
    """Logs `model` (uint8 (n, h, w, 3) -> float32 (n, C) probabilities) to `run`. Returns its URI.

    Does what mlflow's Model.log does, in steps each of which can be tried again.
    """
    run_id = run.info.run_id
    logged = _create(client, run)
    model_id = logged.model_id
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/model"
            description = Model(logged.artifact_location, run_id, model_uuid=model_id, model_id=model_id)
            _save(path, description, model, {"class_names": list(class_names), **calibration})
            waiting(lambda: client.log_model_artifacts(model_id, path))
        text = json.dumps(list(class_names), ensure_ascii=False, indent=1)
        waiting(lambda: client.log_text(run_id, text, CLASSES))
        _link(client, run_id, model_id)
        waiting(lambda: client.finalize_logged_model(model_id, LoggedModelStatus.READY))
    except BaseException as error:
        try:
            with impatient():
                waiting(lambda: client.finalize_logged_model(model_id, LoggedModelStatus.FAILED))
        except (UserError, MlflowException) as outage:
            error.add_note(f"The model {model_id} could not be marked as failed: {outage}")
        raise
    return logged.model_uri


def run_of(client: MlflowClient, uri: str) -> str:
    """The id of the run that holds the model; see Reader.run_of."""
    scheme, _slash, rest = uri.partition(":/")
    name, at, alias = rest.rpartition("@")
    registered, slash, version = rest.rpartition("/")
    found: ModelVersion | LoggedModel
    try:
        if scheme == "runs":
            return lookup.get(client, rest.strip("/").partition("/")[0]).info.run_id
        if at:
            found = client.get_model_version_by_alias(name, alias)
        elif slash:
            found = client.get_model_version(registered, version)
        else:
            found = client.get_logged_model(rest)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise _no_model(uri, first_line(error)) from error
    run_id = found.source_run_id if isinstance(found, LoggedModel) else found.run_id
    if not run_id:
        raise _no_model(uri, "it is of no run")
    return run_id


def _no_model(uri: str, reason: str) -> UserError:
    return UserError(
        f"wanted a model of this MLflow store. Received: {uri} ({reason}). "
        "Try: models:/NAME@best with a name that stands under Models in `mlflow ui`"
    )


def load(client: MlflowClient, run: Run) -> keras.Model:
    """The model that `run` logged last. Raises UserError where it logged none, or where its files are gone."""
    import mlflow.keras

    outputs, of_run = _outputs(run), f"{run.info.run_id} ({run.info.run_name})"
    if not outputs:
        raise UserError(
            f"wanted a run that holds a model. Received: {of_run}, which has none. "
            "Try: take the id of a finished train or cell run from `mlflow ui`."
        )
    location = client.get_logged_model(outputs[-1]).artifact_location
    repository = get_artifact_repository(location, client.tracking_uri)
    there = {file.path for folder in (None, "data") for file in repository.list_artifacts(folder)}
    if not there >= MODEL_FILES:
        raise UserError(
            f"wanted the model of run {of_run} in {masked(location)}. Received: no {min(MODEL_FILES - there)} there. "
            "Try: bring that folder back, or train again."
        )
    return mlflow.keras.load_model(f"models:/{outputs[-1]}")


def _create(client: MlflowClient, run: Run) -> LoggedModel:
    """An empty model of the run."""
    experiment_id, run_id, key = run.info.experiment_id, run.info.run_id, uuid.uuid4().hex

    def create() -> LoggedModel:
        """A new one."""
        return client.create_logged_model(
            experiment_id,
            name="model",
            source_run_id=run_id,
            params=run.data.params,
            tags={KEY_TAG: key},
            model_type="classifier",
        )

    def find() -> LoggedModel:
        """One that an attempt whose answer was lost has made."""
        models = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
        return next((model for model in models if model.tags.get(KEY_TAG) == key), None) or create()

    return waiting(create, find)


def _save(path: str, description: Model, model: keras.Model, metadata: dict[str, Any]) -> None:
    import mlflow.keras

    mlflow.keras.save_model(
        model,
        path,
        mlflow_model=description,
        signature=_signature(len(metadata["class_names"])),
        # Written out, or mlflow imports everything in a fresh process to find them: 20 s.
        pip_requirements=requirements("mlflow", "tensorflow", "keras", "numpy"),
        metadata=metadata,
    )


def _link(client: MlflowClient, run_id: str, model_id: str) -> None:
    """Shows the model beside its run, and the run's single values beside the model."""

    def link() -> None:
        """The second time it changes nothing."""
        run = client.get_run(run_id)
        if model_id not in _outputs(run):
            client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
        history = (point for name in run.data.metrics for point in client.get_metric_history(run_id, name))
        singles = (point for point in history if point.step == 0)
        client.log_batch(
            run_id, [Metric(p.key, p.value, p.timestamp, p.step, model_id=model_id, run_id=run_id) for p in singles]
        )

    waiting(link)


def _outputs(run: Run) -> list[str]:
    """The ids of the models that the run logged."""
    return [output.model_id for output in run.outputs.model_outputs] if run.outputs else []


def _signature(class_count: int) -> ModelSignature:
    return ModelSignature(
        inputs=Schema([PICTURES]), outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, class_count))])
    )
