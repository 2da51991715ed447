"""Axes that the figures share."""

from __future__ import annotations

import itertools

import pytest

from reports.figures import axes
from tests.reports.figures import frame_samples


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1e-5, 1e-1, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]),
        (1e-2, 0.5, [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]),
        (0.2, 0.9, [0.2, 0.3, 0.4, 0.6, 0.8]),
        (1.9, 3.4, [2, 3]),
    ],
)
def test_ticks_are_round(low, high, ticks):
    assert axes.log_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("low", "factor"), [*itertools.product([1e-5, 0.0123, 0.7, 1, 4.9, 239], [2.1, 3, 10, 77, 1e4, 1e9])]
)
def test_ticks_fit_a_phone(low, factor):
    ticks = axes.log_ticks(low, low * factor)
    assert 1 <= len(ticks) <= 6
    assert ticks == sorted(set(ticks))
    assert ticks[0] >= low * 0.999
    assert ticks[-1] <= low * factor * 1.001


def test_an_axis_of_one_point_has_a_length():
    low, high = axes.log_axis(3.3, 3.3, "x")["range"]
    assert high > low


@pytest.mark.parametrize(
    ("settings", "finetunes"),
    [
        ({}, False),
        ({"freeze_conv": "true", "weights": "imagenet"}, False),
        ({"freeze_conv": "false", "weights": "none"}, False),
        ({"freeze_conv": "false", "weights": "imagenet"}, True),
        ({"freeze_conv": "false", "weights": "here.h5"}, True),
    ],
)
def test_finetuning_is_known_by_the_settings(settings, finetunes):
    assert axes.ranges(settings) == (axes.FINETUNING_RANGES if finetunes else axes.RANGES)


def test_betas_are_shown_as_they_are_searched():
    trials = frame_samples.trials(5)
    assert list(axes.searched(trials, "learning_rate")) == list(trials["learning_rate"])
    assert list(axes.searched(trials, "beta_2")) == list(1 - trials["beta_2"])
