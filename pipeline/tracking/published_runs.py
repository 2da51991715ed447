"""Published numbers as runs of their own, once for each experiment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pipeline.config import spell
from pipeline.tracking.runs import RunRecord
from pipeline.tracking.trials import TrialRun


def missing(
    rows: Iterable[Mapping[str, Any]], ever: Iterable[RunRecord], active: Iterable[RunRecord]
) -> list[tuple[TrialRun, str]]:
    """Rows that were never published, each with the id of the run that a process left half-written, or none.

    Args:
        ever: the runs of the kind, with those in the waste basket.
        active: without them.
    """
    finished = {_identity(run) for run in ever if run.status == "FINISHED"}
    begun = {run.key: run.run_id for run in active if run.status == "RUNNING"}
    runs = [_run(row) for row in rows if (row["name"], spell(row["params"].get("dataset"))) not in finished]
    return [(run, begun.get(run.key, "")) for run in runs]


def doubles(there: Iterable[RunRecord]) -> list[str]:
    """The ids of finished runs that another process wrote too. The lowest id stays, whoever looks."""
    kept: set[tuple[str, str]] = set()
    later = []
    for run in sorted(there, key=lambda run: run.run_id):
        if run.status == "FINISHED" and _identity(run) in kept:
            later.append(run.run_id)
        elif run.status == "FINISHED":
            kept.add(_identity(run))
    return later


def _run(row: Mapping[str, Any]) -> TrialRun:
    now = datetime.now()
    return TrialRun(
        name=row["name"],
        key=f"{row['name']} {row['params'].get('dataset')}",
        status="FINISHED",
        started=now,
        ended=now,
        params=row["params"],
        metrics=row["metrics"],
        tags={**row["tags"], "source": row["source"]},
    )


def _identity(run: RunRecord) -> tuple[str, str]:
    return run.name, run.params.get("dataset", "")
