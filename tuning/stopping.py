"""How many trials a search is to have: as many as were asked for, or (--trials auto) as long as more are worth it.

More are not worth it once the last trials raised the best score by less than the validation pictures can tell. That is
looked at after each whole round, in the order of the trials, so that the same trials give the same answer whenever they
are asked. docs/heads.md has what the rule costs and saves.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState

from pipeline.config import MOST_TRIALS, Trials

WINDOW = 16  # trials that may bring nothing
ERRORS = 0.25  # standard errors of a score, above which it is something


def total(asked: Trials, ended: Mapping[int, FrozenTrial], size: int, judges: int) -> int:
    """As far as the trials that have ended can tell.

    Args:
        ended: by index.
        size: of a round.
        judges: pictures that a trial is validated on; 0 where that is not known.
    """
    if asked != "auto":
        return asked
    values: list[float] = []  # of trials that came to something: others are drawn anew
    for index in itertools.takewhile(ended.__contains__, itertools.count()):
        trial = ended[index]
        if trial.state != TrialState.FAIL:
            values.append(trial.value or 0.0 if trial.state == TrialState.COMPLETE else 0.0)
        if (index + 1) % size == 0 and has_enough(values, judges):
            return min(len(values), MOST_TRIALS)
    return MOST_TRIALS


def has_enough(values: list[float], judges: int) -> bool:
    """Whether the last WINDOW of these scores, 0 of trials that were pruned, raised the best by too little."""
    if len(values) <= WINDOW or not judges:
        return False
    before, now = max(values[:-WINDOW]), max(values)
    return now - before <= ERRORS * math.sqrt(now * (1 - now) / judges)


def count(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """Trials by what became of them: complete, pruned, failed (the objective was worthless)."""
    states = Counter(trial.state for trial in trials)
    return {
        "complete": states[TrialState.COMPLETE],
        "pruned": states[TrialState.PRUNED],
        "failed": states[TrialState.FAIL],
    }


def done(trials: Sequence[FrozenTrial]) -> int:
    """How many trials are complete or pruned."""
    counts = count(trials)
    return counts["complete"] + counts["pruned"]


def left(trials: Sequence[FrozenTrial], total: int) -> int:
    """How many trials are still to be finished, of `total`.

    A trial that diverged is drawn anew, but no more than `total` times: where every draw diverges the search ends.
    """
    return max(0, min(total, 2 * total - count(trials)["failed"]) - done(trials))
