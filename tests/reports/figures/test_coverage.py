"""What is right of those that are answered."""

from __future__ import annotations

import pandas as pd
import pytest

from reports.figures import coverage

ROWS = pd.DataFrame(
    {"reject_below": [0.2, 0.5, 0.9], "coverage": [1.0, 0.6, 0.1], "top1": [0.7, 0.8, 1.0], "cell": ["c"] * 3}
)
CELL = pd.DataFrame({"reject_below": [0.4], "test_answered": [0.8], "test_top1_answered": [0.75]})


def test_the_line_goes_from_few_pictures_to_all_and_has_the_chosen_one():
    info = coverage.coverage_info(ROWS, CELL)
    assert [point.coverage for point in info.points] == [0.1, 0.6, 1.0]
    assert info.chosen == (0.4, 0.8, 0.75)
    line, mark = coverage.coverage_figure(info).data
    assert list(line.x) == [10, 60, 100]
    assert list(line.y) == [100, 80, 70]
    assert (list(mark.x), list(mark.y)) == ([80], [75])


def test_it_is_said_in_words():
    info = coverage.coverage_info(ROWS, CELL)
    assert coverage.coverage_alt(info) == (
        'Of 100.0 % of the test pictures 70.0 % are answered right. With "none of these" below a probability of 0.40, '
        "chosen on val, 80.0 % are answered, 75.0 % of them right."
    )


@pytest.mark.parametrize("cell", [CELL.iloc[:0], CELL.assign(reject_below=float("nan"))])
def test_without_a_threshold_there_is_the_line_alone(cell):
    info = coverage.coverage_info(ROWS, cell)
    assert info.chosen is None
    assert len(coverage.coverage_figure(info).data) == 1
    assert coverage.coverage_alt(info).endswith("70.0 % are answered right.")


def test_an_untested_cell_has_no_figure():
    assert coverage.coverage_info(ROWS.iloc[:0], CELL) is None
