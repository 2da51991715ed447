"""Accuracy against cost."""

from __future__ import annotations

import math

import pandas as pd

from pipeline.config import Cell
from pipeline.networks import costs
from reports.figures import tradeoff
from tests.reports.figures import frame_samples


def test_our_cells_stand_beside_both_sources():
    cells = frame_samples.cells("stanford_dogs", frame_samples.DOGS, 120)
    info = tradeoff.tradeoff_info(cells, frame_samples.sweeps("stanford_dogs"))
    (ours,) = info.ours
    assert [point.label for point in ours.points] == ["0.75-192", "0.75-224", "1.0-192", "1.0-224"]
    assert [series.name for series in info.published] == ["paper", "replication"]
    paper, replication = ({point.label: point for point in series.points} for series in info.published)
    assert paper["1.0-224"].cost == 569e6
    assert paper["1.0-224"].top1 == 0.833
    assert replication["1.0-224"].cost == costs.mobilenet_mult_adds(Cell(1.0, 224), 1000)
    assert replication["inception_v3"].cost == paper["inception_v3"].cost == 5000e6
    assert "of the paper" in replication["inception_v3"].hover


def test_a_hover_tells_everything():
    cells = frame_samples.cells("stanford_dogs", frame_samples.DOGS[:1], 120)
    (ours,) = tradeoff.tradeoff_info(cells, frame_samples.sweeps("stanford_dogs")).ours
    for part in (
        "0.75-192",
        "[",
        "top-5 99.0 %",
        "paper 80.5 %",
        "replication 70.6 %",
        "1.93 M",
        "239 M",
        "29 complete",
        "32 s",
    ):
        assert part in ours.points[0].hover, part


def test_a_cell_without_a_test_is_not_drawn():
    cells = frame_samples.cells("digits")
    cells.loc[1, ["test_top1", "test_top1_low", "test_top1_high"]] = math.nan
    info = tradeoff.tradeoff_info(cells, frame_samples.sweeps("digits"), "params_total")
    assert [point.label for point in info.ours[0].points] == ["0.25-48", "0.5-48", "0.5-96"]
    assert info.published == []


def test_an_interval_that_is_unknown_leaves_the_point():
    cells = frame_samples.cells("digits").assign(test_top1_low=math.nan, test_top1_high=math.nan, test_top5=math.nan)
    info = tradeoff.tradeoff_info(cells, frame_samples.sweeps("digits"))
    markers = tradeoff.tradeoff_figure(info).data[1]
    assert markers.error_y.array == (None,) * 4
    assert len(markers.y) == 4


def test_the_figure_draws_the_front_in_steps_below_the_points():
    info = tradeoff.tradeoff_info(frame_samples.cells("digits"), frame_samples.sweeps("digits"))
    front, points = tradeoff.tradeoff_figure(info).data
    assert front.x == tuple(point.cost / 1e6 for point in info.fronts[0])
    assert list(front.x) == sorted(front.x)
    assert set(info.fronts[0]) < set(info.ours[0].points)
    assert front.line.shape == "hv"
    assert points.y == tuple(100 * point.top1 for point in info.ours[0].points)


def test_sweeps_have_marks_of_their_own():
    both = pd.concat([frame_samples.cells("letters"), frame_samples.cells("digits")])
    info = tradeoff.tradeoff_info(both, frame_samples.sweeps("letters", "digits"))
    marks = {(trace.marker.color, trace.marker.symbol) for trace in tradeoff.tradeoff_figure(info).data if trace.text}
    assert len(marks) == 2
    assert [series.name for series in info.ours] == ["letters", "digits"]  # as asked for


def test_the_alt_text_has_the_ends_and_the_front():
    info = tradeoff.tradeoff_info(frame_samples.cells("digits"), frame_samples.sweeps("digits"))
    count = len(info.fronts[0])
    first, last = info.ours[0].points[0], info.ours[0].points[-1]
    assert tradeoff.tradeoff_alt(info) == (
        f"Test top-1 of 4 cells against mult-adds: from {100 * first.top1:.1f} % at 1.75 M "
        f"to {100 * last.top1:.1f} % at 27.4 M; {count} on the Pareto front."
    )
