"""Many runs' curves in few calls, and files of runs: mlflow's client has one call for each run and metric."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.store.tracking.rest_store import RestStore
from mlflow.tracking import _get_store
from mlflow.utils.rest_utils import http_request, verify_rest_response

from pipeline.tracking.outages import patiently

# What a server's own limits are (mlflow/server/handlers.py, get_metric_history_bulk_handler).
BULK_RUNS, BULK_POINTS = 100, 25_000
BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"  # as mlflow's pages ask; there is no other name for it

Curve = dict[int, float]
"""Epoch, from 1 -> value."""


class Point(NamedTuple):
    run_id: str
    step: int
    value: float


# Run ids and a metric -> points, ordered by run and then by time; at most BULK_POINTS. None: the store cannot do that.
Ask = Callable[[Sequence[str], str], list[Point] | None]


def curves(client: MlflowClient, run_ids: Iterable[str], names: Sequence[str]) -> dict[tuple[str, str], Curve]:
    """(run id, metric) -> its curve, of those that have any.

    Single values, which are step 0, are left out. Of an epoch that was written twice the later value stays. Waits for a
    store that is away, at each call, so that it goes on where it was.
    """
    found: dict[tuple[str, str], Curve] = {}
    ask, wanted = _bulk(client), sorted(set(run_ids))
    for name in names:
        for point in _points(client, ask, wanted, name):
            if point.step > 0:
                found.setdefault((point.run_id, name), {})[point.step] = point.value
    return found


def read_text(client: MlflowClient, run_id: str, path: str) -> str | None:
    """The artifact `path` of a run, as it was written; None where there is none."""
    folder = path.rpartition("/")[0]
    # Asked for first: what a missing file raises differs between disks, servers and object storage.
    if path not in (file.path for file in client.list_artifacts(run_id, folder or None)):
        return None
    with tempfile.TemporaryDirectory() as local:
        with Path(client.download_artifacts(run_id, path, local)).open(encoding="utf-8", newline="") as file:
            return file.read()


def _points(client: MlflowClient, ask: Ask, run_ids: Sequence[str], name: str) -> Iterator[Point]:
    waiting = list(run_ids)
    while waiting:
        some = waiting[:BULK_RUNS]
        points = patiently(lambda some=some: ask(some, name))
        if points is None or (len(points) >= BULK_POINTS and points[0].run_id == points[-1].run_id):
            # No such call there, or one run alone is more than it gives: this one ends with the last page.
            some = some[:1] if points else some
            points = [point for run_id in some for point in _one_by_one(client, run_id, name)]
        elif len(points) >= BULK_POINTS:
            cut = points[-1].run_id  # its rest, and the runs behind it, did not fit
            some = some[: some.index(cut)]
            points = [point for point in points if point.run_id != cut]
        yield from points
        waiting = waiting[len(some) :]


def _one_by_one(client: MlflowClient, run_id: str, name: str) -> Iterator[Point]:
    history = patiently(lambda: client.get_metric_history(run_id, name))
    for metric in sorted(history, key=lambda metric: metric.timestamp):
        yield Point(run_id, metric.step, metric.value)


def _bulk(client: MlflowClient) -> Ask:
    """How this store is asked for many runs at once."""
    store = _get_store(client.tracking_uri)

    def ask_database(run_ids: Sequence[str], name: str) -> list[Point]:
        found = store.get_metric_history_bulk(run_ids, name, BULK_POINTS)
        return [Point(point.run_id, point.metric.step, point.metric.value) for point in found]

    def ask_server(run_ids: Sequence[str], name: str) -> list[Point] | None:
        asked = {"run_id": list(run_ids), "metric_key": name, "max_results": BULK_POINTS}
        # POSITIONAL
        response = http_request(store.get_host_creds(), BULK, "GET", params=asked)
        if response.status_code in _CANNOT:
            return None
        found = verify_rest_response(response, BULK).json()["metrics"]
        return [Point(point["run_id"], point["step"], point["value"]) for point in found]

    if hasattr(store, "get_metric_history_bulk"):
        return ask_database
    return ask_server if isinstance(store, RestStore) else lambda _run_ids, _name: None
