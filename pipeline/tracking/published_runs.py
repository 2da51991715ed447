"""Published numbers as runs of their own, once for each experiment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.config import spell
from pipeline.tracking.runs import RunRecord, TrialRun


def missing(
    rows: Iterable[Mapping[str, Any]], ever: Iterable[RunRecord], active: Iterable[RunRecord]
) -> list[tuple[TrialRun, str]]:
    """Rows that were never published, each with the id of the run that a dead process left half-written, or none.

    Args:
        ever: the runs of the kind, with those in the trash.
        active: without them.
    """
    finished = {(run.name, run.params.get("dataset", "")) for run in ever if run.status == "FINISHED"}
    begun = {run.key: run.run_id for run in active if run.status == "RUNNING"}
    runs = [_run(row) for row in rows if (row["name"], spell(row["params"].get("dataset"))) not in finished]
    return [(run, begun.get(run.key, "")) for run in runs]


def _run(row: Mapping[str, Any]) -> TrialRun:
    now = datetime.now(UTC)
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
