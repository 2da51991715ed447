"""What the numbers rest on, in words."""

from __future__ import annotations

import dataclasses
import math

import pytest

from pipeline.config import SweepConfig
from reports import tables, trust
from tests.reports.report_samples import CELLS, write_sweep


def test_settings_that_are_no_protocol_are_settings():
    assert {field.name for field in dataclasses.fields(SweepConfig)} > trust.NO_PROTOCOL


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
    assert known["data"].startswith("digits, 10 classes, pictures: 1,221 train, 216 val, 360 test, digest ")
    assert "weights tiny, freeze_conv true" in known["protocol"]
    assert "augment" not in known["protocol"]  # of frozen convolutions nothing is augmented
    assert "seed 0" in known["protocol"]
    assert known["begun"] == "2026-11-23 10:49 UTC; finished"
    assert known["computing time"].endswith("s for 2 cells")
    assert known["MLflow run"] == sweep


def test_of_a_cross_validated_search_the_folds_are_told(tracker):
    found = tables.read(tracker, [write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])])
    folded = dataclasses.replace(found, sweeps=found.sweeps.assign(folds=5.0))
    ((_, facts),) = trust.facts(folded)
    assert dict(facts)["data"].startswith(
        "digits, 10 classes, pictures: 1,437 train and val in 5 folds, 360 test, digest "
    )


def test_of_repeated_cells_it_is_told_how_scores_vary(tracker):
    found = tables.read(tracker, [write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:2])])
    known = found.cells.assign(test_top1=0.9, test_pictures=100.0, refit_top1_std=0.002, cut_top1_std=0.008)
    told = dict(trust.facts(dataclasses.replace(found, cells=known.assign(repeats=[5.0, math.nan])))[0][1])
    assert told["how scores vary"] == (
        "0.25-48: 3.0 points by which pictures are tested, 0.2 by the seed of the fit, 0.8 by which pictures are "
        "trained on (5 repeats)"
    )
    assert "how scores vary" not in dict(trust.facts(found)[0][1])


def test_only_finetuning_says_how_it_was_done():
    settings = {"weights": "imagenet", "freeze_conv": "false", "unfreeze": "3", "layer_decay": "0.8"}
    assert trust.protocol(settings) == "weights imagenet, freeze_conv false, unfreeze 3, layer_decay 0.8"
    assert trust.protocol({**settings, "freeze_conv": "true"}) == "weights imagenet, freeze_conv true"


def test_what_was_not_recorded_is_said(tracker):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1], bare=True)
    ((_, found),) = trust.facts(tables.read(tracker, [sweep]))
    known = dict(found)
    assert known["data"] == "digits, pictures: 360 test"
    assert known["machine"] == known["versions"] == known["computing time"] == "not recorded"


@pytest.mark.parametrize(
    ("unfreeze", "said"), [("3", "the last 3 blocks trained with the head"), ("all", "trained whole")]
)
def test_how_much_was_trained_is_said(tracker, unfreeze, said):
    found = tables.read(tracker, [write_sweep(tracker, trials=2, epochs=2, cells=CELLS[:1])])
    found.sweeps["settings"].iloc[0].update(freeze_conv="false", unfreeze=unfreeze)
    (row,) = trust.ours(found)
    assert row.protocol.startswith(f"tiny weights, {said}; ")


def test_the_replications_head_is_1000_way(tracker):
    sweep = write_sweep(tracker, trials=2, epochs=2, cells=CELLS[:1], protocol="replication")
    (row,) = trust.ours(tables.read(tracker, [sweep]))
    assert row.head == "1000-way"


def test_ours_stands_beside_the_published_in_the_same_words(tracker):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:2], running=True)
    (row,) = trust.ours(tables.read(tracker, [sweep]))
    assert (row.model, row.mult_adds, row.params, row.head) == ("1 cell", "2", "0.22", "10-way")
    assert row.protocol.startswith("tiny weights, frozen, only the head trained; 2 trials a cell")
