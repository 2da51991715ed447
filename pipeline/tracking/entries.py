"""What a run is told - parameters, metrics, curves, tags - in as few calls as the store allows."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.utils.validation import MAX_PARAMS_TAGS_PER_BATCH

from pipeline.config import spell

# mlflow takes 1,000 entries a call in all; with 100 parameters and 100 tags, this many are left.
MAX_METRICS = 800


def points(metrics: Mapping[str, float], time_ms: int) -> list[Metric]:
    """Single values, as step 0.

    The stores keep one copy of a point that comes twice, but only where its time is the same.
    """
    return [Metric(name, _storable(value), time_ms, 0) for name, value in metrics.items()]


def curve_points(
    curves: Mapping[str, Iterable[float]], started_ms: int, ended_ms: int, epoch_ends: Sequence[float] = ()
) -> list[Metric]:
    """One value for each epoch, as steps 1, 2, ..., at `epoch_ends` (seconds since 1970).

    Without these, times are spread evenly, the last one at the end.
    """
    points = []
    for name, values in ((name, list(values)) for name, values in curves.items()):
        for epoch, value in enumerate(values, start=1):
            even = started_ms + (ended_ms - started_ms) * epoch // len(values)
            time_ms = milliseconds(epoch_ends[epoch - 1]) if epoch_ends else even
            points.append(Metric(name, _of_curve(value), time_ms, epoch))
    return points


def epoch_points(epoch: int, scores: Mapping[str, float], ended: float) -> list[Metric]:
    """One epoch of several curves, as `curve_points` has them where it knows the epochs' ends."""
    return [Metric(name, _of_curve(value), milliseconds(ended), epoch) for name, value in scores.items()]


def run_tags(tags: Mapping[str, object]) -> list[RunTag]:
    """Spelled as MLflow keeps them."""
    return [RunTag(name, spell(value)) for name, value in tags.items()]


def run_params(params: Mapping[str, object]) -> list[Param]:
    """Spelled as MLflow keeps them."""
    return [Param(name, spell(value)) for name, value in params.items()]


def write(
    client: MlflowClient,
    run_id: str,
    metrics: Sequence[Metric] = (),
    params: Sequence[Param] = (),
    tags: Sequence[RunTag] = (),
) -> None:
    """One call where everything fits, none where there is nothing. The second time it changes nothing."""
    batches = itertools.zip_longest(
        _chunks(metrics, MAX_METRICS),
        _chunks(params, MAX_PARAMS_TAGS_PER_BATCH),
        _chunks(tags, MAX_PARAMS_TAGS_PER_BATCH),
        fillvalue=(),
    )
    for some_metrics, some_params, some_tags in batches:
        client.log_batch(run_id, some_metrics, some_params, some_tags)


def _chunks(items: Sequence, size: int) -> Iterable[Sequence]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _storable(value: float) -> float:
    """The stores keep NaN, but an infinity as 1.8e308, which is untrue and ruins every chart's axis: NaN instead."""
    return float(value) if math.isfinite(value) else math.nan


def _of_curve(value: float) -> float:
    """Nine digits are all of a float32: a point is the same whether its value was kept as text meanwhile or not."""
    return _storable(float(f"{value:.9g}"))


def milliseconds(seconds: float) -> int:
    """Since 1970, both."""
    return int(seconds * 1000)


def now_ms() -> int:
    """Milliseconds since 1970."""
    return milliseconds(time.time())
