"""Which sweeps to show, and under what names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from pipeline.shell.errors import UserError
from pipeline.tracking import RunRecord
from pipeline.tracking.runs import KIND_TAG

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

SHORTEST_PREFIX = 6  # letters of a run's id
SHOWN = 5  # sweeps in a message


def sweeps(tracker: Tracker) -> list[RunRecord]:
    """All sweeps of the experiment, newest first."""
    return tracker.search(f"tags.`{KIND_TAG}` = 'sweep'")


def choose(tracker: Tracker, runs: Sequence[str]) -> list[str]:
    """The run ids of the sweeps that were asked for, each once, in that order.

    Args:
        runs: ids or their beginnings; none means the newest sweep with a tested cell, its own or a linked one; where
            no sweep has any, the newest.

    Raises:
        UserError: there is no sweep, or one of `runs` is not the id of exactly one.
    """
    known = sweeps(tracker)
    if not known:
        raise UserError(
            f"wanted a sweep to show. Received: no sweep in the experiment {tracker.experiment()!r}. "
            "Try: run `python tuning/optimize.py`, or set MLFLOW_TRACKING_URI to the store that holds it."
        )
    if runs:
        return list(dict.fromkeys(find(tracker, known, text).run_id for text in runs))
    with_results = (run for run in known if any("test_top1" in cell.metrics for cell in tracker.cells_of(run.run_id)))
    return [next(with_results, known[0]).run_id]


def find(tracker: Tracker, known: Sequence[RunRecord], text: str) -> RunRecord:
    """The one of `known` whose id is `text`, or begins with it. Raises UserError."""
    found = [run for run in known if run.run_id.startswith(text)]
    if len(found) == 1 and len(text) >= SHORTEST_PREFIX:
        return found[0]
    if len(text) < SHORTEST_PREFIX:
        received = f"{text!r}, which is too short"
    elif found:
        received = f"{text!r}, with which {len(found)} ids begin"
    else:
        kind = tracker.tags(text).get(KIND_TAG, "other") if tracker.has(text) else ""
        received = f"{text!r}, which is the id of a {kind} run" if kind else f"{text!r}, which is no run's"
    there = ", ".join(f"{run.run_id[:12]} ({run.name}, {_minute(run)})" for run in (found or known)[:SHOWN])
    raise UserError(
        f"wanted the run id of a sweep, or at least its first {SHORTEST_PREFIX} letters. Received: {received}. "
        f"Try: take one of {there}{', ...' if len(found or known) > SHOWN else ''}."
    )


def dataset(sweep: RunRecord) -> str:
    """As it was asked for; a sweep that died early has it only in its name."""
    return sweep.params.get("dataset") or sweep.name.removeprefix("sweep ")


def labels(chosen: Sequence[RunRecord]) -> dict[str, str]:
    """Run id -> a unique name: the data set, followed by as much as it takes to tell the sweeps apart."""
    named = {run.run_id: short_name(dataset(run)) for run in chosen}
    for more in (
        _minute,
        _second,
        lambda run: f"{_second(run)} {run.run_id[:SHORTEST_PREFIX]}",
        lambda run: run.run_id,
    ):
        named = _told_apart(chosen, named, more)
    return named


def _told_apart(
    chosen: Sequence[RunRecord], named: Mapping[str, str], more: Callable[[RunRecord], str]
) -> dict[str, str]:
    counts = Counter(named.values())
    return {
        run.run_id: f"{short_name(dataset(run))} {more(run)}" if counts[named[run.run_id]] > 1 else named[run.run_id]
        for run in chosen
    }


def short_name(name: str) -> str:
    """folder:/a/long/path/of/dogs -> folder:dogs"""
    kind, colon, path = name.partition(":")
    return f"{kind}:{PurePath(path).name}" if colon else name


def _minute(run: RunRecord) -> str:
    return f"{run.started:%Y-%m-%d %H:%M}"


def _second(run: RunRecord) -> str:
    return f"{run.started:%Y-%m-%d %H:%M:%S}"
