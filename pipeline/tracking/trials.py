"""Runs that are written in one go when all of it is known: trials and baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipeline.config import spell
from pipeline.shell.signals import deferred
from pipeline.tracking import runs
from pipeline.tracking.entries import curve_points, points, run_params, run_tags, write
from pipeline.tracking.outages import patiently
from pipeline.tracking.runs import KEY_TAG, Status


@dataclass(frozen=True)
class TrialRun:
    """All that a run says.

    Attributes:
        key: unique in the experiment and the same whoever writes it, such as "<study>#12"; the tag alpharho.key.
        started, ended: aware, or naive in local time as Optuna's are. The times of all points derive from them.
        metrics: single values, at `ended`.
        curves: one value for each epoch.
    """

    name: str
    key: str
    status: Status
    started: datetime
    ended: datetime
    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Iterable[float]] = field(default_factory=dict)
    tags: Mapping[str, object] = field(default_factory=dict)


def publish(client: MlflowClient, experiment_id: str, trial: TrialRun, family: Mapping[str, str], run_id: str) -> str:
    """Writes `trial`, into the run `run_id` where that is given. Returns the run's id.

    The same trial written twice into one run leaves one copy of everything.

    Args:
        family: the tags that say of which kind the run is and what stands above it.
    """
    started, ended = _milliseconds(trial.started), _milliseconds(trial.ended)
    values = [*points(trial.metrics, ended), *curve_points(trial.curves, started, ended)]
    tags = {**trial.tags, **family, KEY_TAG: trial.key}

    def write_to(found: str) -> str:
        written = found or create(client, experiment_id, trial.name, tags, started)
        try:
            write(client, written, values, run_params(trial.params), run_tags(tags) if found else ())
            client.set_terminated(written, trial.status, ended)
        except MlflowException as error:
            # Another process may have published the trial too, and put this double into the waste basket.
            if error.error_code != "INVALID_PARAMETER_VALUE" or runs.is_there(client, written, experiment_id):
                raise
            return next(iter(runs.with_key(client, experiment_id, trial.key)), written)
        return written

    return once(client, experiment_id, trial.key, write_to, run_id)


def create(
    client: MlflowClient, experiment_id: str, name: str, tags: Mapping[str, object], started_ms: int | None = None
) -> str:
    """A new run, which begins now unless told otherwise. Returns its id."""
    spelled = {tag: spell(value) for tag, value in tags.items()}
    return client.create_run(experiment_id, started_ms, spelled, name).info.run_id


def once(client: MlflowClient, experiment_id: str, key: str, write_to: Callable[[str], str], run_id: str = "") -> str:
    """Waits for the store until `write_to` succeeds, and leaves one run with this key. Returns its id.

    A call whose answer was lost may have made the run. So from the second time on the run is searched for first, and
    once more afterwards, for a call that hung may come through late. Of several the lowest id stays, which is the same
    one whoever chooses. Signals wait for the end of an attempt, so that the id of a run that was made is not lost.

    Args:
        write_to: makes the run where it is given an empty id, and otherwise writes to that one. Returns its id.
    """

    def first() -> str:
        with deferred():
            return write_to(run_id)

    def again() -> str:
        with deferred():
            there = [run_id] if run_id else runs.with_key(client, experiment_id, key)
            written = write_to(there[0] if there else "")
            kept, *doubles = runs.with_key(client, experiment_id, key) or [written]
            if kept != written:
                write_to(kept)
            for double in doubles:
                runs.delete(client, double)
            return kept

    return patiently(first, again)


def _milliseconds(moment: datetime) -> int:
    """Since 1970."""
    return int(moment.timestamp() * 1000)
