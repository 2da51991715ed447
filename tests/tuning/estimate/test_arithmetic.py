"""The arithmetic of a plan, with speeds that are given."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.config import Cell, SweepConfig
from tuning.estimate import arithmetic
from tuning.estimate.arithmetic import Shared, Speeds, Work

CONFIG = SweepConfig(dataset="digits", weights="tiny", alphas=(0.25, 0.5), resolutions=(64,), trials=16, epochs=10)
SMALL, WIDE = (Work(cell, rows=1000, test_rows=100, trials=16) for cell in CONFIG.cells)
DONE = Work(Cell(0.5, 64), rows=0, test_rows=0, trials=0)
SHARED = Shared(CONFIG, rows=1000, views=1, outputs=10)
SPEEDS = Speeds(load=0.5, ready=2.0, mult_add=1e-9, compile=arithmetic.COMPILE, epoch=0.1)


def test_what_is_done_costs_nothing_but_opening_it():
    assert arithmetic.feature_seconds([DONE], SHARED, SPEEDS, 0) == SPEEDS.load
    assert arithmetic.test_seconds([DONE], SPEEDS) == 0
    assert arithmetic.trial_seconds([DONE], SHARED, SPEEDS) == arithmetic.START
    assert arithmetic.disk_bytes([DONE], SHARED) < arithmetic.disk_bytes([WIDE], SHARED)


def test_pictures_cost_by_their_mult_adds():
    one = arithmetic.feature_seconds([SMALL], SHARED, SPEEDS, 0)
    assert one == pytest.approx(0.5 + 2.0 + 1000 * SMALL.mult_adds * 1e-9)
    both = arithmetic.feature_seconds([dataclasses.replace(SMALL, rows=2000)], SHARED, SPEEDS, 0)
    assert both - one == pytest.approx(1000 * SMALL.mult_adds * 1e-9)
    made_ready = arithmetic.feature_seconds([SMALL], SHARED, SPEEDS, 1)
    assert one - made_ready == pytest.approx(2.0 - arithmetic.ENGINE)


def test_an_epoch_is_compiled_once_for_each_width():
    one, both = (arithmetic.trial_seconds(work, SHARED, SPEEDS) for work in ([WIDE], [WIDE, WIDE]))
    two_widths = arithmetic.trial_seconds([WIDE, SMALL], SHARED, SPEEDS)
    trials = both - one
    assert two_widths - one == pytest.approx(trials * SMALL.width / WIDE.width + SPEEDS.compile, rel=0.2)


def test_a_slower_machine_pays_more_for_every_trial():
    slow = dataclasses.replace(SPEEDS, compile=2 * SPEEDS.compile)
    more = arithmetic.trial_seconds([SMALL], SHARED, slow) - arithmetic.trial_seconds([SMALL], SHARED, SPEEDS)
    assert more == pytest.approx(arithmetic.START + 16 * arithmetic.TRIAL + SPEEDS.compile)


def test_waves_that_are_not_full_cost_less_and_not_in_proportion():
    full, part = (arithmetic.wave_epochs(dataclasses.replace(SMALL, trials=trials), SHARED) for trials in (8, 4))
    assert full == CONFIG.epochs
    assert full / 2 < part < full


def test_pruning_is_counted_where_waves_shrink():
    many = dataclasses.replace(SHARED, rows=12_000, outputs=120)
    wide = Work(Cell(1.0, 224), rows=0, test_rows=0, trials=16)
    assert (many.pruner, SHARED.pruner) == ("successive_halving", "none")
    assert arithmetic.wave_epochs(wide, many) == pytest.approx(
        2 * CONFIG.epochs * arithmetic.PRUNED["successive_halving"]
    )
    assert arithmetic.wave_epochs(wide, SHARED) == 2 * CONFIG.epochs
    unpruned = dataclasses.replace(many, config=dataclasses.replace(CONFIG, pruner="none"))
    assert arithmetic.wave_epochs(wide, unpruned) == 2 * CONFIG.epochs
