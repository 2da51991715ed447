"""Parallel coordinates and the map of the betas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reports.figures import landscape
from tests.reports.figures import frame_samples

TRIALS = frame_samples.trials()
COMPLETE = TRIALS[TRIALS["state"] == "COMPLETE"]


def test_parallel_coordinates_hold_the_complete_trials():
    info = landscape.parallel_info(TRIALS)
    assert info.numbers == list(COMPLETE["number"])
    assert info.drawn["beta_2"] == pytest.approx(list(1 - COMPLETE["beta_2"]))
    rate, *_, top1 = landscape.parallel_figure(info).data[0].dimensions
    assert rate.values == pytest.approx(tuple(np.log10(COMPLETE["learning_rate"])))
    assert rate.ticktext[0] == "1e-5"
    assert max(top1.values) == pytest.approx(100 * COMPLETE["val_top1"].max())


def test_one_failure_does_not_take_all_the_colours():
    trials = COMPLETE.assign(val_top1=[0.1, *np.linspace(0.9, 0.95, len(COMPLETE) - 1)])
    axis = landscape.parallel_figure(landscape.parallel_info(trials)).layout.coloraxis
    assert axis.cmin > 85


def test_equal_values_have_a_colour():
    axis = landscape.parallel_figure(landscape.parallel_info(TRIALS.assign(val_top1=0.5))).layout.coloraxis
    assert axis.cmin < axis.cmax


def test_the_map_goes_through_the_trials():
    info = landscape.contour_info(TRIALS)
    heights = [value for row in info.grid for value in row if value is not None]
    assert min(info.values) - 1e-5 <= min(heights) <= max(heights) <= max(info.values) + 1e-5
    assert len(info.grid) == len(info.y)
    assert info.dots_x == pytest.approx(list(1 - COMPLETE["beta_1"]))
    assert len(landscape.contour_figure(info).data) == 2


def test_a_plane_is_mapped_as_a_plane():
    plane = TRIALS.assign(val_top1=0.5 + 0.1 * np.log10(1 - TRIALS["beta_1"]) - 0.05 * np.log10(1 - TRIALS["beta_2"]))
    info = landscape.contour_info(plane)
    for y, row in zip(info.y, info.grid, strict=True):
        for x, value in zip(info.x, row, strict=True):
            assert value is None or value == pytest.approx(0.5 + 0.1 * math.log10(x) - 0.05 * math.log10(y), abs=1e-4)


@pytest.mark.parametrize(
    "drawn",
    [
        {"beta_1": 0.9},
        {"beta_1": 0.9, "beta_2": 0.999},
        {"beta_2": TRIALS["beta_1"]},  # a diagonal
    ],
)
def test_no_map_of_trials_on_one_line(drawn):
    assert landscape.contour_info(TRIALS.assign(**drawn)) is None


def test_no_map_of_three_trials():
    assert landscape.contour_info(COMPLETE[:3]) is None
    assert landscape.contour_info(COMPLETE[:4]) is not None


def test_trials_without_their_betas_are_left_out():
    info = landscape.parallel_info(TRIALS.assign(beta_1=TRIALS["beta_1"].where(TRIALS["number"] > 9)))
    assert min(info.numbers) == 10
