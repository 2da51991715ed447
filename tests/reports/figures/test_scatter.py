"""Points over a cost: the Pareto front, and how it is drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reports.figures import scatter, style


def is_beaten(costs: list[float], values: list[float], k: int) -> bool:
    pairs = list(zip(costs, values, strict=True))
    return any(c <= costs[k] and v >= values[k] and (c, v) != pairs[k] for c, v in pairs)


@pytest.mark.parametrize("seed", range(20))
def test_the_pareto_front_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    cost, value = (list(map(float, rng.integers(0, 6, 15))) for _ in range(2))  # so few that many are equal
    front = scatter.pareto(cost, value)
    assert list(front) == [not is_beaten(cost, value, k) for k in range(15)]


def test_a_point_without_a_number_is_on_no_front():
    assert list(scatter.pareto([1, math.nan, 2], [0.5, 0.9, math.nan])) == [True, False, False]
    assert list(scatter.pareto([], [])) == []


def point(cost: float, top1: float) -> scatter.Point:
    return scatter.Point("a cell", cost, top1, top1 - 0.02, top1 + 0.02, "hover")


def test_costs_are_shown_in_units_and_accuracies_in_percent():
    ours = [scatter.Series("one", [point(2e6, 0.8), point(8e6, 0.9)]), scatter.Series("two", [point(4e6, 0.7)])]
    front = scatter.Front(scatter.front([one for series in ours for one in series.points]), style.GREY)
    beside = [(scatter.Series("others", [point(16e6, 0.6)]), ("x", style.GREY))]
    drawn = scatter.drawn(scatter.Scatter(1e6, "MB", ours, [front], beside))
    assert [(trace.name, trace.x, trace.y) for trace in drawn.data] == [
        ("Pareto front", (2.0, 8.0), (80.0, 90.0)),
        ("one", (2.0, 8.0), (80.0, 90.0)),
        ("two", (4.0,), (70.0,)),
        ("others", (16.0,), (60.0,)),
    ]
    assert drawn.layout.xaxis.title.text == "MB"
    low, high = (10**end for end in drawn.layout.xaxis.range)
    assert low < 2 < 16 < high
