"""Keras models in MLflow: raw pictures in, class probabilities out, with all that serving them needs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Run
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from pipeline.errors import UserError
from pipeline.tracking.environment import requirements
from pipeline.tracking.inputs import PICTURES

if TYPE_CHECKING:
    import keras

CLASSES = "classes.json"


def log(client: MlflowClient, run: Run, model: keras.Model, class_names: Sequence[str]) -> str:
    """Logs `model` (uint8 (n, h, w, 3) -> float32 (n, C) probabilities) to `run`. Returns its URI."""
    import mlflow.keras

    # Made here because Model.log would put it into the active experiment, which is none of ours.
    logged = client.create_logged_model(
        run.info.experiment_id,
        name="model",
        source_run_id=run.info.run_id,
        params=run.data.params,
        model_type="classifier",
    )
    try:
        Model.log(
            artifact_path=None,
            flavor=mlflow.keras,
            model_id=logged.model_id,
            run_id=run.info.run_id,
            model=model,
            signature=_signature(len(class_names)),
            # Written out, or mlflow imports everything in a fresh process to find them: 20 s.
            pip_requirements=requirements("mlflow", "tensorflow", "keras", "numpy"),
            metadata={"class_names": list(class_names)},
        )
    except BaseException:
        client.finalize_logged_model(logged.model_id, LoggedModelStatus.FAILED)
        raise
    client.log_text(run.info.run_id, json.dumps(list(class_names), ensure_ascii=False, indent=1), CLASSES)
    return logged.model_uri


def register(client: MlflowClient, run_id: str, model_uri: str, name: str, alias: str) -> None:
    """Makes a logged model the newest version of `name`, and lets `alias` point at it: models:/name@alias."""
    name = re.sub(r"[/:]+", "-", name).strip("-")  # which mlflow forbids, and folder:PATH contains
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    model_id = model_uri.rpartition("/")[2]
    version = client.create_model_version(name, source=model_uri, run_id=run_id, model_id=model_id)
    client.set_registered_model_alias(name, alias, version.version)


def load(run: Run) -> keras.Model:
    """The model that `run` logged last. Raises UserError where it logged none."""
    import mlflow.keras

    outputs = run.outputs.model_outputs if run.outputs else []
    if not outputs:
        raise UserError(
            f"wanted a run that holds a model. Received: {run.info.run_id} ({run.info.run_name}), which has none. "
            "Way out: take the id of a finished train or cell run from `mlflow ui`."
        )
    return mlflow.keras.load_model(f"models:/{outputs[-1].model_id}")


def _signature(class_count: int) -> ModelSignature:
    return ModelSignature(
        inputs=Schema([PICTURES]), outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, class_count))])
    )
