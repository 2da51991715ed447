"""An MLflow server, asked for what mlflow's client has no call for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from mlflow import MlflowClient
from mlflow.store.tracking.rest_store import RestStore
from mlflow.tracking import _get_store
from mlflow.utils.rest_utils import http_request


def store_of(client: MlflowClient) -> Any:
    """What the client itself asks: a RestStore where that is a server, or a database's store."""
    return _get_store(client.tracking_uri)


def is_server(client: MlflowClient) -> bool:
    """Whether the client goes through a server."""
    return isinstance(store_of(client), RestStore)


def ask(client: MlflowClient, path: str, params: Mapping[str, object]) -> requests.Response:
    """A GET with the client's own password and certificates."""
    return http_request(store_of(client).get_host_creds(), path, "GET", params=dict(params))
