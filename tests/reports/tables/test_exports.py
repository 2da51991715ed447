from __future__ import annotations

import math

import pytest

from reports.tables import exports, rows

METRICS = {
    **{"int8_bytes": 2.2e6, "int8_top1": 0.85, "int8_top1_low": 0.83, "int8_top1_high": 0.87},
    **{"int8_loss_points": 0.2, "int8_loss_points_low": -0.7, "int8_loss_points_high": 1.0},
    **{"int8_p50_ms_1_thread": 2.4, "int8_p95_ms_1_thread": 2.6, "int8_p50_ms_2_threads": 1.4},
    **{"int8_memory_bytes": 2e7, "int8_exported": 1.0, "test_top1": 0.86},
}


def test_a_row_for_each_format_that_was_made():
    (row,) = exports.files_of("dogs", "mobilenet_0.75_224", METRICS, "a processor")
    frame = rows.frame([row], exports.FILES)
    assert frame.loc[0, ["sweep", "cell", "precision", "processor"]].tolist() == [
        *("dogs", "mobilenet_0.75_224", "int8", "a processor")
    ]
    assert frame.loc[0, ["bytes", "p50_ms", "p95_ms", "loss_points_high"]].tolist() == [2.2e6, 2.4, 2.6, 1.0]
    assert frame.loc[0, "phone_ms"] == 8.5  # a Pixel 3's


def test_a_cell_that_nobody_ran_on_a_phone_has_no_such_number():
    (row,) = exports.files_of("digits", "mobilenet_0.5_96", METRICS, "")
    assert math.isnan(row["phone_ms"])


@pytest.mark.parametrize("metrics", [{}, {**METRICS, "int8_exported": 0.0}])
def test_files_of_an_earlier_winner_are_none(metrics):
    assert exports.files_of("digits", "mobilenet_0.5_96", metrics, "") == []
