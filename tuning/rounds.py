"""Which trials come next: a study advances in rounds, each drawn from the finished rounds alone.

Round r holds the indices from r x size on. The heads of a round train together, in one task; each network is a task of
its own. What a killed driver left undone is drawn again, with the very same draws, and run again in the same company.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, Trial

from pipeline.config import SweepConfig
from tuning import sampling
from tuning.enqueued import Enqueued
from tuning.search_space import Space
from tuning.studies import ENQUEUED, TASK, CellStudy


@dataclass(frozen=True)
class Task:
    """Trials that run together.

    Attributes:
        first, size: their indices begin with `first`.
        missing: those that are to be written; the others stand in the study already.
    """

    first: int
    size: int
    missing: tuple[int, ...]

    @property
    def indices(self) -> range:
        """Of all its trials."""
        return range(self.first, self.first + self.size)


@dataclass(frozen=True)
class Round:
    """Tasks of one round.

    Attributes:
        begin: the index that the round begins with.
        asked: what a person asked for in its trials, from `begin` on; None is a draw.
        numbers: index -> Optuna's number, of enqueued trials that are to be run.
    """

    begin: int
    tasks: tuple[Task, ...]
    asked: tuple[Mapping[str, float] | None, ...]
    numbers: dict[int, int]

    def asked_of(self, index: int) -> Mapping[str, float] | None:
        """What a person asked for in this trial, or None."""
        return self.asked[index - self.begin]


def next_round(
    ended: Mapping[int, FrozenTrial], left: int, size: int, together: bool, enqueued: Sequence[Enqueued] = ()
) -> Round | None:
    """The round to come, or what is missing of the last one; None where no trial is left.

    Args:
        ended: by index.
        left: how many trials are wanted still.
        size: of a round.
        together: whether the trials of a round are one task, or a task each.
        enqueued: they are the first of a round.
    """
    tasks = _next_tasks(ended, left, size, together) if left > 0 else []
    if not tasks:
        return None
    begin, end = tasks[0].first // size * size, max(task.first + task.size for task in tasks)
    missing = sorted(index for task in tasks for index in task.missing)
    # Of a broken task what was enqueued waits still, but only where all that stands before it was enqueued as well.
    drawn = any(ENQUEUED not in ended[at].user_attrs for at in range(tasks[0].first, missing[0]) if at in ended)
    waiting = {} if drawn else dict(zip(missing, enqueued, strict=False))
    asked = [
        ended[index].user_attrs.get(ENQUEUED) if index in ended else waiting[index].values if index in waiting else None
        for index in range(begin, end)
    ]
    return Round(begin, tuple(tasks), tuple(asked), {index: trial.number for index, trial in waiting.items()})


def draw(study: CellStudy, current: Round, task: Task, config: SweepConfig, space: Space) -> list[Trial]:
    """The trials of `task`, of a study in memory that holds the finished rounds, and this one up to them."""
    pruner = sampling.pruner_of(study.pruner, config.epochs)
    memory = sampling.round_study(study.name, study.before(current.begin), space, config.seed, pruner)
    asked = current.asked[: task.first + task.size - current.begin]
    return sampling.draw(memory, space, asked, skip=task.first - current.begin)


def _next_tasks(ended: Mapping[int, FrozenTrial], left: int, size: int, together: bool) -> list[Task]:
    end = max(ended, default=-1) + 1
    begun = dict.fromkeys(tuple(trial.user_attrs[TASK]) for trial in ended.values())
    broken = [task for first, count in begun if (task := _task(first, count, ended)).missing]
    covered = {index for task in broken for index in task.indices}
    broken += [_task(index, 1, ended) for index in range(end) if index not in ended and index not in covered]
    if broken and (together or end % size == 0):
        return broken
    count = min(left - sum(len(task.missing) for task in broken), size - end % size)
    if together:
        return [_task(end, count, ended)]
    return broken + [_task(index, 1, ended) for index in range(end, end + max(0, count))]


def _task(first: int, size: int, ended: Mapping[int, FrozenTrial]) -> Task:
    return Task(first, size, tuple(index for index in range(first, first + size) if index not in ended))
