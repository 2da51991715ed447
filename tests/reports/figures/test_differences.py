"""The matrix of differences."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.scoring import compare
from reports.figures import DIFFERENCES
from tests.reports.figures import frame_samples

CELLS = frame_samples.cells("digits").sort_values("mult_adds", ascending=False)
NAMES = CELLS["cell"].to_list()  # the largest first


def right(wrong: int) -> np.ndarray:
    return np.arange(400) >= wrong


PAIRS = compare.pairs(dict(zip(NAMES, map(right, (10, 12, 40, 100)), strict=True))).assign(split="test", sweep="digits")


def test_rows_and_columns_go_from_the_cheapest_to_the_largest():
    info = DIFFERENCES.info(CELLS, PAIRS)
    assert info.cells == ["0.25-48", "0.5-48", "0.25-96", "0.5-96"]
    assert [row[at] for at, row in enumerate(info.differences)] == [None] * 4
    np.testing.assert_allclose(info.differences[0][1:], [-0.15, -0.22, -0.225])
    np.testing.assert_allclose([row[0] for row in info.differences[1:]], [0.15, 0.22, 0.225])


def test_an_asterisk_marks_what_is_told_apart():
    info = DIFFERENCES.info(CELLS, PAIRS)
    assert info.texts[0] == ["", "-15.0*", "-22.0*", "-22.5*"]
    assert info.texts[2][3] == "-0.5"
    assert info.told == (5, 6)
    assert "5 of 6 pairs are told apart" in DIFFERENCES.alt(info)
    assert "2 only 0.5-96" in info.hovers[2][3]


def test_many_cells_show_their_numbers_on_hover_alone():
    cells = frame_samples.cells("digits", chosen=frame_samples.SIXTEEN)
    many = compare.pairs({name: right(at) for at, name in enumerate(cells["cell"])}).assign(split="test")
    assert DIFFERENCES.figure(DIFFERENCES.info(cells, many)).data[0].texttemplate is None
    assert DIFFERENCES.figure(DIFFERENCES.info(CELLS, PAIRS)).data[0].texttemplate == "%{text}"


def test_there_is_none_where_nothing_was_compared_on_the_test():
    assert DIFFERENCES.info(CELLS, PAIRS.assign(split="val")) is None
    assert DIFFERENCES.info(CELLS, pd.DataFrame(PAIRS[:0])) is None
    assert DIFFERENCES.info(CELLS, PAIRS.assign(second="untrained")) is None
