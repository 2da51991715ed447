"""The arithmetic of a plan, with speeds that are given."""

from __future__ import annotations

import dataclasses

import pytest
from tuning.costing import Speeds, Task, Work

from pipeline.config import Cell, SweepConfig
from tuning import costing

CONFIG = SweepConfig(dataset="digits", weights="tiny", alphas=(0.25, 0.5), resolutions=(64,), trials=16, epochs=10)
SMALL, WIDE = (Work(cell, rows=1000, test_rows=100, trials=16) for cell in CONFIG.cells)
DONE = Work(Cell(0.5, 64), rows=0, test_rows=0, trials=0)
TASK = Task(CONFIG, rows=1000, views=1, outputs=10)
SPEEDS = Speeds(load=0.5, ready=2.0, mult_add=1e-9, compile=costing.COMPILE, epoch=0.1)


def test_what_is_done_costs_nothing_but_opening_it():
    assert costing.feature_seconds([DONE], TASK, SPEEDS, 0) == SPEEDS.load
    assert costing.test_seconds([DONE], SPEEDS) == 0
    assert costing.trial_seconds([DONE], TASK, SPEEDS, set()) == costing.START
    assert costing.disk_bytes([DONE], TASK) < costing.disk_bytes([WIDE], TASK)


def test_pictures_cost_by_their_mult_adds():
    one = costing.feature_seconds([SMALL], TASK, SPEEDS, 0)
    assert one == pytest.approx(0.5 + 2.0 + 1000 * SMALL.mult_adds * 1e-9)
    both = costing.feature_seconds([dataclasses.replace(SMALL, rows=2000)], TASK, SPEEDS, 0)
    assert both - one == pytest.approx(1000 * SMALL.mult_adds * 1e-9)
    made_ready = costing.feature_seconds([SMALL], TASK, SPEEDS, 1)
    assert one - made_ready == pytest.approx(2.0 - costing.ENGINE)


def test_an_epoch_that_is_compiled_is_not_counted_again():
    with_one, with_none = (costing.trial_seconds([SMALL, WIDE], TASK, SPEEDS, known) for known in ({0.5}, set()))
    assert with_none - with_one == pytest.approx(SPEEDS.compile)


def test_a_slower_machine_pays_more_for_every_trial():
    slow = dataclasses.replace(SPEEDS, compile=2 * SPEEDS.compile)
    known = {0.25, 0.5}
    more = costing.trial_seconds([SMALL], TASK, slow, known) - costing.trial_seconds([SMALL], TASK, SPEEDS, known)
    assert more == pytest.approx(costing.START + 16 * costing.TRIAL)


def test_waves_that_are_not_full_cost_less_and_not_in_proportion():
    full, part = (costing.wave_epochs(dataclasses.replace(SMALL, trials=trials), TASK) for trials in (8, 4))
    assert full == CONFIG.epochs
    assert full / 2 < part < full


def test_pruning_is_counted_where_waves_shrink():
    many = dataclasses.replace(TASK, rows=12_000, outputs=120)
    wide = Work(Cell(1.0, 224), rows=0, test_rows=0, trials=16)
    assert costing.wave_epochs(wide, many) == pytest.approx(CONFIG.epochs * (1 + costing.PRUNED["median"]))
    assert costing.wave_epochs(wide, TASK) == 2 * CONFIG.epochs
    unpruned = dataclasses.replace(many, config=dataclasses.replace(CONFIG, pruner="none"))
    assert costing.wave_epochs(wide, unpruned) == 2 * CONFIG.epochs
