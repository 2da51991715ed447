"""Many runs' curves in few calls: mlflow's client has one call for each run and metric."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.utils.rest_utils import verify_rest_response

from pipeline.tracking import server
from pipeline.tracking.outages import waiting

# What a server's own limits are (mlflow/server/handlers.py, get_metric_history_bulk_handler).
BULK_RUNS, BULK_POINTS = 100, 25_000
BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"  # as mlflow's pages ask; there is no other name for it

Curve = dict[int, float]
"""Epoch, from 1 -> value."""


class Point(NamedTuple):
    run_id: str
    step: int
    value: float


Ask = Callable[[Sequence[str], str], list[Point] | None]
"""Run ids and a metric -> points, each run's ordered by time, BULK_POINTS at most. None: the store cannot do that."""


def curves(client: MlflowClient, run_ids: Iterable[str], names: Sequence[str]) -> dict[tuple[str, str], Curve]:
    """(run id, metric) -> its curve, of those that have any.

    Single values, which are step 0, are left out. Of an epoch that was written twice the later value stays. Waits for a
    store that is away, at each call, so that it goes on where it was.
    """
    found: dict[tuple[str, str], Curve] = {}
    ask, wanted = _bulk(client), sorted(set(run_ids))
    for name, first in itertools.product(names, range(0, len(wanted), BULK_RUNS)):
        for point in _points(client, ask, wanted[first : first + BULK_RUNS], name):
            if point.step > 0:
                found.setdefault((point.run_id, name), {})[point.step] = point.value
    return found


def _points(client: MlflowClient, ask: Ask, run_ids: Sequence[str], name: str) -> Iterator[Point]:
    """Those of at most BULK_RUNS runs. An answer that is full may lack some, so that fewer runs are asked for."""
    points = waiting(lambda: ask(run_ids, name))
    if points is not None and len(points) < BULK_POINTS:
        yield from points
    elif points is None or len(run_ids) == 1:
        for run_id in run_ids:
            yield from _one_by_one(client, run_id, name)
    else:
        middle = len(run_ids) // 2
        yield from _points(client, ask, run_ids[:middle], name)
        yield from _points(client, ask, run_ids[middle:], name)


def _one_by_one(client: MlflowClient, run_id: str, name: str) -> Iterator[Point]:
    history = waiting(lambda: client.get_metric_history(run_id, name))
    for metric in sorted(history, key=lambda metric: metric.timestamp):
        yield Point(run_id, metric.step, metric.value)


def _bulk(client: MlflowClient) -> Ask:
    """How this store is asked for many runs at once."""
    store = server.store_of(client)

    def ask_database(run_ids: Sequence[str], name: str) -> list[Point]:
        """In one statement."""
        found = store.get_metric_history_bulk(run_ids, name, BULK_POINTS)
        return [Point(point.run_id, point.step, point.value) for point in found]

    def ask_server(run_ids: Sequence[str], name: str) -> list[Point] | None:
        """In one request."""
        asked = {"run_id": list(run_ids), "metric_key": name, "max_results": BULK_POINTS}
        response = server.ask(client, BULK, asked)
        status, kind = response.status_code, response.headers.get("Content-Type", "")
        if 400 <= status < 500 or (status < 400 and "json" not in kind):
            return None  # another program's server, or a proxy that lets only mlflow's public API through
        found = verify_rest_response(response, BULK).json()["metrics"]
        return [Point(point["run_id"], point["step"], point["value"]) for point in found]

    if hasattr(store, "get_metric_history_bulk"):
        return ask_database
    return ask_server if server.is_server(client) else lambda _run_ids, _name: None
