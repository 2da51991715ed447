"""What a run says, in words that its writers and its readers share; imports no mlflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Kind = Literal["sweep", "cell", "trial", "train", "evaluate", "export", "prepare", "main", "published"]
Status = Literal["FINISHED", "FAILED", "KILLED"]

KIND_TAG = "alpharho.kind"
ERROR_TAG = "alpharho.error"
KEY_TAG = "alpharho.key"  # unique in the experiment: by it a run is found whose id was never heard
DATABASE_TAG = "alpharho.database"  # the study database whose driver writes the run
CELLS_TAG = "alpharho.cells"  # of a sweep: finished cells of earlier ones that it shows too; their ids, with commas
AUDIT_TAG = "alpharho.audit"  # of a sweep: what a person should know of the pictures, a line each
TRIALS_TAG = "alpharho.trials"  # of a sweep: as it was asked for last, a number or auto
PROCESSOR_TAG = "alpharho.processor"  # of what was exported: where the latency of its files was measured
COMMIT_TAG = "mlflow.source.git.commit"  # mlflow's own, of the first run of a family; where there is git
STATE_TAG = "optuna.state"  # of a trial: COMPLETE, PRUNED or FAIL

# Artifacts, a row for each picture: of the test (scores.TestScores.answers), and of what a winner was validated on.
ANSWERS, VALIDATION = "answers.parquet", "validation.parquet"
REPEATS = "repeats"  # metric of a cell: how many of each kind its winner was repeated


def exported(precision: str) -> str:
    """Metric: 1 where what the run says of the file in this precision is of its present model."""
    return f"{precision}_exported"


def hash_tag(precision: str) -> str:
    """SHA-256 of that file."""
    return f"alpharho.{precision}_sha256"


@dataclass(frozen=True)
class TrialRun:
    """All that the run of a trial, or of a published row, says.

    Attributes:
        key: unique in the experiment and the same whoever writes it, such as "<study>#12"; the tag alpharho.key.
        started, ended: aware, in UTC. The times of all points derive from them. Raises ValueError where one is naive.
        metrics: single values, at `ended`.
        curves: one value for each epoch.
        epoch_ends: seconds since 1970, of each epoch: the times of the curves' points. They are the same points as
            `Tracker.log_epoch` writes at these times, so nothing is there twice. Empty: spread evenly. Raises
            ValueError where a curve is longer.
    """

    name: str
    key: str
    status: Status
    started: datetime
    ended: datetime
    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tags: Mapping[str, object] = field(default_factory=dict)
    epoch_ends: Sequence[float] = ()

    def __post_init__(self) -> None:
        for name, moment in (("started", self.started), ("ended", self.ended)):
            if moment.utcoffset() is None:
                raise ValueError(f"wanted an aware time for {name}. Received: {moment!r}. Try: datetime.now(UTC)")
        longest = max(map(len, self.curves.values()), default=0)
        if self.epoch_ends and longest > len(self.epoch_ends):
            raise ValueError(f"wanted an end of each of {longest} epochs. Received: {len(self.epoch_ends)}")


@dataclass(frozen=True)
class DataRecord:
    """A data set as a run names it.

    Attributes:
        digest: of the data; 36 characters of it.
        profile: what is worth knowing, such as counts per split.
    """

    name: str
    digest: str
    profile: dict[str, Any]


@dataclass(frozen=True)
class RunRecord:
    """One run of the experiment.

    Attributes:
        status: RUNNING, FINISHED, FAILED or KILLED.
        parent: the parent's id, or empty.
        started: in UTC.
        seconds: from start to end, NaN while it runs.
        metrics: each metric's last value.
        data: the data sets that it names as its inputs.
    """

    run_id: str
    name: str
    status: str
    parent: str
    started: datetime
    seconds: float
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    data: tuple[DataRecord, ...] = ()

    @property
    def key(self) -> str:
        """The tag alpharho.key, or empty."""
        return self.tags.get(KEY_TAG, "")
