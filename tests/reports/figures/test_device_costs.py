from __future__ import annotations

import math

import pytest

from reports.figures import device_costs
from tests.reports.figures import frame_samples


def test_each_format_is_a_series_and_the_front_is_of_all():
    info = device_costs.files_info(frame_samples.files(), "bytes")
    assert [series.name for series in info.formats] == ["float32", "int8"]
    assert [point.label for point in info.formats[0].points] == ["0.25-48", "0.25-96", "0.5-48", "0.5-96"]
    assert {point.cost for point in info.front} & {point.cost for point in info.formats[0].points}
    assert {point.cost for point in info.front} & {point.cost for point in info.formats[1].points}
    drawn = device_costs.files_figure(info)
    assert drawn.data[0].x == tuple(point.cost / 1e6 for point in info.front)
    assert drawn.data[0].line.color == "#808080"


def test_a_hover_tells_what_a_file_loses_and_takes():
    hover = device_costs.files_info(frame_samples.files(), "p50_ms").formats[1].points[0].hover
    for part in ("<b>0.25-48</b>", "int8", "loses 0.4 points [-0.2, 1.1]", " MB", "0.5 ms a picture"):
        assert part in hover, part


def test_files_of_several_sweeps_are_told_apart():
    files = frame_samples.files()
    other = files.assign(sweep="<b>letters</b>")
    both = device_costs.files_info(type(files)(files.to_dict("records") + other.to_dict("records")))
    assert [series.name for series in both.formats][2] == "<b>letters</b> float32"
    assert "<b>" not in device_costs.files_figure(both).data[3].name


def test_a_file_whose_time_is_unknown_is_not_drawn_over_it():
    files = frame_samples.files().assign(p50_ms=math.nan)
    assert device_costs.files_info(files, "p50_ms") is None
    assert device_costs.files_info(files, "bytes") is not None


@pytest.mark.parametrize(("payment", "unit"), [("bytes", "MB"), ("p50_ms", "ms")])
def test_the_alt_text_has_the_front(payment, unit):
    told = device_costs.files_alt(device_costs.files_info(frame_samples.files(), payment))
    assert told.startswith("Test top-1 of 8 files; on the Pareto front ")
    assert told.count(f" {unit}") == 2
