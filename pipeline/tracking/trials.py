"""Runs that are written in one go when all of it is known: trials and published rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mlflow import MlflowClient

from pipeline.config import spell
from pipeline.shell.signals import deferred
from pipeline.tracking import lookup
from pipeline.tracking.entries import curve_points, milliseconds, points, run_params, run_tags, write
from pipeline.tracking.outages import waiting
from pipeline.tracking.runs import KEY_TAG, TrialRun


def publish(client: MlflowClient, experiment_id: str, trial: TrialRun, family: Mapping[str, str], run_id: str) -> str:
    """Writes `trial`, into the run `run_id` where that is given. Returns the run's id.

    The same trial written twice into one run leaves one copy of everything.

    Args:
        family: the tags that say of which kind the run is and what stands above it.
    """
    started, ended = milliseconds(trial.started.timestamp()), milliseconds(trial.ended.timestamp())
    values = [*points(trial.metrics, ended), *curve_points(trial.curves, started, ended, trial.epoch_ends)]
    tags = {**trial.tags, **family, KEY_TAG: trial.key}

    def write_to(found: str) -> str:
        """All of it, into the run that was found or a new one."""
        written = found or create(client, experiment_id, trial.name, tags, started)
        write(client, written, values, run_params(trial.params), run_tags(tags) if found else ())
        client.set_terminated(written, trial.status, ended)
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
    once more afterwards, for a call that hung may come through late. Of several the lowest id stays. Signals wait for
    the end of an attempt, so that the id of a run that was made is not lost.

    Args:
        write_to: makes the run where it is given an empty id, and otherwise writes to that one. Returns its id.
    """

    def first() -> str:
        """Nobody has made the run yet."""
        with deferred():
            return write_to(run_id)

    def again() -> str:
        """An attempt whose answer was lost may have."""
        with deferred():
            there = [run_id] if run_id else lookup.with_key(client, experiment_id, key)
            written = write_to(there[0] if there else "")
            kept, *doubles = lookup.with_key(client, experiment_id, key) or [written]
            if kept != written:
                write_to(kept)
            for double in doubles:
                lookup.delete(client, double)
            return kept

    return waiting(first, again)
