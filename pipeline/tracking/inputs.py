"""A data set as MLflow shows it: its name, digest, source, shape and counts, without its pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from mlflow.data.schema import TensorDatasetSchema
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from mlflow.utils.validation import MAX_DATASET_DIGEST_SIZE

PICTURES = TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3))  # (n, h, w, 3), any sizes
LABELS = TensorSpec(np.dtype(np.int64), (-1,))
SCHEMA = TensorDatasetSchema(features=Schema([PICTURES]), targets=Schema([LABELS]))


def dataset_input(name: str, source: str, digest: str, context: str, profile: Mapping[str, object]) -> DatasetInput:
    """An input of a run.

    Args:
        source: an http(s) address or a local folder.
        digest: of the data; cut to the 36 characters that MLflow keeps.
        context: the role that the UI shows beside it: training, testing, ...
        profile: what is worth knowing, such as counts per split; anything that JSON can hold.
    """
    remote = source.startswith(("http://", "https://"))
    dataset = Dataset(
        name=name,
        digest=digest[:MAX_DATASET_DIGEST_SIZE],
        source_type="http" if remote else "local",
        source=json.dumps({"url" if remote else "uri": source}),
        schema=json.dumps(SCHEMA.to_dict()),
        profile=json.dumps(dict(profile)),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])
