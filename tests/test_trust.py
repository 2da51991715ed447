"""What the numbers rest on, in words."""

from __future__ import annotations

import math

import pytest
from report_samples import CELLS, write_sweep

from reports import tables, trust


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(72, "72 s"), (720, "12 min"), (12960, "3.6 h"), (math.nan, "not recorded")],
)
def test_a_duration_is_short(seconds, said):
    assert trust.duration(seconds) == said


def test_a_sweep_says_what_it_is_of(tracker):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:2])
    ((label, found),) = trust.facts(tables.read(tracker, [sweep]))
    known = dict(found)
    assert label == "digits"
    assert known["data"].startswith(
        "digits, 10 classes, 1,437 pictures to train and validate on (15 % of them val), 360 to test, digest "
    )
    assert "weights tiny, freeze_conv true" in known["protocol"]
    assert "seed 0" in known["protocol"]
    assert known["begun"] == "2026-11-23 10:49 UTC; finished"
    assert known["computing time"].endswith("s for 2 cells")
    assert known["MLflow run"] == sweep


def test_what_was_not_recorded_is_said(tracker):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1], bare=True)
    ((_, found),) = trust.facts(tables.read(tracker, [sweep]))
    known = dict(found)
    assert known["data"] == "digits, 360 to test"
    assert known["machine"] == known["versions"] == known["computing time"].partition(" for")[0] == "not recorded"
