"""The notices above the table."""

from __future__ import annotations

import pandas as pd
import pytest

from reports.notices import notices
from reports.tables import Tables

SWEEP = {"sweep": "dogs", "status": "FINISHED", "caveat": "", "audit": ""}
CELL = {
    **{"sweep": "dogs", "cell": "mobilenet_0.75_192", "test_top1": 0.8, "status": "FINISHED", "error": ""},
    **{"test_top1_unshared": float("nan"), "test_balanced_top1": 0.79, "best_val_balanced_top1": 0.78},
}
WAITING = {**CELL, "test_top1": float("nan"), "status": "RUNNING"}
FAILED = {**WAITING, "status": "FAILED", "error": "every trial diverged"}


def of(sweeps: list[dict], cells: list[dict]) -> list[str]:
    unread = [pd.DataFrame()] * 9
    return notices(Tables(pd.DataFrame(sweeps), pd.DataFrame(cells), *unread, margin=1.0))


def test_a_good_sweep_needs_none():
    assert of([SWEEP], [CELL]) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"caveat": "seen before"}, "seen before"),
        ({"status": "RUNNING"}, "The sweep dogs is still running. Build the page again when it has ended."),
        ({"status": "KILLED"}, "The sweep dogs did not finish (KILLED). The same command resumes it."),
    ],
)
def test_what_a_sweep_says(change, said):
    assert of([{**SWEEP, **change}], [CELL]) == [said]


def test_what_is_wrong_with_the_pictures_stands_beside_the_scores_without_it():
    audit = "3 of the 9 test pictures are training pictures, too.\nThe classes are uneven."
    cell = {**CELL, "test_top1_unshared": 0.7, "test_balanced_top1": 0.5}
    assert of([{**SWEEP, "audit": audit}], [cell]) == [
        *audit.splitlines(),
        "Without the test pictures that are (nearly) training pictures: 0.75-192 70.0 %.",
        "Balanced accuracy, where it is another: 0.75-192 50.0 %.",
        "Balanced accuracy on val: 0.75-192 78.0 %.",
    ]


def test_a_cell_that_waits_and_one_that_failed_are_told_apart():
    assert of([SWEEP], [CELL, FAILED, WAITING]) == [
        "0.75-192 failed: every trial diverged",
        "Not tested yet: 0.75-192.",
    ]


def test_of_several_sweeps_each_cell_is_named_with_its_own():
    found = of([SWEEP, {**SWEEP, "sweep": "cats"}], [{**WAITING, "sweep": "cats"}])
    assert found == ["Not tested yet: cats 0.75-192."]
